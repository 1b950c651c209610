"""Put the kept documents and their text into the corpus that tokenizers and training read."""

from __future__ import annotations

from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas import configuration
from schemas.corpus import CORPUS
from schemas.decisions import DECISIONS
from schemas.documents import DOCUMENTS
from spark_jobs.run_stage import Stage


class Config(configuration.Config):
    """How the corpus presents itself to training."""

    source: str = Field(default="web", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name under which a training plan weights these documents."""
    broadcast_kept: bool = True
    """Send the ids of the kept documents to every worker, so that no text is shuffled. Each million takes about 100 MB; beyond some tens of millions
    a crawl, set this to false."""


def transform(documents: DataFrame, decisions: DataFrame, *, config: Config) -> DataFrame:
    """The kept documents, each with its weight."""
    kept = decisions.where(F.col("outcome") == "kept").select("doc_id", "weight")
    columns = ("doc_id", "crawl", "url", "domain", "language", "text", "warc_path", "warc_offset")
    texts = documents.where(F.col("extract_status") == "extracted").select(*columns)
    return (
        texts.join(F.broadcast(kept) if config.broadcast_kept else kept, on="doc_id", how="inner")
        .withColumn("source", F.lit(config.source))
        .select(*CORPUS.column_names)
    )


STAGE = Stage(name="assemble_corpus", reads=(DOCUMENTS, DECISIONS), writes=CORPUS, config=Config, transform=transform)
