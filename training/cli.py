"""The command `pretrain`: verbs, a recipe, and `--set key.path=value`."""

from __future__ import annotations

import json
import logging
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated

import typer
import yaml

from schemas.plumbing.command_line import run_command
from schemas.plumbing.errors import HeadwaterError, UsageError
from schemas.plumbing.exit_codes import DONE, FAILED
from training.audit.past_run import open_past_run
from training.checkpoints.commit import newest_commit, read_commit
from training.config import SampleConfig, load_recipe
from training.costs.plan_report import describe, explain
from training.evaluation.asked import Asked, open_checkpoint
from training.launch import Placement, StopRequest, end_with_parent, fail, placement, start_ranks
from training.prepare import Job, prepare
from training.scaling.command import scaling
from training.watching.movement import FolderWatch

app = typer.Typer(
    help="Train a language model on the tokens of a lake.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(scaling, name="scaling")

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change a key of the recipe; may be repeated."),
]
Recipe = Annotated[str, typer.Argument(help="A YAML file, or the name of a bundled recipe such as tiny_cpu.")]
Lake = Annotated[str, typer.Option(help="Folder of the lake's tables.")]
PastRunFolder = Annotated[Path, typer.Argument(help="Folder of the run.")]
Checkpoint = Annotated[
    Path, typer.Argument(help="A checkpoint folder, or the folder of a run for its newest checkpoint.")
]


@app.command()
def run(
    recipe: Recipe,
    lake: Lake,
    out: Annotated[
        Path, typer.Option(help="Folder for checkpoints, metrics and the summary; a run that is there is resumed.")
    ],
    ranks: Annotated[
        int | None, typer.Option(min=1, help="Ranks to start on this machine; leave it out under torchrun or srun.")
    ] = None,
    restarts: Annotated[
        int, typer.Option(min=0, help="Times that ranks started here go on from the last checkpoint after a failure.")
    ] = 0,
    settings: Settings = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, print the resolved run, and stop.")] = False,
) -> None:
    """Train, or go on with a run that was stopped."""
    place = placement() if ranks is None else None
    if place is not None:
        raise typer.Exit(_run_as_rank(recipe, lake, out, place, tuple(settings or ())))
    job = prepare(load_recipe(recipe, tuple(settings or ())), lake, out, ranks or 1)
    if dry_run:
        print(yaml.safe_dump(job.config.model_dump(mode="json"), sort_keys=False))
        print("\n".join(describe(job)))
        return
    if not _is_finished(job):
        pinned = [f"data.tokens_version={job.table.version}"]
        options = [part for setting in [*(settings or ()), *pinned] for part in ("--set", setting)]
        # The ranks themselves look too, and know more.
        watch = FolderWatch(out, ranks or 1, 2 * job.config.watchdog.hang_seconds)
        code = start_ranks(
            [recipe, "--lake", lake, "--out", str(out), *options], ranks or 1, restarts=restarts, watch=watch
        )
        if code != DONE:
            raise typer.Exit(code)
    _print_summary(job)


@app.command()
def plan(
    recipe: Recipe,
    lake: Lake,
    ranks: Annotated[int, typer.Option(min=1, help="Ranks of the run.")] = 1,
    device: Annotated[str, typer.Option(help="GPU whose peak the hours are reckoned with.")] = "H100",
    mfu: Annotated[float, typer.Option(min=0.01, max=1, help="Share of the peak that is reached.")] = 0.4,
    out: Annotated[Path | None, typer.Option(help="Folder of a run that would be resumed.")] = None,
    settings: Settings = None,
) -> None:
    """Say what a run will do before it starts: tokens and epochs of each source, packing, operations, memory, hours."""
    job = prepare(load_recipe(recipe, tuple(settings or ())), lake, out or Path(), ranks, resumes=out is not None)
    print("\n".join(explain(job, device=device, utilisation=mfu)))


@app.command()
def trace(
    run: PastRunFolder,
    lake: Lake,
    step: Annotated[
        int, typer.Option(min=1, help="Step as metrics.jsonl counts them, from 1; also one that is still to come.")
    ],
    rank: Annotated[
        int | None,
        typer.Option(min=0, help="Data-parallel rank whose slice is shown; leave it out for the whole global batch."),
    ] = None,
    ranks: Annotated[
        int | None, typer.Option(min=1, help="Data-parallel ranks; leave it out for those of the newest checkpoint.")
    ] = None,
) -> None:
    """List the documents that a step trained on, a line of JSON for each stretch, and check the recorded hash of the
    batch."""
    from training.audit.trace import print_trace

    print_trace(open_past_run(run, lake), lake, step, rank, ranks)


