"""The bands of every signature: two documents become candidates when all the values of one band agree.

Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4.

A document of similarity s to another meets it in some band with probability 1 - (1 - s^rows)^bands; `corpus recall`
prints the curve.
"""

from __future__ import annotations

from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.plumbing.errors import UsageError
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.lake.stage import Stage

BYTES_PER_HASH = 4


class Config(configuration.Config):
    """How signatures are cut into bands."""

    bands: int = Field(default=14, ge=1, le=1024)
    """Bands of a signature; more bands find less similar documents."""
    rows: int = Field(default=8, ge=1, le=1024)
    """Hash values of a band; more rows find fewer chance candidates."""


def require_hashes(config: Config, hashes: int) -> None:
    """Raises `UsageError` where signatures of so many hashes are too short for the bands."""
    if config.bands * config.rows > hashes:
        raise UsageError(
            f"index_bands: {config.bands} bands of {config.rows} rows need {config.bands * config.rows} hashes, "
            f"but minhash_signatures.hashes is {hashes}: raise it, or lower bands or rows"
        )


def transform(signatures: DataFrame, *, config: Config) -> DataFrame:
    width = config.rows * BYTES_PER_HASH
    needed = config.bands * width
    # A band past the end of a signature would be empty, and all documents would share its bucket.
    too_short = F.raise_error(
        F.format_string(
            f"index_bands: {config.bands} bands of {config.rows} rows need {config.bands * config.rows} hashes, but "
            f"the signatures have %d: "
            "raise minhash_signatures.hashes or lower bands or rows",
            (F.length("signature") / BYTES_PER_HASH).cast("int"),
        )
    )
    whole = F.when(F.length("signature") >= needed, F.col("signature")).otherwise(too_short.cast("binary"))
    # The number of the band goes into the key, so that equal values in two bands do not look like one bucket to whoever
    # forgets the band.
    keys = F.array(
        *(F.xxhash64(F.lit(band), F.substring("signature", band * width + 1, width)) for band in range(config.bands))
    )
    return (
        signatures.select("doc_id", "crawl", whole.alias("signature"))
        .select("doc_id", "crawl", F.posexplode(keys).alias("band", "band_key"))
        .select(*BAND_INDEX.column_names)
    )


STAGE = Stage(name="index_bands", reads=(SIGNATURES,), writes=BAND_INDEX, config=Config, transform=transform)
