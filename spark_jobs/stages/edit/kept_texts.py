"""The texts of kept documents, for the stages that look for what is to be edited in them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.lake.session import on_every_worker


def kept_texts(documents: DataFrame, decisions: DataFrame, *columns: str) -> DataFrame:
    """`columns` of the kept documents; only their ids travel."""
    kept = decisions.where(F.col("outcome") == "kept").select("doc_id")
    texts = documents.where(F.col("extract_status") == "extracted").select(*columns)
    return texts.join(on_every_worker(kept), "doc_id", how="left_semi")
