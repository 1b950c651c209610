"""Rows of `documents` as a test states them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame

from schemas.documents import DOCUMENTS

_EXTRACTED = {"crawl": "c1", "warc_path": "a.warc.gz", "warc_offset": 0, "record_type": "response", "extract_status": "extracted", "text_hash": "00"}


@pytest.fixture(scope="session")
def documents_of(spark) -> Callable[..., DataFrame]:
    """`documents_of({"doc_id": ..., "text": ...}, ...)`: what a row does not state is that of an extracted page of crawl c1, or null."""

    def build(*rows: dict[str, Any]) -> DataFrame:
        values = [tuple((_EXTRACTED | row).get(name) for name in DOCUMENTS.column_names) for row in rows]
        return spark.createDataFrame(values, DOCUMENTS.spark())

    return build
