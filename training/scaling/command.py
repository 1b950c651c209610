"""`pretrain scaling`: fit a law to runs, plan with it, and train a ladder of small models that predicts a large one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.plumbing.errors import UsageError
from training.config import load_recipe
from training.reading.delta_tokens import open_tokens
from training.scaling.ladder import TOKENS_PER_WEIGHT, ladder, train_rung
from training.scaling.laws import (
    CHINCHILLA,
    Allocation,
    allocation,
    optimal_for_flops,
    optimal_for_parameters,
    optimal_for_tokens,
    over_training,
)

if TYPE_CHECKING:
    from training.scaling.fit import Fit

scaling = typer.Typer(help="Scaling laws: what loss a size and a number of tokens give.", no_args_is_help=True)

LAW_FILE = "law.json"
POINTS_FILE = "points.csv"


@scaling.command()
def fit(
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders of finished runs.")] = None,
    points: Annotated[Path | None, typer.Option(help="A CSV with the columns parameters, tokens and loss.")] = None,
    highest_loss: Annotated[
        float, typer.Option(help="Runs with a higher loss, which ended too early for the law, are left out.")
    ] = float("inf"),
    bootstrap: Annotated[int, typer.Option(min=20, help="Samples that the intervals are taken from.")] = 1000,
    seed: Annotated[int, typer.Option(help="Draws them.")] = 0,
    out: Annotated[Path | None, typer.Option(help="File for the law, for `scaling plan --law`.")] = None,
) -> None:
    """Fit L(N, D) = E + A / N^alpha + B / D^beta to runs, with 95 % intervals."""
    from training.scaling.fit import fit as fit_points
    from training.scaling.runs import point_of_run, points_of_csv, write_fit

    found = [*(point_of_run(run) for run in runs or ()), *(points_of_csv(points) if points else ())]
    kept = [point for point in found if point.loss <= highest_loss]
    fitted = fit_points(kept, bootstrap=bootstrap, seed=seed)
    print(f"points          {len(kept)} of {len(found)}")
    print("\n".join(_coefficient_lines(fitted)))
    if out is not None:
        write_fit(out, fitted)
        print(f"law             {out}")


@scaling.command()
def plan(
    flops: Annotated[float | None, typer.Option(min=1, help="Compute of the run, as 6 x weights x tokens.")] = None,
    parameters: Annotated[float | None, typer.Option(min=1, help="Weights of the model.")] = None,
    tokens: Annotated[float | None, typer.Option(min=1, help="Tokens that there are.")] = None,
    law: Annotated[
        Path | None, typer.Option(help="A law from `scaling fit --out`; otherwise Chinchilla's (arXiv 2404.10102).")
    ] = None,
) -> None:
    """Say which size and how many tokens are best together, and what a smaller model costs that reaches the same
    loss."""
    known = CHINCHILLA
    if law is not None:
        from training.scaling.runs import read_fit

        known = read_fit(law).law
    given = {
        "--flops": (flops, optimal_for_flops),
        "--parameters": (parameters, optimal_for_parameters),
        "--tokens": (tokens, optimal_for_tokens),
    }
    chosen = [(value, optimal) for value, optimal in given.values() if value is not None]
    if len(chosen) != 1:
        raise UsageError(f"give one of {', '.join(given)}")
    value, optimal = chosen[0]
    best = optimal(known, value)
    print(f"compute-optimal {_allocation_line(best)}")
    print("smaller models that reach the same loss")
    for there, more in over_training(known, best):
        print(f"{there.parameters / best.parameters:>8.0%}        {_allocation_line(there)}, {more:+.0%} compute")


@scaling.command("ladder")
def climb(
    recipe: Annotated[str, typer.Argument(help="Recipe of the large model: a YAML file or a bundled one.")],
    lake: Annotated[str, typer.Option(help="Folder of the lake's tables.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the runs, the points and the law; runs that are there are gone on with.")
    ],
    share: Annotated[
        list[float] | None,
        typer.Option(min=0.01, max=1, help="Width and depth of a small model, as a share; may be repeated."),
    ] = None,
    period: Annotated[
        list[float] | None,
        typer.Option(min=0.01, help="Length of its runs, in units of 20 tokens a weight; may be repeated."),
    ] = None,
    target_period: Annotated[float, typer.Option(min=0.01, help="Length of the large run, in the same unit.")] = 1.0,
    rate_factor: Annotated[
        float,
        typer.Option(
            min=1e-3, help="Multiplies the law's learning rate, which below 5 million weights is that of 5 million."
        ),
    ] = 1.0,
    ranks: Annotated[int, typer.Option(min=1, help="Ranks of each run, all on this machine.")] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change a key of the recipe; may be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the runs and stop.")] = False,
) -> None:
    """Train small models by one law of batch, rate and warm-up, and predict the loss of the recipe's size with an
    interval."""
    from training.scaling.fit import fit as fit_points
    from training.scaling.runs import point_of_run, write_fit, write_points

    base = load_recipe(recipe, tuple(settings or ()))
    vocabulary = open_tokens(lake, base.data.tokens_version).tokenizer.vocabulary_size
    shares, periods = share or [0.25, 0.375, 0.5, 0.75], period or [0.5, 1.0, 2.0]
    rungs = ladder(base, shares, periods, ranks=ranks, vocabulary_size=vocabulary, rate_factor=rate_factor)
    points = []
    for one in rungs:
        batch, steps = one.config.batch.tokens, one.config.steps
        print(
            f"{one.name:<28} {one.parameters:,} weights, {steps:,} steps of {batch:,} tokens, rate "
            f"{one.config.optimizer.learning_rate:.2g}",
            flush=True,
        )
        if not dry_run:
            points.append(point_of_run(train_rung(one, lake, out, ranks)))
            print(f"{'':<28} loss {points[-1].loss:.4f}", flush=True)
    if dry_run:
        return
    fitted = fit_points(points)
    write_points(out / POINTS_FILE, points)
    write_fit(out / LAW_FILE, fitted)
    size = base.model.active_parameters(vocabulary)
    target = allocation(fitted.law, size, target_period * TOKENS_PER_WEIGHT * size)
    low, high = fitted.loss_interval(target.parameters, target.tokens)
    print("\n".join(_coefficient_lines(fitted)))
    print(f"prediction      {_allocation_line(target)}, 95 % of runs between {low:.4f} and {high:.4f}")


def _coefficient_lines(fitted: Fit) -> list[str]:
    names = {"a": "A", "b": "B", "e": "E", "alpha": "alpha", "beta": "beta", "size_exponent": "N ~ C^"}
    lines = []
    for name, shown in names.items():
        low, high = fitted.interval(name)
        lines.append(f"{shown:<15} {getattr(fitted.law, name):.5g}  ({low:.5g} to {high:.5g})")
    return lines


def _allocation_line(one: Allocation) -> str:
    size = f"{one.parameters:.4g} weights, {one.tokens:.4g} tokens ({one.tokens_per_parameter:.1f} a weight)"
    return f"{size}, {one.flops:.4g} FLOPs, expected loss {one.loss:.4f}"
