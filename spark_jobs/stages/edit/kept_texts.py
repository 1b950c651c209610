"""The texts of kept documents, for the stages that look for what is to be edited in them, and what such a stage
gives out."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.contract import Table


def kept_texts(documents: DataFrame, decisions: DataFrame, *columns: str, broadcast_kept: bool) -> DataFrame:
    """`columns` of the kept documents; with `broadcast_kept` only their ids travel, to every worker."""
    kept = decisions.where(F.col("outcome") == "kept").select("doc_id")
    texts = documents.where(F.col("extract_status") == "extracted").select(*columns)
    return texts.join(F.broadcast(kept) if broadcast_kept else kept, "doc_id", how="left_semi")


def span_batch(rows: Iterable[tuple[str | int, ...]], spans: Table) -> pa.RecordBatch:
    """Rows in contract order as a batch of a table of spans; of no rows an empty one."""
    columns = list(zip(*rows, strict=True)) or [()] * len(spans.columns)
    return pa.RecordBatch.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, spans.arrow(), strict=True)], schema=spans.arrow()
    )
