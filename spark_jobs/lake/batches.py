"""Arrow batches of a stage whose work is a function of single documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame

from schemas.contract import Table


def map_batches(documents: DataFrame, function: Callable[[pa.RecordBatch], pa.RecordBatch], table: Table) -> DataFrame:
    """The rows of `table` that the function makes of batches of documents, on the workers."""

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return map(function, batches)

    return documents.mapInArrow(apply, table.spark()).select(*table.column_names)


def batch_of_rows(rows: Iterable[Sequence[object]], table: Table) -> pa.RecordBatch:
    """Rows in contract order as a batch; of no rows an empty one."""
    schema = table.arrow()
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
