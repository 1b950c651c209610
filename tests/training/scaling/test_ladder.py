"""The ladder's law and models by figures worked out by hand; runs as points; the verbs of `pretrain scaling`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.plumbing.errors import UsageError
from training.checkpoints.commit import COMMITTED, Commit, folder_of
from training.cli import app
from training.config import ModelConfig, TrainingConfig, load_recipe
from training.scaling import ladder as scaling_ladder
from training.scaling.fit import Fit, Point
from training.scaling.ladder import RungStopped, ladder, law_settings, rung, smaller_model, train_rung
from training.scaling.laws import Law
from training.scaling.runs import point_of_run, points_of_csv, read_fit, write_fit, write_points

LAW = Law(a=420.0, b=1500.0, e=1.75, alpha=0.34, beta=0.36)


def test_the_law_at_its_reference_and_at_eight_times_its_size() -> None:
    at = law_settings(108_000_000)
    assert (at.batch_tokens, at.learning_rate, at.beta2, at.warmup_tokens) == (2048 * 160, 0.00235, 0.99, 108_000_000)
    larger = law_settings(8 * 108_000_000)
    assert larger.batch_tokens == pytest.approx(4 * 2048 * 160)
    assert larger.learning_rate == pytest.approx(0.00235 / 2)
    assert larger.beta2 == 0.95


def test_below_the_smallest_model_of_its_source_the_law_s_rate_rises_no_more() -> None:
    smallest, tiny = law_settings(5_000_000), law_settings(10_000)
    assert smallest.learning_rate == tiny.learning_rate == pytest.approx(0.00235 * 21.6 ** (1 / 3))
    assert tiny.batch_tokens == pytest.approx(smallest.batch_tokens / 500 ** (2 / 3))


def test_smaller_models_keep_the_shape() -> None:
    model = ModelConfig(layers=32, hidden=4096, heads=32, query_groups=8, ffn=14_336)
    half = smaller_model(model, 0.5)
    assert (half.layers, half.hidden, half.heads, half.query_groups, half.ffn, half.head) == (
        16,
        2048,
        16,
        4,
        7168,
        128,
    )
    # Six heads share keys by twos: four, as the large model has it, do not divide them.
    odd = smaller_model(model, 6 / 32)
    assert (odd.heads, odd.query_groups, odd.hidden, odd.ffn) == (6, 3, 768, 2688)
    assert smaller_model(model, 1.0) == model


@pytest.mark.parametrize("recipe", ["llama_150m", "llama_1b_tp2", "llama_8b_tp4_pp2", "moe_1b7b"])
def test_bundled_recipes_have_ladders(recipe: str) -> None:
    base = load_recipe(recipe)
    rungs = ladder(base, [0.25, 0.5], [0.5, 1.0], ranks=8, vocabulary_size=32_768, rate_factor=1.0)
    for one in rungs:
        assert one.config.data_parallel(8) == 8
        tokens = one.config.steps * one.config.batch.tokens
        assert tokens == pytest.approx(one.periods * 20 * one.parameters, rel=0.01)
        assert one.config.model.head == base.model.head
        assert one.config.schedule.kind == "wsd" and one.config.schedule.final_ratio == 0


def test_a_batch_is_shared_by_the_ranks_and_cut_into_whole_micro_batches() -> None:
    base = TrainingConfig.model_validate(
        {"data": {"sequence_length": 128}, "batch": {"tokens": 4096, "micro_sequences": 8}}
    )
    one = rung(base, 1.0, 1.0, ranks=2, vocabulary_size=512)
    assert one.config.data_parallel(2) == 2
    assert one.config.batch_sequences % (2 * one.config.batch.micro_sequences) == 0


def test_shares_that_come_to_the_same_model_are_refused() -> None:
    with pytest.raises(UsageError, match="come to the same model of 4 heads"):
        ladder(load_recipe("tiny_cpu"), [0.25, 0.3], [1.0], ranks=1, vocabulary_size=512, rate_factor=1.0)


def test_a_finished_rung_is_left_alone_and_another_recipe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    codes = iter([75, 0])

    def start(arguments: list[str], ranks: int) -> int:
        started.append(arguments)
        return next(codes)

    monkeypatch.setattr(scaling_ladder, "start_ranks", start)
    one = rung(load_recipe("tiny_cpu"), 0.5, 1.0, ranks=1, vocabulary_size=512)
    with pytest.raises(RungStopped, match="exit code 75; the same command goes on") as stopped:
        train_rung(one, "lake", tmp_path, 1)
    assert stopped.value.exit_code == 75
    folder = train_rung(one, "lake", tmp_path, 1)
    (folder / "summary.json").write_text("{}")
    train_rung(one, "lake", tmp_path, 1)
    assert len(started) == 2
    with pytest.raises(UsageError, match="has a run of another recipe"):
        train_rung(
            rung(load_recipe("tiny_cpu", ("seed=3",)), 0.5, 1.0, ranks=1, vocabulary_size=512), "lake", tmp_path, 1
        )


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Path]:
    """The folder of a run as the trainer leaves it, as far as a point is made of it."""

    def make(steps: int, done: int, held_out: list[dict[str, object]] | None = None) -> Path:
        config = TrainingConfig(steps=steps)
        commit = Commit(done, "", "f" * 64, 1000, 0, {}, "", config.model_dump(mode="json"))
        folder = folder_of(tmp_path, done)
        folder.mkdir(parents=True)
        (folder / COMMITTED).write_text(json.dumps({**asdict(commit), "files": {}}))
        common = {
            "learning_rate": 0.1,
            "gradient_norm": 1.0,
            "tokens_per_second": 1.0,
            "data_wait": 0.0,
            "batch_hash": "",
        }
        lines = [
            json.dumps({"step": step, "loss": 10 / step, "tokens": 100 * step, **common}) for step in range(1, done + 1)
        ]
        (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        if held_out:
            (tmp_path / "evaluation.jsonl").write_text("".join(json.dumps(line) + "\n" for line in held_out))
        return tmp_path

    return make


def test_a_run_without_held_out_tokens_is_its_last_training_losses(new_run: Callable[..., Path]) -> None:
    point = point_of_run(new_run(100, 100))
    assert point == Point(ModelConfig().parameters(1000), 10_000, (10 / 99 + 10 / 100) / 2)


def test_a_run_with_held_out_tokens_is_their_last_mean_loss(new_run: Callable[..., Path]) -> None:
    common = {"bits_per_byte": None, "source": "web"}
    lines = [
        {"step": 50, "objective": "causal", "loss": 9.0, "tokens": 10, **common},
        {"step": 100, "objective": "causal", "loss": 3.0, "tokens": 10, **common},
        {"step": 100, "objective": "causal", "loss": 5.0, "tokens": 30, **common},
        {"step": 100, "objective": "fill_in_the_middle", "loss": 8.0, "tokens": 40, **common},
    ]
    assert point_of_run(new_run(100, 100, lines)).loss == (3 * 10 + 5 * 30) / 40


def test_a_run_that_is_not_finished_is_no_point(new_run: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is at step 40 of 100"):
        point_of_run(new_run(100, 40))
    with pytest.raises(UsageError, match="has no committed checkpoint"):
        point_of_run(tmp_path / "nothing")


def test_points_and_laws_come_back_from_their_files(tmp_path: Path) -> None:
    points = [Point(1e8, 2e9, 3.25), Point(2e8, 4e9, 3.0)]
    write_points(tmp_path / "points.csv", points)
    assert points_of_csv(tmp_path / "points.csv") == points
    fitted = Fit(LAW, (LAW, Law(1, 2, 3, 4, 5)), (0.01, -0.01))
    write_fit(tmp_path / "law.json", fitted)
    assert read_fit(tmp_path / "law.json") == fitted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters,tokens\n1,2\n", "must have the columns parameters, tokens, loss"),
        ("parameters,tokens,loss\n1,2,3\n1,many,3\n", "points.csv:3: parameters, tokens, loss must be numbers above 0"),
        ("parameters,tokens,loss\n1,2,-3\n", "points.csv:2: .* above 0"),
    ],
)
def test_a_table_of_points_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        points_of_csv(tmp_path / "points.csv")


def test_a_fitted_law_can_be_planned_with(tmp_path: Path) -> None:
    points = [
        Point(size, size * ratio, LAW.loss(size, size * ratio))
        for size in (1e8, 3e8, 1e9, 3e9)
        for ratio in (5, 20, 80)
    ]
    write_points(tmp_path / "points.csv", points)
    call = CliRunner().invoke
    law = tmp_path / "law.json"
    fitted = call(
        app, ["scaling", "fit", "--points", str(tmp_path / "points.csv"), "--out", str(law), "--bootstrap", "20"]
    )
    assert fitted.exit_code == 0, fitted.output
    assert "points          12 of 12" in fitted.output and "alpha           0.34" in fitted.output
    planned = call(app, ["scaling", "plan", "--flops", "1e21", "--law", str(law)])
    assert planned.exit_code == 0, planned.output
    assert "compute-optimal" in planned.output and "+0% compute" in planned.output
    published = call(app, ["scaling", "plan", "--parameters", "7.2249e10"])
    assert "1.329e+12 tokens (18.4 a weight), 5.76e+23 FLOPs, expected loss 1.974" in published.output
    both = call(app, ["scaling", "plan", "--flops", "1e21", "--tokens", "1e9"])
    assert (
        isinstance(both.exception, UsageError) and str(both.exception) == "give one of --flops, --parameters, --tokens"
    )


def test_a_dry_run_prints_the_rungs_and_trains_nothing(lake: Path, tmp_path: Path) -> None:
    arguments = [
        "scaling",
        "ladder",
        "tiny_cpu",
        "--lake",
        str(lake),
        "--out",
        str(tmp_path / "out"),
        "--share",
        "0.5",
        "--period",
        "1",
        "--dry-run",
    ]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "width-32-periods-1" in shown.output and "steps of" in shown.output
    assert not (tmp_path / "out").exists()
