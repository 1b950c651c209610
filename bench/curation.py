"""WARC files to filtered documents on one core, beside datatrove in the same run: `python bench/curation.py
[WARC...] [--copies N]`.

Both are whole processes pinned to one core. Ours runs extract_text, score_signals and select_corpus by the policy
`fineweb` in a new lake, Delta tables written. Rates are by processor time, of all processes. Each side runs on the
files once and on N copies of them: the first rate has every start in it, the second, from the difference, has none.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from peer_environment import REPOSITORY, datatrove_python

REAL_PAGES = REPOSITORY.parent / "shared" / "data" / "warc"
HERE = Path(__file__).parent
SECONDS_BETWEEN_LOOKS = 0.2


def filter_pages(folder: str, lake_path: str, extractor: str) -> None:
    """The measured work of our side, in a process of its own."""
    from schemas.tables.decisions import DECISIONS
    from spark_jobs.lake.session import SessionConfig, start_session
    from spark_jobs.lake.stage import Lake, run_stage
    from spark_jobs.stages.decide import select_corpus
    from spark_jobs.stages.measure import score_signals
    from spark_jobs.stages.read import extract_text, read_warc

    spark = start_session(
        SessionConfig(master="local[1]", driver_memory="2g", shuffle_partitions=2), app_name="bench curation"
    )
    stages = (
        (extract_text.STAGE, {"extractor": extractor}),
        (score_signals.STAGE, {}),
        (select_corpus.STAGE, {"policy": "fineweb"}),
    )
    measured = {stage.writes.name for stage, _ in stages}
    absent = {
        table.name: spark.createDataFrame([], table.spark())
        for stage, _ in stages
        for table in stage.reads
        if table.name not in measured
    }
    lake = Lake(spark, lake_path, "bench", absent | {"warc_files": read_warc.warc_files(spark, f"{folder}/*", "bench")})
    for stage, settings in stages:
        run_stage(stage, lake, stage.config(**settings))
    kept = lake.read(DECISIONS, "crawl").where("outcome = 'kept'").count()
    print(json.dumps({"kept": kept}))


def command_headwater(folder: Path, out: Path, extractor: str = "headwater") -> list[str]:
    return [sys.executable, str(HERE / "curation.py"), "--measured", str(folder), str(out), extractor]


def command_datatrove(folder: Path, out: Path) -> list[str]:
    return [datatrove_python(), str(HERE / "datatrove_curation.py"), str(folder), str(out)]


def run_on_one_core(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Processor seconds of a process pinned to one core and of all that it starts, and the documents that it kept.

    Other work on the machine lengthens wall-clock time and hardly changes these. Raises `SystemExit` with the last
    words of a process that fails.
    """
    seconds: dict[int, float] = {}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as words:
        running = subprocess.Popen(
            ["taskset", "-c", "0", *command], stdout=output, stderr=words, text=True, env=environment
        )
        root = psutil.Process(running.pid)
        while running.poll() is None:
            for process in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    seconds[process.pid] = times.user + times.system
            time.sleep(SECONDS_BETWEEN_LOOKS)
        output.seek(0)
        words.seek(0)
        if running.returncode != 0:
            raise SystemExit(f"{command[:2]} failed:\n{words.read()[-2000:]}")
        return sum(seconds.values()), json.loads(output.read().strip().splitlines()[-1])["kept"]


def count_responses(file: Path) -> int:
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        return sum(line.lower().rstrip() == b"warc-type: response" for line in lines)


def measure(
    command: Callable[[Path, Path], list[str]], inputs: dict[int, Path], scratch: Path
) -> dict[int, tuple[float, int]]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(HERE)))}
    return {
        copies: run_on_one_core(command(folder, scratch / f"{command.__name__}-{copies}"), environment)
        for copies, folder in inputs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "warc",
        nargs="*",
        type=Path,
        default=sorted(REAL_PAGES.glob("web-pages-*.warc.gz")),
        help="WARC files with HTML responses",
    )
    parser.add_argument("--copies", type=int, default=3, help="copies of the files in the longer run")
    parser.add_argument("--measured", nargs=3, metavar=("FOLDER", "LAKE", "EXTRACTOR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measured:
        return filter_pages(*arguments.measured)
    files: list[Path] = arguments.warc
    if not files:
        parser.error("no WARC files: name some")
    pages = sum(map(count_responses, files))
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        scratch = Path(name)
        inputs = {count: scratch / f"pages-{count}" for count in (1, arguments.copies)}
        for count, folder in inputs.items():
            folder.mkdir()
            for copy in range(count):
                for file in files:
                    shutil.copyfile(file, folder / f"{copy}-{file.name}")
        peers = {
            "datatrove": measure(command_datatrove, inputs, scratch),
            "headwater": measure(command_headwater, inputs, scratch),
        }
    print(f"{pages} pages, and {arguments.copies} times as many; one core")
    print(f"{'':<12}{'kept':>8}{'seconds':>10}{'pages/s with start':>20}{'pages/s without':>17}")
    rates = {}
    for peer, runs in peers.items():
        (once, kept), (often, _) = runs[1], runs[arguments.copies]
        rates[peer] = (pages / once, pages * (arguments.copies - 1) / (often - once))
        print(f"{peer:<12}{kept:>8,}{once:>10.1f}{rates[peer][0]:>20.1f}{rates[peer][1]:>17.1f}")
    print(
        f"ratio: {rates['headwater'][0] / rates['datatrove'][0]:.2f} with start, "
        f"{rates['headwater'][1] / rates['datatrove'][1]:.2f} without"
    )
    return None


if __name__ == "__main__":
    main()