@app.command()
def exposure(
    run: PastRunFolder,
    name: Annotated[str, typer.Argument(help="A URL, a registered domain, or a doc_id.")],
    lake: Lake,
) -> None:
    """List the steps that saw a page, how often, what is still ahead, and the last checkpoint before the first time."""
    from training.audit.exposure import print_exposure

    print_exposure(open_past_run(run, lake), lake, name)


@app.command()
def replay(
    run: PastRunFolder,
    lake: Lake,
    incident: Annotated[
        int | None,
        typer.Option(min=1, help="Incident of the run whose batch is replayed, from 1 as in incidents.jsonl."),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(min=1, help="Step whose batch is replayed, as metrics.jsonl counts them, instead of an incident."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint to ask; may be repeated. If left out, the last before and another."),
    ] = None,
    neighbours: Annotated[int, typer.Option(min=4, help="Batches that it is compared with.")] = 16,
) -> None:
    """Compute a batch's losses anew from several checkpoints: tells a fault of the data from one of the weights."""
    if (incident is None) == (step is None):
        raise UsageError("name either --incident or --step")
    past = open_past_run(run, lake)
    _quiet()
    from training.megatron.device import prepare_device

    device = prepare_device(0)
    from training.spikes import replay as replays
    from training.spikes.quarantine import find_incident

    batch = int(find_incident(run, incident)["batch"]) if incident is not None else past.batch_of(step or 1)
    found = replays.replay(past, batch, checkpoint or replays.choose_checkpoints(past, batch), neighbours, device)
    print("\n".join(replays.describe(found, past)))


@app.command()
def quarantine(
    run: PastRunFolder,
    lake: Lake,
    incident: Annotated[int, typer.Option(min=1, help="Incident of the run, from 1 as in incidents.jsonl.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where the replay does not say that the data are at fault.")
    ] = False,
) -> None:
    """Put the documents behind an incident into the lake's `suspects`, once a replay has found the data at fault."""
    from training.spikes.quarantine import quarantine as write_suspects

    for doc_id in write_suspects(run, lake, incident, open_past_run(run, lake).config.spikes, force=force):
        print(f"suspect         {doc_id}")


@app.command("export-hf")
def export_hf(checkpoint: Checkpoint, out: Annotated[Path, typer.Option(help="Folder to write.")]) -> None:
    """Write a checkpoint of any layout as a Hugging Face folder in the form of Llama, Qwen3, Mixtral or Qwen3-MoE."""
    folder = _checkpoint(checkpoint)
    _quiet()
    from training.exchange.export_hf import export

    print(f"exported model  {export(folder, out)}")


@app.command("import-hf")
def import_hf(
    source: Annotated[
        Path, typer.Argument(help="A Hugging Face folder in the layout of Llama, Qwen3, Mixtral or Qwen3-MoE.")
    ],
    lake: Lake,
    out: Annotated[Path, typer.Option(help="Folder of the new run.")],
    recipe: Annotated[
        str, typer.Option(help="A YAML file, or the name of a bundled recipe: all but the model is taken from it.")
    ] = "tiny_cpu",
    settings: Settings = None,
) -> None:
    """Begin a run from the weights of another model; the lake must hold tokens of its tokenizer."""
    config = load_recipe(recipe, tuple(settings or ()))
    _quiet()
    from training.megatron.device import prepare_device

    device = prepare_device(0)
    from training.exchange.import_hf import import_hf as write_checkpoint

    print(
        f"go on with      pretrain run {write_checkpoint(source, config, lake, out, device)} --lake {lake} --out {out}"
    )


@app.command("export-megatron")
def export_megatron(
    lake: Lake,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    source: Annotated[
        list[str] | None, typer.Option(help="A source to write; may be repeated. All, if left out.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=0, help="Delta version of `tokens`; the newest, if left out.")
    ] = None,
) -> None:
    """Write tokens as Megatron's .bin and .idx files, a pair for each source."""
    from training.exchange.export_megatron import export_megatron as export

    for written in export(lake, out, version, tuple(source or ())):
        print(
            f"exported source {written.source}: {written.documents:,} documents, {written.tokens:,} tokens in "
            f"{out / written.prefix}.bin and .idx"
        )


@app.command()
def sample(
    checkpoint: Checkpoint,
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    lines: Annotated[int, typer.Option(min=1, help="How many.")] = 4,
    tokens: Annotated[int, typer.Option(min=1, help="Longest continuation, in tokens.")] = 48,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token.")] = 0.8,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the tokens.")] = 0,
) -> None:
    """Print lines that the model writes."""
    folder = _checkpoint(checkpoint)
    _quiet()
    from training.megatron.device import prepare_device

    device = prepare_device(0)
    from training.evaluation.sample import write_samples

    for line in write_samples(
        folder, SampleConfig(lines=lines, prompt=prompt, tokens=tokens, temperature=temperature, seed=seed), device
    ):
        print(json.dumps(line, ensure_ascii=False))


