"""A rank that saves, fails to save, and goes back: `save_jobs.py FOLDER RANK`. Started once for all that is asked of
the saver; leaves what it saw as JSON."""

import json
import resource
import shutil
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from training.checkpoints.commit import committed, folder_of
from training.config import TrainingConfig
from training.launch import end_with_parent
from training.megatron.device import prepare_device, set_threads
from training.prepare import Job, prepare


def main(folder: Path, rank: int) -> None:
    end_with_parent()
    device = prepare_device(0)
    set_threads(2)
    from training.megatron import parallel
    from training.megatron.build import build

    spec = json.loads((folder / "spec.json").read_text())
    job = prepare(TrainingConfig.model_validate(spec["config"]), spec["lake"], folder / "run", 2)
    mesh = parallel.join(job.config.parallel, device, rank=rank, world_size=2, rendezvous=str(folder / "store"), seed=0)
    trainer = build(job, mesh, device)
    facts = {
        "two saves": two_saves(job, trainer.state, device),
        "failed save": failed_save(job, trainer.state, device),
        "small disk": small_disk(job, trainer.state, device, Path(spec["small_disk"])) if spec["small_disk"] else None,
        "flipped byte": flipped_byte(job, trainer.state),
        "due": when_due(job, trainer.state, device),
    }
    (folder / f"facts-{rank}.json").write_text(json.dumps(facts))
    parallel.leave()


def saver_of(job: Job, state: Any, device: torch.device, **changes: Any) -> Any:
    from training.checkpoints.saver import Saver

    config = job.config.checkpoint.model_copy(update=changes)
    return Saver(state, job.out, config, tokenizer="{}", device=device, resumed_step=None, moved=lambda: None)


def weights_of(state: Any) -> dict[str, torch.Tensor]:
    """All that training moves: weights, and the optimizer's two means."""
    from training.megatron.optimizer import inner_optimizers

    found = {name: value.detach().clone() for name, value in state.model.named_parameters()}
    for inner in inner_optimizers(state.optimizer):
        for number, each in enumerate(inner.state.values()):
            found |= {f"{number}.{name}": value.clone() for name, value in each.items() if name.startswith("exp")}
    return found


def move(state: Any, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    from training.megatron.optimizer import inner_optimizers

    with torch.no_grad():
        for value in state.model.parameters():
            value.copy_(torch.randn(value.shape, generator=draw))
        for inner in inner_optimizers(state.optimizer):
            for each in inner.state.values():
                # megatron-core does not save the count of an optimizer that took no step.
                each["step"].fill_(seed)
                for name in ("exp_avg", "exp_avg_sq"):
                    each[name].copy_(torch.rand(each[name].shape, generator=draw))


def two_saves(job: Job, state: Any, device: torch.device) -> dict[str, Any]:
    """Each checkpoint while the weights go on moving under it."""
    from training.checkpoints import checkpoint

    live, committed_on_return = {}, []
    with closing(saver_of(job, state, device)) as saver:
        for step in (1, 2):
            move(state, seed=step)
            live[step] = weights_of(state)
            saver.save(job.commit(step))
            move(state, seed=100 + step)
            committed_on_return.append(folder_of(job.out, step) in committed(job.out))
        saver.settle()
    same = {}
    for step in (1, 2):
        checkpoint.load(state, folder_of(job.out, step), job.commit(step))
        loaded = weights_of(state)
        same[step] = {other: sum(torch.equal(loaded[name], live[other][name]) for name in loaded) for other in (1, 2)}
    return {"committed_on_return": committed_on_return, "weights": len(live[1]), "same": same}


def failed_save(job: Job, state: Any, device: torch.device) -> dict[str, Any]:
    """Files of rank 1 may be no longer than 10 kB for a while, once and then until the run gives up."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    small = (10_000, limits[1]) if state.mesh.rank == 1 else limits
    names, message = [], None
    with closing(saver_of(job, state, device, attempts=3)) as saver:
        for step, limit in ((3, small), (4, limits), (5, small), (6, small), (7, small)):
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            try:
                saver.save(job.commit(step))
                saver.settle()
            except OSError as error:
                message = str(error)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            dist.barrier()
            names.append([found.name for found in committed(job.out)])
    dist.barrier()
    return {
        "committed": names,
        "message": message,
        "folders": sorted(path.name for path in (job.out / "checkpoints").iterdir()),
    }


def small_disk(job: Job, state: Any, device: torch.device, disk: Path) -> dict[str, Any]:
    """Room for one checkpoint, then for the tensors of another but not all that belongs to them, then for half of
    them. What fails is slow to be removed."""
    from training.checkpoints import saver as saver_module

    remove = saver_module._remove

    def remove_slowly(folder: Path) -> None:
        time.sleep(0.3)
        remove(folder)

    saver_module._remove = remove_slowly
    other = replace(job, out=disk / "run")
    names, message = [], None
    with closing(saver_of(other, state, device)) as saver:
        saver.save(other.commit(1), durable=True)
    used = sum(path.stat().st_size for path in folder_of(other.out, 1).iterdir())
    # Another saver does not know yet what a checkpoint takes besides its tensors.
    with closing(saver_of(other, state, device, attempts=2)) as saver:
        for step, room in ((2, used - 20_000), (3, used // 2)):
            if state.mesh.rank == 0:
                with (disk / "filling").open("ab") as file:
                    file.write(bytes(max(0, shutil.disk_usage(disk).free - room)))
            dist.barrier()
            try:
                saver.save(other.commit(step))
                saver.settle()
            except OSError as error:
                message = str(error)
            dist.barrier()
            names.append([found.name for found in committed(other.out)])
    saver_module._remove = remove
    return {"committed": names, "message": message}


def flipped_byte(job: Job, state: Any) -> dict[str, Any]:
    """The newest checkpoint has its length but not its content."""
    from training.checkpoints.resume import resume

    if state.mesh.rank == 0:
        path = committed(job.out)[-1] / "__1_0.distcp"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    dist.barrier()
    found = prepare(job.config, job.lake, job.out, 2)
    dist.barrier()
    loaded = resume(found, state)
    return {
        "found": found.first_step,
        "loaded": loaded.first_step,
        "folders": sorted(path.name for path in (job.out / "checkpoints").iterdir()),
    }


def when_due(job: Job, state: Any, device: torch.device) -> dict[str, Any]:
    """What this rank asks for at steps 10 and 11: by steps, by minutes that have passed or not, and by what failures
    make best."""
    from training.checkpoints.saver import DUE

    found = {}
    rules = {
        "steps": {"every": 10},
        "minutes": {"every": 100, "every_minutes": 1e-9},
        "more minutes": {"every": 100, "every_minutes": 60.0},
        "failures": {"every": "auto", "mean_hours_between_failures": 1e-20},
        "few failures": {"every": "auto", "mean_hours_between_failures": 1000.0},
    }
    for name, changes in rules.items():
        with closing(saver_of(job, state, device, **changes)) as saver:
            found[name] = [saver.votes(step)[DUE] for step in (10, 11)]
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
