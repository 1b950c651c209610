"""Our reader beside Megatron's GPTDataset and Mosaic's StreamingDataset on the same tokens: `python bench/readers.py
[--tokens N] [--folder DIR]`.

Every figure is of one core and of a process of its own. The table is printed and written to
bench/results/readers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from peer_environment import REPOSITORY, streaming_python
from reader_peers import BATCH, LENGTH
from reader_tokens import READER_PEERS, prepare

RESULTS = REPOSITORY / "bench" / "results" / "readers.json"
FORMS = {"few": "few large files", "many": "1,000 files"}
READERS = ("headwater", "megatron", "mosaic")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build" / "bench-readers")
    arguments = parser.parse_args()
    folder = arguments.folder
    prepare(folder, arguments.tokens)
    rows = {reader: measure(reader, folder, arguments.tokens) for reader in READERS}
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    RESULTS.write_text(json.dumps({"tokens": arguments.tokens, "machine": machine, "readers": rows}, indent=1) + "\n")
    show(rows)


def measure(reader: str, folder: Path, tokens: int) -> dict[str, float]:
    """All figures of a reader, those of a form of its data ending with the form's name."""
    batches = tokens // (BATCH * LENGTH)
    row: dict[str, float] = {}
    for form in FORMS:
        data = folder / f"{reader.replace('headwater', 'lake')}-{form}"
        start_cold(data)
        found = run(f"{reader}-{form}", folder, batches, batches * 2 // 3 if form == "few" else 0)
        if form == "few":
            row |= {key: value for key, value in found.items() if not key.startswith(("first", "resume"))}
        row |= {f"{key}_{form}": found[key] for key in ("first_batch_cold", "first_batch_again", "resume")}
        row[f"index_bytes_{form}"] = index_bytes(reader, data, tokens)
    return row


def run(name: str, folder: Path, epoch_batches: int, rate_batches: int) -> dict[str, float]:
    """One reader of one form in a process of its own."""
    python = streaming_python() if name.startswith("mosaic") else sys.executable
    command = [
        python,
        "-W",
        "ignore",
        str(READER_PEERS),
        "measure",
        name,
        str(folder),
        str(epoch_batches),
        str(rate_batches),
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(REPOSITORY),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def start_cold(data: Path) -> None:
    """Remove what was built, and ask the kernel to drop all files from memory."""
    shutil.rmtree(data / "cache", ignore_errors=True)
    for path in data.rglob("*"):
        if path.is_file():
            forget(path)


def forget(path: Path) -> None:
    """Ask the kernel to drop a file's pages."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def index_bytes(reader: str, data: Path, tokens: int) -> int:
    """What is stored or built, besides the tokens and the table's own log, so that a sample can be found."""
    if reader == "headwater":
        return 0
    if reader == "megatron":
        return sum(path.stat().st_size for path in [*data.glob("*.idx"), *(data / "cache").rglob("*.npy")])
    # The order of an epoch is an array of 64-bit sample numbers in shared memory.
    return (data / "index.json").stat().st_size + tokens // LENGTH * 8


def show(rows: dict[str, dict[str, float]]) -> None:
    lines = [
        ("tokens/s of processor time", "tokens_per_processor_second", "{:,.0f}"),
        ("tokens/s by the clock", "tokens_per_second", "{:,.0f}"),
        ("peak memory, bytes", "peak_bytes", "{:,.0f}"),
        ("... beyond imports, bytes", "peak_bytes_beyond_imports", "{:,.0f}"),
    ]
    for form, words in FORMS.items():
        lines += [
            (f"first batch, cold, {words}, s", f"first_batch_cold_{form}", "{:.2f}"),
            (f"first batch, again, {words}, s", f"first_batch_again_{form}", "{:.2f}"),
            (f"resume at 90 %, {words}, s", f"resume_{form}", "{:.2f}"),
            (f"index, {words}, bytes", f"index_bytes_{form}", "{:,.0f}"),
        ]
    print(f"{'':<42}" + "".join(f"{reader:>16}" for reader in rows))
    for words, key, form in lines:
        print(f"{words:<42}" + "".join(f"{form.format(row[key]):>16}" for row in rows.values()))
    print(
        f"{'headwater, later epochs, tokens/s of processor time':<58}"
        f"{rows['headwater']['tokens_per_processor_second_later_epoch']:,.0f}"
    )


if __name__ == "__main__":
    main()
