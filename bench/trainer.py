"""Tokens a second of the reader and of the trainer, each beside its bound in the same run: `python bench/trainer.py
--lake DIR [--ranks N]`.

Without a lake a table of random tokens is written first. The reader is compared with pyarrow alone reading the same
column; the ratios matter, not the figures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from schemas.tables.tokens import TOKENIZERS, TOKENS
from training.config import BatchConfig, DataConfig, TrainingConfig, load_recipe
from training.order.plan_stages import make_plan
from training.reading.delta_tokens import TokenTable, open_table, open_tokens, system_of
from training.reading.loader import BatchReader
from training.watching.metrics import read_metrics

RANDOM_TOKENS = 40_000_000
DOCUMENT_TOKENS = 1_000
BATCH_SEQUENCES = 256
SEQUENCE_LENGTH = 2048
TRAINER_STEPS = 30
WARM_STEPS = 5
READINGS = (
    ("reader, first epoch", 0, "chop"),
    ("reader, later epochs", 1, "chop"),
    ("reader, best fit, masked", 0, "best_fit"),
)


def write_random_lake(folder: Path) -> Path:
    """Uniform token ids below 4096 in documents of equal length, in two files."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {
        token: number
        for number, token in enumerate(["<|endoftext|>", *alphabet, *(f"<{n}>" for n in range(4095 - len(alphabet)))])
    }
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.decoder = decoders.ByteLevel()
    definition = tokenizer.to_str()
    draw = np.random.default_rng(0)
    documents = RANDOM_TOKENS // DOCUMENT_TOKENS
    for half in range(2):
        first = half * documents // 2
        count = documents // 2
        tokens = draw.integers(0, 4096, (count, DOCUMENT_TOKENS), dtype=np.uint16)
        data = {
            "doc_id": [f"{first + n:032x}" for n in range(count)],
            "source": ["random"] * count,
            "increment": [0] * count,
            "shuffle_key": range(first, first + count),
            "weight": [1.0] * count,
            "n_tokens": [DOCUMENT_TOKENS] * count,
            "tokens": [row.tobytes() for row in tokens],
            "tokenizer": ["f" * 64] * count,
            "text_hash": ["0" * 64] * count,
        }
        write_deltalake(
            str(folder / "tokens"),
            pa.table(data, schema=TOKENS.arrow()),
            mode="append",
            partition_by=TOKENS.partition_by,
        )
    row = {
        "fingerprint": "f" * 64,
        "kind": "random",
        "vocabulary_size": 4096,
        "end_of_document_id": 0,
        "definition": definition,
        "sample_documents": 0,
        "sample_bytes": 0,
        **{name: [] for name in ("languages", "sample_characters", "tokens_per_word", "bytes_per_token", "held_out")},
    }
    write_deltalake(str(folder / "tokenizers"), pa.Table.from_pylist([row], schema=TOKENIZERS.arrow()))
    return folder


def pyarrow_alone(lake: str, table: TokenTable) -> float:
    """Tokens a second when every row group's tokens column is read and dropped."""
    files = system_of(open_table(lake, TOKENS, table.version))
    started = time.perf_counter()
    for file in table.files:
        with pq.ParquetFile(file.path, filesystem=files) as parquet:
            for group in range(parquet.num_row_groups):
                parquet.read_row_group(group, columns=["tokens"])
    return table.tokens / (time.perf_counter() - started)


def reader_alone(table: TokenTable, epoch: int, packing: str) -> float:
    """Tokens a second of batches as the trainer gets them, from one epoch."""
    length = min(SEQUENCE_LENGTH, max(2, table.tokens // (4 * BATCH_SEQUENCES)))
    data = DataConfig(sequence_length=length, packing=packing, document_mask=packing == "best_fit")
    batch = BatchConfig(tokens=length * BATCH_SEQUENCES, micro_sequences=BATCH_SEQUENCES)
    plan = make_plan(TrainingConfig(data=data, batch=batch), table)
    batches = max(1, table.tokens // batch.tokens)
    reader = BatchReader(plan, table, rank=0, ranks=1)
    started = time.perf_counter()
    for index in range(epoch * batches, (epoch + 1) * batches):
        reader.read(index)
    return batches * batch.tokens / (time.perf_counter() - started)


def trainer(lake: str, ranks: int) -> tuple[float, float]:
    """Median tokens a second, and share of time spent waiting for data, of the bundled CPU recipe after its first
    steps."""
    with tempfile.TemporaryDirectory() as out:
        settings = [f"steps={TRAINER_STEPS}", "sample.lines=0", "checkpoint.every=1000"]
        options = [part for setting in settings for part in ("--set", setting)]
        command = [
            sys.executable,
            "-m",
            "training.run",
            "tiny_cpu",
            "--lake",
            lake,
            "--out",
            out,
            "--ranks",
            str(ranks),
            *options,
        ]
        subprocess.run(command, check=True, capture_output=True)
        steps = read_metrics(Path(out))[WARM_STEPS:]
        return median(step.tokens_per_second for step in steps), median(step.data_wait for step in steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", help="a lake with a tokens table; random tokens otherwise")
    parser.add_argument("--ranks", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = arguments.lake or str(write_random_lake(Path(folder)))
        table = open_tokens(lake, None)
        bound = pyarrow_alone(lake, table)
        print(f"{table.tokens:,} tokens in {len(table.files)} file(s)")
        print(f"pyarrow alone           {bound:>14,.0f} tokens/s")
        for name, epoch, packing in READINGS:
            rate = reader_alone(table, epoch, packing)
            print(f"{name:<23} {rate:>14,.0f} tokens/s  {rate / bound:6.1%} of pyarrow")
        parameters = load_recipe("tiny_cpu").model.parameters(table.tokenizer.vocabulary_size)
        rate, wait = trainer(lake, arguments.ranks)
        print(
            f"trainer, {parameters / 1e6:.1f} M weights  {rate:>14,.0f} tokens/s  on {arguments.ranks} rank(s), "
            f"{wait:.2%} of the time waiting for data"
        )


if __name__ == "__main__":
    main()
