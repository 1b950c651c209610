"""A rank that runs several training jobs one after the other: `run_jobs.py FOLDER RANK`. A start-up costs seconds, and a test has many layouts."""

import json
import shutil
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from schemas.exit_codes import DONE
from training.commit import read_commit
from training.config import ParallelConfig, TrainingConfig
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
        if "logits_of" in spec:
            write_logits(Path(spec["logits_of"]), spec["tokens"], Path(spec["out"]), device)
            continue
        if "evaluate" in spec:
            from training.asked import Asked, open_checkpoint
            from training.evaluate import evaluate

            checkpoint, asked = Path(spec["evaluate"]), Asked(tasks=("rivers",), tasks_folder=Path(spec["tasks_folder"]), memorised=8)
            evaluate(open_checkpoint(checkpoint, spec["lake"], asked), checkpoint, spec["lake"], asked, device)
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


def write_logits(checkpoint: Path, tokens: list[list[int]], out: Path, device: torch.device) -> None:
    """Logits of a checkpoint by megatron-core on one rank."""
    from megatron.core import dist_checkpointing

    from training import parallel
    from training.model import build_model

    commit = read_commit(checkpoint)
    config = TrainingConfig.model_validate(commit.config)
    mesh = parallel.stand_alone(device, seed=99)
    sizes = {"vocabulary_size": commit.vocabulary_size, "sequence_length": config.data.sequence_length}
    model, _ = build_model(config.model, ParallelConfig(), mesh, device, **sizes, dtype=torch.float32, seed=99, causal=config.objective.is_causal)
    loaded = dist_checkpointing.load({"model": model.sharded_state_dict(metadata=parallel.checkpoint_metadata())}, str(checkpoint))
    model.load_state_dict(loaded["model"])
    inputs = torch.tensor(tokens)
    with torch.no_grad():
        torch.save(model(inputs, torch.arange(inputs.shape[1]).expand_as(inputs), None), out)
    parallel.leave()


def wait_for_all(meeting: Path, rank: int, ranks: int) -> None:
    """So that every rank looks for a checkpoint only after the first one has put it there."""
    store = dist.FileStore(str(meeting / "before"), ranks)
    store.set(str(rank), "here")
    store.wait([str(other) for other in range(ranks)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
