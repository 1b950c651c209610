"""Which page a document of the tokens is: its URL, domain and WARC record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from schemas.contract import Table
from schemas.plumbing.errors import NothingToDo
from schemas.tables.corpus import CORPUS
from schemas.tables.documents import DOCUMENTS
from training.reading.delta_table import open_table, system_of

HOLDERS = (CORPUS, DOCUMENTS)
"""Tables that say which page a document is, the smaller one first. What has left the corpus since it was trained on
is still a document."""


@dataclass(frozen=True)
class Page:
    """Where a document comes from."""

    doc_id: str
    url: str | None
    domain: str | None
    crawl: str
    warc_path: str
    warc_offset: int


def pages_of(lake: str, doc_ids: Iterable[str]) -> dict[str, Page]:
    """The pages of documents, by doc_id; one that the lake holds no more is left out."""
    wanted = set(doc_ids)
    pages: dict[str, Page] = {}
    for contract in HOLDERS:
        missing = pa.array(sorted(wanted - set(pages)), pa.string())
        if len(missing):
            pages |= {page.doc_id: page for page in _pages(lake, contract, pc.field("doc_id").isin(missing))}
    return pages


def find_pages(lake: str, name: str) -> list[Page]:
    """The documents that a doc_id, a URL or a domain names; `NothingToDo` where the lake has none.

    A domain is that of the registry (`example.org`); a name with a scheme or a path is a URL.
    """
    by_name = [pc.field(column) == name for column in ("doc_id", "url", "domain")]
    pages = {
        page.doc_id: page
        for contract in HOLDERS
        for page in _pages(lake, contract, by_name[0] | by_name[1] | by_name[2])
    }
    if not pages:
        raise NothingToDo(f"{name}: no document of the lake has this id, URL or domain")
    return sorted(pages.values(), key=lambda page: page.doc_id)


def _pages(lake: str, contract: Table, condition: Any) -> list[Page]:
    if not DeltaTable.is_deltatable(contract.uri(lake)):
        return []
    table = open_table(lake, contract)
    paths = [unquote(path) for path in pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()]
    # The partition's value is in the name of the folder, not in the file.
    files = ds.dataset(
        sorted(paths), filesystem=system_of(table), format="parquet", partitioning=ds.partitioning(flavor="hive")
    )
    columns = ["doc_id", "url", "domain", "crawl", "warc_path", "warc_offset"]
    return [Page(**row) for row in files.to_table(columns=columns, filter=condition).to_pylist()]
