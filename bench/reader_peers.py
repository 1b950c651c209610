"""The readers of `bench/readers.py`, each in a process of its own: `reader_peers.py measure READER FOLDER EPOCH
RATE` prints one line of JSON.

Every reader gives batches of 256 sequences of 2,048 tokens with their targets, as arrays of 64-bit integers, in its
shuffled order, on one core and without further processes. Each imports what it needs itself: they do not live in one
environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np

LENGTH = 2048
BATCH = 256
MANY = 1_000
WARM_BATCHES = 2
SEED = 1
TOKEN_TYPE = "<u2"

type Batches = Generator[Any, None, None]
type Reader = Callable[[int], Batches]


def headwater(lake: Path) -> Reader:
    from training.config import TrainingConfig
    from training.order.plan_stages import make_plan
    from training.reading.delta_tokens import open_tokens
    from training.reading.loader import BatchReader

    def batches(first: int) -> Batches:
        sizes = {"data": {"sequence_length": LENGTH}, "batch": {"tokens": BATCH * LENGTH, "micro_sequences": BATCH}}
        table = open_tokens(str(lake), None)
        reader = BatchReader(make_plan(TrainingConfig.model_validate(sizes), table), table, rank=0, ranks=1)
        while True:
            yield reader.read(first)
            first += 1

    return batches


def megatron(prefixes: Path, samples: int) -> Reader:
    """GPTDataset, blended where there are several prefixes, in Megatron's consecutive order of its own shuffled
    samples."""
    from types import SimpleNamespace

    import torch
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig

    torch.set_num_threads(1)

    def batches(first: int) -> Batches:
        names = sorted(str(path.with_suffix("")) for path in prefixes.glob("*.idx"))
        config = GPTDatasetConfig(
            random_seed=SEED,
            sequence_length=LENGTH,
            blend=(names, None if len(names) == 1 else [1.0] * len(names)),
            split="1,0,0",
            path_to_cache=str(prefixes / "cache"),
            tokenizer=SimpleNamespace(eod=0, vocab_size=50_000, unique_identifiers={"class": "random"}),
            reset_position_ids=False,
            reset_attention_mask=False,
            eod_mask_loss=False,
            create_attention_mask=False,
        )
        data = BlendedMegatronDatasetBuilder(GPTDataset, (samples, 0, 0), lambda: True, config).build()[0]
        places = (range(start, start + BATCH) for start in range(first * BATCH, len(data) - BATCH, BATCH))
        yield from torch.utils.data.DataLoader(data, batch_sampler=places, num_workers=0)

    return batches


def mosaic(shards: Path, samples: int) -> Reader:
    import torch
    from streaming import StreamingDataLoader, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    torch.set_num_threads(1)
    # What a killed process left behind keeps the next one from starting.
    clean_stale_shared_memory()

    def collate(rows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        tokens = torch.from_numpy(np.stack([row["tokens"] for row in rows]).astype(np.int64))
        return {"tokens": tokens[:, :-1], "labels": tokens[:, 1:]}

    def batches(first: int) -> Batches:
        data = StreamingDataset(local=str(shards), batch_size=BATCH, shuffle=True, shuffle_seed=SEED)
        loader = StreamingDataLoader(data, batch_size=BATCH, num_workers=0, collate_fn=collate, drop_last=True)
        if first:
            nodes = {"num_canonical_nodes": data.num_canonical_nodes or 1, "initial_physical_nodes": 1}
            loader.load_state_dict({"epoch": 0, "sample_in_epoch": first * BATCH, "shuffle_seed": SEED, **nodes})
        yield from loader

    return batches


def open_reader(name: str, folder: Path) -> Reader:
    """A reader by its name, `-few` or `-many` being the form that it reads."""
    kind, form = name.rsplit("-", 1)
    samples = json.loads((folder / "mosaic-few" / "samples.json").read_text())
    if kind == "headwater":
        return headwater(folder / f"lake-{form}")
    return {"megatron": megatron, "mosaic": mosaic}[kind](folder / f"{kind}-{form}", samples // BATCH * BATCH)


def measure(name: str, folder: Path, epoch_batches: int, rate_batches: int) -> dict[str, float]:
    """Seconds to the first batch, to the first one of a second start, and to that at 90 % of the epoch; tokens a
    second of `rate_batches`; memory."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    started = time.perf_counter()
    reader = open_reader(name, folder)
    found: dict[str, float] = {"import_seconds": time.perf_counter() - started}
    before = resident_bytes()
    found["first_batch_cold"], stream = first_batch(reader, 0)
    if rate_batches:
        found |= rate(stream, rate_batches)
    found |= {"peak_bytes": resident_bytes("VmHWM"), "peak_bytes_beyond_imports": resident_bytes("VmHWM") - before}
    stream.close()
    found["first_batch_again"], stream = first_batch(reader, 0)
    stream.close()
    found["resume"], stream = first_batch(reader, epoch_batches * 9 // 10)
    stream.close()
    if rate_batches and name.startswith("headwater"):
        # The first epoch is the stored order; later ones are permuted.
        _, stream = first_batch(reader, epoch_batches + 1)
        found |= {f"{key}_later_epoch": value for key, value in rate(stream, rate_batches).items()}
    return found


def first_batch(reader: Reader, first: int) -> tuple[float, Batches]:
    """Seconds from nothing to batch `first`, and the stream of those after it."""
    started = time.perf_counter()
    stream = reader(first)
    next(stream)
    return time.perf_counter() - started, stream


def rate(stream: Batches, batches: int) -> dict[str, float]:
    for _ in range(WARM_BATCHES):
        next(stream)
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(stream)
    tokens = batches * BATCH * LENGTH
    return {
        "tokens_per_second": tokens / (time.perf_counter() - clock),
        "tokens_per_processor_second": tokens / (time.process_time() - processor),
    }


def resident_bytes(line: str = "VmRSS") -> int:
    """Memory of this process, mapped files included."""
    status = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) * 1024


