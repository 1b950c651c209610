"""A rank that runs several training jobs one after the other: `run_jobs.py FOLDER RANK`. A start-up costs seconds, and a test has many layouts."""

import json
import shutil
import sys
from pathlib import Path

from schemas.exit_codes import DONE
from training.config import TrainingConfig
from training.device import prepare_device, set_threads
from training.launch import Placement, StopRequest
from training.prepare import prepare


def main(folder: Path, rank: int) -> None:
    device = prepare_device(0)
    set_threads(4)
    from training.loop import run_rank

    stop = StopRequest()
    for number, spec in enumerate(json.loads((folder / "jobs.json").read_text())):
        if rank >= spec["ranks"]:
            continue
        out = Path(spec["out"])
        if rank == 0 and "continues" in spec:
            # As if the first run had been stopped after this checkpoint.
            former = Path(spec["continues"])
            shutil.copytree(former / "checkpoints" / spec["checkpoint"], out / "checkpoints" / spec["checkpoint"])
            shutil.copy(former / "metrics.jsonl", out / "metrics.jsonl")
        meeting = folder / f"job-{number}"
        meeting.mkdir(exist_ok=True)
        wait_for_all(meeting, rank, spec["ranks"])
        job = prepare(TrainingConfig.model_validate(spec["config"]), spec["lake"], out, spec["ranks"])
        code = run_rank(job, Placement(rank, spec["ranks"], rank, spec["ranks"], meeting), device, stop)
        if code != DONE:
            sys.exit(code)


def wait_for_all(meeting: Path, rank: int, ranks: int) -> None:
    """So that every rank looks for a checkpoint only after the first one has put it there."""
    import torch.distributed as dist

    store = dist.FileStore(str(meeting / "before"), ranks)
    store.set(str(rank), "here")
    store.wait([str(other) for other in range(ranks)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
