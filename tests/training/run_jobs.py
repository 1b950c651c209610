"""A rank that runs several training jobs one after the other: `run_jobs.py FOLDER RANK`. A start-up costs seconds,
and a test has many layouts."""

import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from schemas.plumbing.errors import HeadwaterError, UsageError
from schemas.plumbing.exit_codes import DONE
from training import cli
from training.checkpoints.commit import read_commit
from training.config import ModelConfig, OptimizerConfig, ParallelConfig, TrainingConfig, load_recipe
from training.launch import Placement, StopRequest, end_with_parent
from training.megatron.device import prepare_device, set_threads
from training.prepare import prepare


def main(folder: Path, rank: int) -> None:
    end_with_parent()
    device = prepare_device(0)
    set_threads(4)
    from training.loop import run_rank
    from training.megatron import parallel

    stop = StopRequest()
    for number, spec in enumerate(json.loads((folder / "jobs.json").read_text())):
        if rank >= spec["ranks"]:
            continue
        if "logits_of" in spec:
            write_logits(Path(spec["logits_of"]), spec["tokens"], Path(spec["out"]), device)
            continue
        if "facts_of" in spec:
            write_facts(spec["facts_of"], Path(spec["out"]), device)
            continue
        if "import" in spec:
            import_model(spec, device)
            continue
        if "export" in spec:
            from training.exchange.export_hf import export

            export(Path(spec["export"]), Path(spec["out"]))
            continue
        if "evaluate" in spec:
            from training.evaluation.asked import Asked, open_checkpoint
            from training.evaluation.evaluate import evaluate

            checkpoint, asked = (
                Path(spec["evaluate"]),
                Asked(tasks=("rivers",), tasks_folder=Path(spec["tasks_folder"]), memorised=8),
            )
            evaluate(open_checkpoint(checkpoint, spec["lake"], asked), checkpoint, spec["lake"], asked, device)
            continue
        if "command" in spec:
            run_command(spec["command"], Path(spec["out"]))
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
        config = (
            load_recipe(spec["recipe"], tuple(spec["settings"]))
            if "recipe" in spec
            else TrainingConfig.model_validate(spec["config"])
        )
        job = prepare(config, spec["lake"], out, spec["ranks"])
        try:
            code = run_rank(job, Placement(rank, spec["ranks"], rank, spec["ranks"], meeting), device, stop)
        except HeadwaterError as error:
            if error.exit_code != spec.get("exit_code"):
                raise
            (out / f"error-{rank}.txt").write_text(str(error))
            parallel.leave()
            continue
        if code != DONE:
            sys.exit(code)


def write_logits(checkpoint: Path, tokens: list[list[int]], out: Path, device: torch.device) -> None:
    """Logits of a checkpoint by megatron-core on one rank."""
    from megatron.core import dist_checkpointing

    from training.megatron import parallel
    from training.megatron.model import build_model

    commit = read_commit(checkpoint)
    config = TrainingConfig.model_validate(commit.config)
    mesh = parallel.stand_alone(device, seed=99)
    sizes = {"vocabulary_size": commit.vocabulary_size, "sequence_length": config.data.sequence_length}
    model, _ = build_model(
        config.model,
        ParallelConfig(),
        mesh,
        device,
        **sizes,
        dtype=torch.float32,
        seed=99,
        causal=config.objective.is_causal,
    )
    loaded = dist_checkpointing.load(
        {"model": model.sharded_state_dict(metadata=parallel.checkpoint_metadata())}, str(checkpoint)
    )
    model.load_state_dict(loaded["model"])
    inputs = torch.tensor(tokens)
    with torch.no_grad():
        torch.save(model(inputs, torch.arange(inputs.shape[1]).expand_as(inputs), None), out)
    parallel.leave()


def import_model(spec: dict[str, Any], device: torch.device) -> None:
    """A folder as a run; where that is refused, the message goes to the file `refused`."""
    from training.exchange.import_hf import import_hf

    try:
        import_hf(
            Path(spec["import"]),
            load_recipe("tiny_cpu", tuple(spec["settings"])),
            spec["lake"],
            Path(spec["out"]),
            device,
        )
    except UsageError as error:
        if "refused" not in spec:
            raise
        Path(spec["refused"]).write_text(str(error))


def write_facts(configs: dict[str, dict[str, object]], out: Path, device: torch.device) -> None:
    """Of each model: its weights, those that do not decay, and how far logits of packed documents are from those of
    each alone and of all joined."""
    import numpy as np

    from training.megatron import parallel
    from training.megatron.borders import document_borders
    from training.megatron.model import build_model, has_engine
    from training.megatron.optimizer import build_optimizer, wrap_data_parallel

    mesh = parallel.stand_alone(device, seed=0)
    facts: dict[str, Any] = {}
    for name, values in configs.items():
        config = ModelConfig.model_validate(values)
        model, transformer = build_model(
            config, ParallelConfig(), mesh, device, vocabulary_size=300, sequence_length=32, dtype=torch.float32, seed=0
        )
        documents = np.array([[0] * 5 + [1] * 12 + [2] * 15, [0] * 20 + [1] * 12], np.int32)
        tokens = torch.arange(64).view(2, 32) * 37 % 300
        positions = torch.arange(32).expand(2, 32)
        with torch.no_grad():
            packed = model(tokens, positions, torch.from_numpy(document_borders(documents)))
            joined = model(tokens, positions, None)
            alone = [
                torch.cat([model(part[None], torch.arange(len(part))[None], None)[0] for part in row.split(lengths)])
                for row, lengths in zip(tokens, ([5, 12, 15], [20, 12]), strict=True)
            ]
        facts[name] = {
            "weights": sum(weight.numel() for weight in model.parameters()),
            "apart": float((packed - torch.stack(alone)).abs().max()),
            "joined": float((packed - joined).abs().max()),
        }
        for decay_embeddings in (False, True):
            replica = wrap_data_parallel(model, transformer)
            groups = build_optimizer(
                OptimizerConfig(decay_embeddings=decay_embeddings), replica, device, torch.float32
            ).param_groups
            still = [weight.numel() for group in groups if group["wd_mult"] == 0 for weight in group["params"]]
            facts[name]["without decay" if not decay_embeddings else "norms"] = sum(still)
    for values in ({"kernels": "transformer_engine"}, {"fp8": True}):
        try:
            has_engine(ModelConfig.model_validate(values), device)
        except UsageError as error:
            facts[next(iter(values))] = str(error)
    out.write_text(json.dumps(facts))
    parallel.leave()


def run_command(arguments: list[str], out: Path) -> None:
    """A verb of `pretrain`; what it prints goes to a file."""
    with out.open("w") as file, contextlib.redirect_stdout(file), contextlib.suppress(SystemExit):
        cli.main(arguments)


def wait_for_all(meeting: Path, rank: int, ranks: int) -> None:
    """So that every rank looks for a checkpoint only after the first one has put it there."""
    store = dist.FileStore(str(meeting / "before"), ranks)
    store.set(str(rank), "here")
    store.wait([str(other) for other in range(ranks)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
