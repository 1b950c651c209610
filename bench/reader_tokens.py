"""The same random tokens in the form of each reader of `bench/readers.py`: Delta tables, Megatron's .bin and .idx,
Mosaic's MDS shards."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.transaction import AddAction, CommitProperties
from peer_environment import streaming_python

from schemas.tables.tokens import TOKENIZERS, TOKENS
from training.exchange.export_megatron import export_megatron

VOCABULARY = 50_000
CHUNKS = 1_000
FEW_FILES = 8
MEAN_LOG_LENGTH, LOG_LENGTH_DEVIATION = 6.2, 1.0
"""Documents of 800 tokens in the mean, half of them below 500."""

READER_PEERS = Path(__file__).with_name("reader_peers.py")


def prepare(folder: Path, tokens: int) -> None:
    """Write all forms below `folder`, unless they are there."""
    done = folder / "done.json"
    if done.is_file() and json.loads(done.read_text()) == {"tokens": tokens}:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for name, files in (("few", FEW_FILES), ("many", CHUNKS)):
        write_lake(folder / f"lake-{name}", tokens, files)
    export_megatron(str(folder / "lake-few"), folder / "megatron-few")
    subprocess.run([sys.executable, READER_PEERS, "split-megatron", folder], check=True)
    subprocess.run([streaming_python(), READER_PEERS, "write-mosaic", folder], check=True)
    done.write_text(json.dumps({"tokens": tokens}))


def write_lake(lake: Path, tokens: int, files: int) -> None:
    """A lake whose `tokens` table is one source in `files` files; equal tokens in equal order, however many files."""
    folder = "source=web/increment=0"
    location = lake / "tokens" / folder
    location.mkdir(parents=True)
    schema = pa.schema([field for field in TOKENS.arrow() if field.name not in TOKENS.partition_by])
    actions, first = [], 0
    for file in range(files):
        lengths, ids = zip(
            *(
                chunk(number, tokens // CHUNKS)
                for number in range(file * CHUNKS // files, (file + 1) * CHUNKS // files)
            ),
            strict=True,
        )
        sizes, values = np.concatenate(lengths), np.concatenate(ids)
        count = len(sizes)
        offsets = np.concatenate([[0], np.cumsum(sizes) * 2]).astype(np.int32)
        columns = {
            "doc_id": pa.array([f"{first + row:032x}" for row in range(count)]),
            "shuffle_key": pa.array(np.arange(first, first + count)),
            "weight": pa.array(np.ones(count)),
            "n_tokens": pa.array(sizes.astype(np.int32)),
            "tokens": pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(values)]),
            "tokenizer": pa.array(["f" * 64] * count),
            "text_hash": pa.array(["0" * 64] * count),
        }
        path = location / f"part-{file:05d}.parquet"
        pq.write_table(pa.table(columns, schema=schema), path)
        keys = {"shuffle_key": first}, {"shuffle_key": first + count - 1}
        statistics = json.dumps({"numRecords": count, "minValues": keys[0], "maxValues": keys[1]})
        actions.append(
            AddAction(
                f"{folder}/{path.name}",
                path.stat().st_size,
                {"source": "web", "increment": "0"},
                int(time.time() * 1000),
                True,
                statistics,
            )
        )
        first += count
    table = DeltaTable.create(str(lake / "tokens"), TOKENS.arrow(), partition_by=TOKENS.partition_by)
    table.create_write_transaction(
        actions, "append", TOKENS.arrow(), list(TOKENS.partition_by), commit_properties=CommitProperties()
    )
    tokenizer = {
        "fingerprint": "f" * 64,
        "kind": "random",
        "vocabulary_size": VOCABULARY,
        "end_of_document_id": 0,
        "definition": "{}",
        "sample_documents": 0,
        "sample_bytes": 0,
        **{name: [] for name in ("languages", "sample_characters", "tokens_per_word", "bytes_per_token", "held_out")},
    }
    write_deltalake(str(lake / "tokenizers"), pa.Table.from_pylist([tokenizer], schema=TOKENIZERS.arrow()))


def chunk(number: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of documents that sum to `tokens`, and their ids end to end: as skewed as words are, each document
    closed by id 0."""
    draw = np.random.default_rng(number)
    lengths = np.maximum(2, draw.lognormal(MEAN_LOG_LENGTH, LOG_LENGTH_DEVIATION, tokens // 200).astype(np.int64))
    ends = np.cumsum(lengths)
    ends = np.append(ends[ends <= tokens - 2], tokens)
    ids = (VOCABULARY ** draw.random(tokens)).astype("<u2")
    ids[ends - 1] = 0
    return np.diff(ends, prepend=0), ids