def split_megatron(folder: Path) -> None:
    """The documents of one prefix in `MANY` prefixes, by Megatron's own writer."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

    whole = IndexedDataset(str(folder / "megatron-few" / "web"), multimodal=False, mmap=True)
    out = folder / "megatron-many"
    out.mkdir()
    for part in range(MANY):
        writer = IndexedDatasetBuilder(str(out / f"{part:04d}.bin"), dtype=np.uint16)
        for document in range(part * len(whole) // MANY, (part + 1) * len(whole) // MANY):
            writer.add_document(whole[document], [len(whole[document])])
        writer.finalize(str(out / f"{part:04d}.idx"))


def write_mosaic(folder: Path) -> None:
    """The same tokens cut into sequences, as llm-foundry writes them: in shards of 64 MiB, and in about `MANY`
    shards."""
    from streaming import MDSWriter

    ids = np.memmap(folder / "megatron-few" / "web.bin", TOKEN_TYPE, "r")
    samples = (len(ids) - 1) // LENGTH
    for form, shard_bytes in (("few", 1 << 26), ("many", ids.nbytes // MANY)):
        columns = {"tokens": f"ndarray:uint16:{LENGTH + 1}"}
        with MDSWriter(out=str(folder / f"mosaic-{form}"), columns=columns, size_limit=shard_bytes) as writer:
            for sample in range(samples):
                writer.write({"tokens": np.array(ids[sample * LENGTH : (sample + 1) * LENGTH + 1])})
    (folder / "mosaic-few" / "samples.json").write_text(json.dumps(samples))


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "measure":
        print(json.dumps(measure(rest[0], Path(rest[1]), int(rest[2]), int(rest[3]))))
    else:
        {"split-megatron": split_megatron, "write-mosaic": write_mosaic}[verb](Path(rest[0]))
