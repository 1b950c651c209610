"""Small lakes without Spark, and ranks that are started once for many runs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from schemas.tables.tokens import TOKENIZERS, TOKENS

REPOSITORY = Path(__file__).resolve().parents[2]
END = "<|endoftext|>"


def synthetic_documents(count: int, seed: int = 0) -> list[str]:
    """Sentences of a small grammar: enough structure for a loss to fall."""
    draw = random.Random(seed)
    nouns = ["river", "mill", "stone", "bridge", "valley", "spring", "meadow", "heron", "willow", "boat"]
    verbs = ["carries", "follows", "turns", "crosses", "feeds", "hides", "mirrors"]
    lines = []
    for _ in range(count):
        sentences = [
            f"The {draw.choice(nouns)} {draw.choice(verbs)} the {draw.choice(nouns)}."
            for _ in range(draw.randint(3, 30))
        ]
        lines.append(" ".join(sentences))
    return lines


def make_tokenizer(texts: list[str], vocabulary_size: int = 320) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size, special_tokens=[END, "<|padding|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_rows(
    tokenizer: Tokenizer, texts: list[str], source: str = "web", weights: tuple[float, ...] = (1.0,)
) -> list[dict[str, Any]]:
    """Rows of `tokens` in stored order; texts take `weights` in turn."""
    fingerprint = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
    rows = []
    for number, text in enumerate(texts):
        doc_id = hashlib.md5(f"{source}/{number}".encode()).hexdigest()
        ids = [*tokenizer.encode(text).ids, tokenizer.token_to_id(END)]
        rows.append(
            {
                "doc_id": doc_id,
                "source": source,
                "increment": 0,
                "shuffle_key": int(doc_id[:16], 16) - (1 << 63),
                "weight": weights[number % len(weights)],
                "n_tokens": len(ids),
                "tokens": np.array(ids, "<u2").tobytes(),
                "tokenizer": fingerprint,
                "text_hash": hashlib.sha256(text.encode()).hexdigest(),
            }
        )
    return sorted(rows, key=lambda row: (row["source"], row["shuffle_key"], row["doc_id"]))


def write_lake(
    folder: Path,
    rows: list[dict[str, Any]],
    tokenizer: Tokenizer | None,
    files: int = 1,
    rows_per_group: int | None = None,
) -> Path:
    """A lake with `tokens` cut into `files` files by range of the order, and `tokenizers` (none for an empty table)."""
    from deltalake import WriterProperties

    for part in range(files):
        chunk = rows[part * len(rows) // files : (part + 1) * len(rows) // files]
        properties = WriterProperties(max_row_group_size=rows_per_group) if rows_per_group else None
        data = pa.Table.from_pylist(chunk, schema=TOKENS.arrow())
        write_deltalake(
            str(folder / "tokens"), data, mode="append", partition_by=TOKENS.partition_by, writer_properties=properties
        )
    definitions = []
    if tokenizer is not None:
        definition = tokenizer.to_str()
        definitions.append(
            {
                "fingerprint": hashlib.sha256(definition.encode()).hexdigest(),
                "kind": "byte-level-bpe",
                "vocabulary_size": tokenizer.get_vocab_size(),
                "end_of_document_id": tokenizer.token_to_id(END),
                "definition": definition,
                "sample_documents": 1,
                "sample_bytes": 1,
                **{
                    name: []
                    for name in ("languages", "sample_characters", "tokens_per_word", "bytes_per_token", "held_out")
                },
            }
        )
    write_deltalake(
        str(folder / "tokenizers"), pa.Table.from_pylist(definitions, schema=TOKENIZERS.arrow()), mode="overwrite"
    )
    return folder


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return make_tokenizer(synthetic_documents(50))


@pytest.fixture(scope="session")
def lake(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 20,000 tokens of one source in three files."""
    rows = token_rows(tokenizer, synthetic_documents(220, seed=1))
    return write_lake(tmp_path_factory.mktemp("lake"), rows, tokenizer, files=3, rows_per_group=40)


