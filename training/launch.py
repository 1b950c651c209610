"""Ranks of a job: found in the variables of torchrun or srun, or started here on this machine. Imports no torch, so
it is quick to refuse."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from schemas.plumbing.errors import UsageError
from schemas.plumbing.exit_codes import DONE, FAILED, RUN_AGAIN
from schemas.plumbing.whole_file import write_whole
from training.watching.movement import FolderWatch

RENDEZVOUS = "HEADWATER_RENDEZVOUS"
"""Folder in which ranks that were started here meet, and leave the reason where they fail."""

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


@dataclass(frozen=True)
class Placement:
    """Who this process is in its job. `folder` is set where `start_ranks` started it."""

    rank: int
    world_size: int
    local_rank: int
    local_size: int
    folder: Path | None

    @property
    def rendezvous(self) -> str | None:
        return str(self.folder / "store") if self.folder else None


class StopRequest:
    """Whether this rank was asked to stop, by SIGUSR1 (a scheduler's warning) or SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def placement() -> Placement | None:
    """This process's place, from torchrun's variables or else srun's; None where it was started by hand.

    Raises `UsageError` under a torchrun whose restarts cannot work, and in a Slurm job whose first host is not known.
    """
    env = os.environ
    if env.get("TORCHELASTIC_USE_AGENT_STORE") == "True" and env.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
        # Torch 2.15: ranks that are started again find the addresses of those before them in torchrun's store, and
        # nobody there.
        raise UsageError("torchrun --max-restarts needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment")
    if "RANK" in env and "WORLD_SIZE" in env:
        folder = Path(env[RENDEZVOUS]) if RENDEZVOUS in env else None
        return Placement(
            int(env["RANK"]),
            int(env["WORLD_SIZE"]),
            int(env.get("LOCAL_RANK", "0")),
            int(env.get("LOCAL_WORLD_SIZE", "1")),
            folder,
        )
    if "SLURM_PROCID" in env and "SLURM_STEP_ID" in env:
        env.setdefault("MASTER_ADDR", _first_slurm_host())
        # Any port will do that two jobs on one machine do not share.
        env.setdefault("MASTER_PORT", str(20_000 + int(env.get("SLURM_JOB_ID", "0")) % 20_000))
        local_size = int(env.get("SLURM_NTASKS_PER_NODE", "0").split("(")[0]) or max(
            1, int(env["SLURM_NTASKS"]) // int(env.get("SLURM_NNODES", "1"))
        )
        return Placement(
            int(env["SLURM_PROCID"]), int(env["SLURM_NTASKS"]), int(env.get("SLURM_LOCALID", "0")), local_size, None
        )
    return None


def start_ranks(arguments: list[str], ranks: int, *, restarts: int = 0, watch: FolderWatch | None = None) -> int:
    """Run `python -m training.run ARGUMENTS` as `ranks` local ranks, and wait; returns the exit code of the job.

    SIGUSR1, SIGTERM and SIGINT go on to the ranks, which save and stop. The first rank to fail ends the others, and
    its message is printed. Where that was no fault of the request or of the data (a rank was killed, or hung, or a
    disk failed), all ranks are started again from the last commit, up to `restarts` times. `watch` tells of ranks
    that hang and cannot tell themselves.
    """
    stopped: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGUSR1 if number == signal.SIGUSR1 else signal.SIGTERM)

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)}
    try:
        for left in range(restarts, -1, -1):
            if watch:
                watch.begin()
            code = _run_ranks(arguments, ranks, children, watch)
            if code != FAILED or stopped or not left:
                break
            print(
                f"pretrain: starting again from the last checkpoint; restarts left: {left - 1}",
                file=sys.stderr,
                flush=True,
            )
        return code
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _run_ranks(
    arguments: list[str], ranks: int, children: list[subprocess.Popen[bytes]], watch: FolderWatch | None
) -> int:
    """Ranks from their start to their end; `children` holds them meanwhile."""
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="headwater-ranks-") as folder:
        common = {
            "WORLD_SIZE": str(ranks),
            "LOCAL_WORLD_SIZE": str(ranks),
            RENDEZVOUS: folder,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // ranks))),
        }
        try:
            for rank in range(ranks):
                environment = {**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                # A session of its own, so that what a rank starts can be ended with it.
                children.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "training.run", *arguments], env=environment, start_new_session=True
                    )
                )
            return _wait(children, Path(folder), watch)
        finally:
            _end(children)
            children.clear()


def fail(place: Placement, message: str, code: int) -> NoReturn:
    """End this rank with its reason, which goes to the process that started it, or is printed.

    Ends at once: an orderly end would wait for ranks that will not answer any more.
    """
    try:
        if place.folder is None:
            raise FileNotFoundError
        report = {"rank": place.rank, "time": time.time(), "message": message, "code": code}
        write_whole(place.folder / f"failure-{place.rank}.json", json.dumps(report))
    except OSError:
        # Nobody to tell, or no room to tell it in.
        print(f"pretrain: rank {place.rank}: {message}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


def end_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _wait(children: list[subprocess.Popen[bytes]], folder: Path, watch: FolderWatch | None) -> int:
    while True:
        codes = [child.poll() for child in children]
        if any(code not in (None, DONE, RUN_AGAIN) for code in codes):
            # Ranks that fail because another one has gone do so within moments; then the first cause can be told.
            time.sleep(0.5)
            message, code = _first_failure(
                folder, {rank: code for rank, child in enumerate(children) if (code := child.poll()) is not None}
            )
            print(f"pretrain: {message}", file=sys.stderr, flush=True)
            return code
        if None not in codes:
            return max(code for code in codes if code is not None)
        if watch and (hang := watch.hang(time.monotonic())):
            print(f"pretrain: {hang}", file=sys.stderr, flush=True)
            return FAILED
        time.sleep(0.1)


def _first_failure(folder: Path, codes: dict[int, int]) -> tuple[str, int]:
    """The message and exit code of the rank that failed first. One that was killed left no report, and the others'
    only tell of its absence."""
    reports = {
        report["rank"]: report for report in (json.loads(path.read_text()) for path in folder.glob("failure-*.json"))
    }
    for rank, code in codes.items():
        if rank not in reports and code < 0:
            return f"rank {rank} was killed by {signal.Signals(-code).name}", FAILED
    if reports:
        first = min(reports.values(), key=lambda report: float(report["time"]))
        return f"rank {first['rank']}: {first['message']}", int(first["code"])
    rank, code = next((rank, code) for rank, code in codes.items() if code not in (DONE, RUN_AGAIN))
    return f"rank {rank} ended with exit code {code}", FAILED


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """Kill what is left, the processes that ranks started included."""
    for child in children:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for child in children:
        child.wait()


def _first_slurm_host() -> str:
    if os.environ.get("SLURM_NNODES", "1") == "1":
        return "127.0.0.1"
    try:
        hosts = subprocess.run(
            ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]],
            capture_output=True,
            text=True,
            check=True,
        )
    except (KeyError, OSError, subprocess.CalledProcessError):
        raise UsageError("MASTER_ADDR is not set, and scontrol cannot tell the first host of this Slurm job") from None
    return hosts.stdout.split()[0]
