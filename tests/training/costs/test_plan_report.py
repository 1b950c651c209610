"""What is said of a run before it starts, on a real table: epochs and their warning, packing as it will be, costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.config import BatchConfig, DataConfig, ModelConfig, StageConfig, TrainingConfig
from training.costs.plan_report import explain
from training.order.packing_quality import packing_quality
from training.order.plan_stages import make_plan
from training.prepare import prepare
from training.reading.delta_tokens import open_tokens

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def few_books(two_source_lake: Callable[..., Path]) -> str:
    return str(two_source_lake(10, 120))


def config(**data: Any) -> TrainingConfig:
    settings = DataConfig(sequence_length=128, window_sequences=16, **data)
    return TrainingConfig(
        data=settings,
        batch=BatchConfig(tokens=512, micro_sequences=1),
        steps=60,
        stages=(StageConfig(from_step=40, weights={"books": 1.0, "web": 1.0}),),
    )


def test_epochs_of_each_source_and_a_warning_where_they_are_many(few_books: str, tmp_path: Path) -> None:
    job = prepare(config(), few_books, tmp_path, 2)
    lines = explain(job, device="H100", utilisation=0.5)
    read = dict(zip(job.plan.sources, job.plan.cursors(60), strict=True))
    own = {part.source: part.tokens for part in job.plan.parts}
    assert sum(read.values()) == 60 * 512
    for source in ("books", "web"):
        share, epochs = read[source] / (60 * 512), read[source] / own[source]
        expected = (
            f"{source}: {read[source]:,} tokens from {own[source]:,}, {share:.1%} of the run, {epochs:.2f} epochs"
        )
        assert f"source          {expected}" in lines
    assert read["books"] / own["books"] > 4 > read["web"] / own["web"]
    assert [line.split()[1] for line in lines if line.startswith("warning")] == ["books"]
    assert [line for line in lines if line.startswith("stage")] == [
        "stage           steps 0 to 40: 4 sequences of 128, sources by what is left of their epochs",
        "stage           steps 40 to 60: 4 sequences of 128, books 1, web 1",
    ]
    assert any(line.startswith("time            0 seconds on 2 x H100 at 50% MFU") for line in lines)
    assert any("smaller than any that the published law was fitted to" in line for line in lines)


def test_a_model_of_the_law_s_range_is_placed_beside_the_optimum(few_books: str, tmp_path: Path) -> None:
    large = config().model_copy(
        update={"model": ModelConfig(layers=12, hidden=1024, heads=16, query_groups=16, ffn=2816)}
    )
    lines = explain(prepare(large, few_books, tmp_path, 1), device="a CPU", utilisation=0.5)
    assert any(line.startswith("compute-optimal 0.0 tokens a weight; for this compute") for line in lines)
    assert not [line for line in lines if line.startswith("time")]


def test_the_quality_of_packing_is_that_of_the_batches_to_come(few_books: str) -> None:
    table = open_tokens(few_books, None)
    chopped, packed = (
        packing_quality(make_plan(config(packing=packing, document_mask=True), table), table, 0)
        for packing in ("chop", "best_fit")
    )
    assert chopped.documents > 50
    assert packed.too_long <= packed.cut < chopped.cut
    # Whole documents make longer stretches that attention sees, and none is longer than a sequence.
    assert chopped.squared_length_per_token < packed.squared_length_per_token <= 128
    assert packing_quality(make_plan(config(), table), table, 0).squared_length_per_token == 128