@app.command()
def evaluate(
    checkpoint: Checkpoint,
    lake: Lake,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Held-out tokens of each source; leave it out for those of the recipe.")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Tasks of lm-evaluation-harness, by name and with commas between.")] = "",
    tasks_folder: Annotated[Path | None, typer.Option(help="Folder with YAML files of further tasks.")] = None,
    task_items: Annotated[int | None, typer.Option(min=1, help="Items of each task; leave it out for all.")] = None,
    memorisation: Annotated[
        int, typer.Option(min=0, help="Documents of each source that the model is asked to give back word for word.")
    ] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Sequences at once, in tasks and documents.")] = 8,
) -> None:
    """Test a checkpoint on held-out tokens, on tasks, and on what it has memorised; report into its run's folder and
    the ledger."""
    folder = _checkpoint(checkpoint)
    asked = Asked(
        tokens,
        tuple(name.strip() for name in tasks.split(",") if name.strip()),
        tasks_folder,
        task_items,
        batch_size,
        memorisation,
    )
    past = open_checkpoint(folder, lake, asked)
    _quiet()
    from training.megatron.device import prepare_device

    device = prepare_device(0)
    from training.evaluation.evaluate import evaluate as evaluate_checkpoint

    files = evaluate_checkpoint(past, folder, lake, asked, device)
    print(files[1].read_text(encoding="utf-8"))
    print(f"report          {files[0]}")


@app.command()
def doctor() -> None:
    """Say what this machine has, and prove that ranks can talk to each other."""
    _quiet()
    from training.doctor import diagnose

    for line in diagnose():
        print(line)


def main(arguments: list[str] | None = None) -> None:
    """Entry point; ends the process with one of the codes in `schemas.plumbing.exit_codes`, after one line on
    standard error where something was wrong."""
    sys.exit(run_command(app, "pretrain", arguments))


def _run_as_rank(recipe: str, lake: str, out: Path, place: Placement, settings: tuple[str, ...]) -> int:
    """Never raises: whatever goes wrong is reported with this rank's number."""
    if place.folder is not None:
        end_with_parent()
    stop = StopRequest()
    try:
        job = prepare(load_recipe(recipe, settings), lake, out, place.world_size)
        if _is_finished(job):
            return DONE
        _quiet()
        from training.megatron.device import prepare_device, set_threads

        device = prepare_device(place.local_rank)
        set_threads(place.local_size)
        # Only now: megatron-core binds to the device when it is imported.
        from training.loop import run_rank

        return run_rank(job, place, device, stop)
    except HeadwaterError as error:
        fail(place, str(error), error.exit_code)
    except Exception as error:
        trace = out / "failures" / f"rank-{place.rank}.txt"
        trace.parent.mkdir(parents=True, exist_ok=True)
        trace.write_text(traceback.format_exc(), encoding="utf-8")
        fail(place, f"{type(error).__name__}: {' '.join(str(error).split())} (traceback in {trace})", FAILED)


def _checkpoint(path: Path) -> Path:
    newest = newest_commit(path)
    folder = newest[0] if newest else path
    read_commit(folder)
    return folder


def _is_finished(job: Job) -> bool:
    summary = job.out / "summary.json"
    return (
        job.first_step == job.config.steps
        and summary.is_file()
        and json.loads(summary.read_text())["steps"] == job.config.steps
    )


def _print_summary(job: Job) -> None:
    summary = json.loads((job.out / "summary.json").read_text(encoding="utf-8"))
    for line in summary["samples"]:
        print(f"sample          {json.dumps(line, ensure_ascii=False)}")
    share = summary["last_loss"] / summary["first_loss"]
    print(f"steps           {summary['steps']:,}")
    print(f"tokens          {summary['tokens']:,}")
    print(f"first loss      {summary['first_loss']:.4f}")
    print(f"last loss       {summary['last_loss']:.4f}  ({share:.0%} of the first)")
    print(f"checkpoint      {summary['checkpoint']}")
    print(f"metrics         {summary['metrics']}")


def _quiet() -> None:
    """megatron-core warns about every optional package that is not there."""
    warnings.filterwarnings("ignore")
    for name in ("megatron", "torch.distributed", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
