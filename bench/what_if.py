"""How long `corpus what-if` takes over 100,000 documents' signals, from the start of the process to its last line.

The rows are synthetic (numbers drawn at random, ids as hashes); only the time is of interest. Prints a JSON line
with the seconds of each of three runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from schemas.contract import Table
from schemas.tables.crawls import CRAWLS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import SIMILARITIES
from schemas.tables.minhash import BAND_INDEX
from spark_jobs.signals import SIGNALS, SIGNALS_TABLE

REPOSITORY = Path(__file__).resolve().parents[1]
RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_lake(folder, arguments.documents)
        seconds = []
        for _ in range(RUNS):
            started = time.perf_counter()
            command = [
                sys.executable,
                "-m",
                "spark_jobs.submit",
                "what-if",
                "english_web",
                "technical_documentation",
                "--lake",
                folder,
            ]
            answer = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
            seconds.append(round(time.perf_counter() - started, 2))
    print("\n".join(answer.splitlines()[:9]))
    print(json.dumps({"documents": arguments.documents, "seconds": seconds}))


def write_lake(folder: str, count: int) -> None:
    draw = np.random.default_rng(0)
    ids = [hashlib.md5(str(i).encode()).hexdigest() for i in range(count)]
    status = draw.choice(["extracted", "skipped", "failed"], count, p=[0.9, 0.09, 0.01])
    has_text = status == "extracted"
    documents = {
        "doc_id": ids,
        "crawl": ["c"] * count,
        "extract_status": status,
        "extract_reason": [None if extracted else "mime" for extracted in has_text],
        "language": draw.choice(["en", "de", "fr", "ru"], count, p=[0.7, 0.1, 0.1, 0.1]),
        "language_score": draw.uniform(0.4, 1, count),
        "domain": [f"d{number}.example" for number in draw.zipf(1.3, count) % 50_000],
        "text": ["x" * 500] * count,
        "text_hash": [ids[i - 1] if i % 20 == 0 and i else ids[i] for i in range(count)],
    }
    measured = [doc_id for doc_id, extracted in zip(ids, has_text, strict=True) if extracted]
    signals = {"doc_id": measured, "crawl": ["c"] * len(measured)}
    for signal in SIGNALS:
        # A few in a hundred outside of each limit.
        low, high = (signal.default.min or 0, signal.default.max) if signal.default is not None else (0, None)
        high = high if high is not None else signal.at_most or 2 * low or 1000
        values = np.clip(
            draw.uniform(low - 0.02 * (high - low), high + 0.02 * (high - low), len(measured)),
            0,
            signal.at_most or np.inf,
        )
        signals[signal.column.name] = values.astype(np.int64 if signal.type == "long" else np.float64)
    write(folder, DOCUMENTS, documents)
    write(folder, SIGNALS_TABLE, signals)
    # One in twenty texts is another's, and one in fifty shares a bucket with its neighbour.
    write(folder, CRAWLS, {"crawl": ["c"], "ordinal": [0]})
    alike = measured[::50]
    bands = {"band": [0] * len(alike), "band_key": [place // 2 for place in range(len(alike))]}
    write(folder, BAND_INDEX, {"doc_id": alike, "crawl": ["c"] * len(alike)} | bands)
    texts = dict(zip(ids, documents["text_hash"], strict=True))
    pairs = [sorted((texts[one], texts[two])) for one, two in zip(alike[::2], alike[1::2], strict=False)]
    known = {"text": [pair[0] for pair in pairs], "other": [pair[1] for pair in pairs]}
    scheme = ["word 5-grams, version 1"] * len(pairs)
    write(folder, SIMILARITIES, known | {"similarity": [0.9] * len(pairs), "scheme": scheme})


def write(folder: str, table: Table, columns: dict[str, object]) -> None:
    """Columns that are not given are null."""
    count = len(next(iter(columns.values())))  # type: ignore[arg-type]
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in table.arrow()
    ]
    schema = pa.schema([field.with_nullable(True) for field in table.arrow()])
    write_deltalake(f"{folder}/{table.name}", pa.table(arrays, schema=schema))


if __name__ == "__main__":
    main()