@pytest.fixture(scope="session")
def new_lake() -> Callable[..., Path]:
    return write_lake


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., list[dict[str, Any]]]:
    return token_rows


@pytest.fixture(scope="session")
def texts_of() -> Callable[..., list[str]]:
    return synthetic_documents


@pytest.fixture(scope="session")
def tokenizer_of() -> Callable[..., Tokenizer]:
    return make_tokenizer


@pytest.fixture(scope="session")
def two_sources(tokenizer: Tokenizer) -> Callable[[int, int], list[dict[str, Any]]]:
    """`two_sources(30, 50)`: rows of 30 documents of the source books and 50 of web, always the same."""

    def rows(books: int, web: int) -> list[dict[str, Any]]:
        return [
            *token_rows(tokenizer, synthetic_documents(books, seed=2), "books"),
            *token_rows(tokenizer, synthetic_documents(web, seed=3), "web"),
        ]

    return rows


@pytest.fixture(scope="session")
def two_source_lake(
    two_sources: Callable[..., list[dict[str, Any]]], tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """`two_source_lake(30, 50, files=2)`: a lake of these rows, laid out as `write_lake` is told."""

    def make(books: int, web: int, **layout: int) -> Path:
        return write_lake(tmp_path_factory.mktemp("two_sources"), two_sources(books, web), tokenizer, **layout)

    return make


@pytest.fixture(scope="session")
def tokenizer_of_kind() -> Callable[..., Tokenizer]:
    """`tokenizer_of_kind("sentencepiece-bpe", texts, special_tokens)`: trained as `train_tokenizer` does."""
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install headwater[spark]")
    from spark_jobs.kernels.tokenization.byte_level_bpe import train_byte_level_bpe
    from spark_jobs.kernels.tokenization.sentencepiece_model import as_tokenizer, train_sentencepiece

    def train(kind: str, texts: list[str], special_tokens: tuple[str, ...]) -> Tokenizer:
        if kind == "byte-level-bpe":
            return train_byte_level_bpe(texts, 400, split_digits=True, special_tokens=special_tokens)
        options = {"split_digits": True, "special_tokens": special_tokens, "character_coverage": 1.0}
        return as_tokenizer(
            train_sentencepiece(texts, 480, algorithm="bpe" if kind == "sentencepiece-bpe" else "unigram", **options)
        )

    return train


@pytest.fixture(scope="session")
def run_ranks() -> Callable[..., list[str]]:
    """`run_ranks("jobs.py", folder, 2)`: runs `jobs.py FOLDER RANK` on two real ranks; what each of them printed."""

    def run(script: str, folder: Path, ranks: int) -> list[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, str(Path(__file__).with_name(script)), str(folder)]
        logs = [(folder / f"rank-{rank}.log").open("w") for rank in range(ranks)]
        children = [
            subprocess.Popen([*command, str(rank)], env=environment, stdout=log, stderr=subprocess.STDOUT)
            for rank, log in enumerate(logs)
        ]
        try:
            while any(child.poll() is None for child in children) and not any(child.poll() for child in children):
                time.sleep(0.2)
            codes = [child.poll() for child in children]
        finally:
            for child in children:
                child.kill()
                child.wait()
            for log in logs:
                log.close()
        said = [(folder / f"rank-{rank}.log").read_text() for rank in range(ranks)]
        assert codes == [0] * ranks, "\n".join(text[-4000:] for text in said)
        return said

    return run


@pytest.fixture(scope="session")
def run_jobs(run_ranks: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Starts real gloo ranks once and runs a list of jobs on them, each on as many ranks as its layout needs."""

    def run(jobs: list[dict[str, Any]], ranks: int) -> None:
        folder = tmp_path_factory.mktemp("ranks")
        (folder / "jobs.json").write_text(json.dumps(jobs))
        run_ranks("run_jobs.py", folder, ranks)

    return run
