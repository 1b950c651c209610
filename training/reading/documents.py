"""The documents of a table's increments, as the order asks for them where they have weights."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.order.layers import Documents
from training.reading.delta_tokens import OPENING_THREADS, TokenTable, system_at


class TableDocuments:
    """Reads three columns of an increment when it is first asked for, once; reader threads share it."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._read: dict[tuple[str, int], Documents] = {}

    def __call__(self, source: str, increment: int) -> Documents:
        with self._lock:
            if (source, increment) not in self._read:
                self._read[source, increment] = read_documents(self._table, source, increment)
            return self._read[source, increment]


def read_documents(table: TokenTable, source: str, increment: int) -> Documents:
    """The documents of an increment of a source in stored order."""
    system, columns = system_at(table.uri), ["shuffle_key", "n_tokens", "weight"]
    paths = [file.path for file in table.part_files(source, increment)]

    def read(path: str) -> pa.Table:
        with pq.ParquetFile(path, filesystem=system) as file:
            return file.read(columns=columns, use_threads=False)

    with ThreadPoolExecutor(OPENING_THREADS) as pool:
        rows = pa.concat_tables(pool.map(read, paths))
    sizes = rows["n_tokens"].to_numpy().astype(np.int64)
    return Documents(rows["shuffle_key"].to_numpy(), np.concatenate([[0], np.cumsum(sizes)]), rows["weight"].to_numpy())
