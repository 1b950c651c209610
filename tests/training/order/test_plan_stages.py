"""The plan that a recipe asks for: settings carried from stage to stage, the ramp, held-out tokens, and refusals
that name the key."""

from __future__ import annotations

import pytest

from schemas.plumbing.errors import UsageError
from training.config import BatchConfig, DataConfig, StageConfig, TrainingConfig
from training.order.plan import Part
from training.order.plan_stages import later_versions, make_plan, ramp_steps
from training.reading.delta_tokens import TokenFile, Tokenizer, TokenTable
from training.settings.data import RampConfig

FILES = (
    TokenFile("a", "books", 0, 3, (700,)),
    TokenFile("b", "web", 0, 3, (1500, 500)),
    TokenFile("c", "web", 1, 5, (900,)),
    TokenFile("d", "code", 1, 5, (1,)),
)
TABLE = TokenTable("lake/tokens", (3, 5), FILES, Tokenizer("f", 300, 0, ""))


def config(*stages: StageConfig, ramp: RampConfig | None = None, **data: object) -> TrainingConfig:
    settings = DataConfig.model_validate({"sequence_length": 16, **data})
    return TrainingConfig(data=settings, batch=BatchConfig(tokens=64, micro_sequences=2, ramp=ramp), stages=stages)


def test_a_part_is_what_a_version_added_less_what_is_held_out_and_its_last_token() -> None:
    plan = make_plan(config(held_out_tokens=100), TABLE)
    # One token of a source has no next one, so there is nothing to learn from it.
    assert plan.parts == (Part("books", 0, 3, 600), Part("web", 0, 3, 1900), Part("web", 1, 5, 899))


def test_a_stage_changes_what_it_names_and_keeps_the_rest() -> None:
    stages = (
        StageConfig(from_step=10, weights={"web": 3.0, "books": 1.0}),
        StageConfig(from_step=20, sequence_length=32, packing="best_fit", tokens_version=5),
        StageConfig(from_step=30, weights={}, batch_tokens=128, micro_sequences=1),
    )
    plan = make_plan(config(*stages), TABLE)
    found = [
        (s.first_batch, s.tokens_version, s.weights, s.sequence_length, s.batch_sequences, s.micro_sequences, s.packing)
        for s in plan.stages
    ]
    weights = (("books", 1.0), ("web", 3.0))
    assert found == [
        (0, 3, (), 16, 4, 2, "chop"),
        (10, 3, weights, 16, 4, 2, "chop"),
        (20, 5, weights, 32, 2, 2, "best_fit"),
        (30, 5, (), 32, 4, 1, "best_fit"),
    ]
    assert later_versions(config(*stages)) == (5,)


def test_a_ramp_gives_every_size_an_equal_share_of_its_tokens() -> None:
    batch = BatchConfig(tokens=64, ramp=RampConfig(from_tokens=16, increment_tokens=16, over_tokens=960))
    # 320 tokens each: 20 batches of 16, 10 of 32, 7 (6.7) of 48.
    assert ramp_steps(batch) == [(0, 16), (20, 32), (30, 48), (37, 64)]
    plan = make_plan(config(StageConfig(from_step=35, batch_tokens=32), ramp=batch.ramp), TABLE)
    assert [(stage.first_batch, stage.batch_sequences) for stage in plan.stages] == [(0, 1), (20, 2), (30, 3), (35, 2)]


@pytest.mark.parametrize(
    ("stages", "data", "said"),
    [
        ((StageConfig(from_step=5), StageConfig(from_step=5)), {}, r"stages\.1\.from_step: must be above 5"),
        (
            (),
            {"weights": {"wiki": 1.0}},
            r"data\.weights\.wiki: no such source in version 3 of tokens; there are books, web",
        ),
        (
            (StageConfig(from_step=5, weights={"code": 1.0}, tokens_version=5),),
            {},
            r"stages\.0\.weights\.code: no such source in version 5",
        ),
        (
            (StageConfig(from_step=5, sequence_length=24),),
            {},
            "step 5: a batch of 64 tokens is no multiple of the sequence length 24",
        ),
        (
            (),
            {"weights": {"books": 1.0}, "held_out_tokens": 690},
            r"data\.weights\.books: its 10 tokens are less than one sequence of 16",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(
    stages: tuple[StageConfig, ...], data: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        make_plan(config(*stages, **data), TABLE)


def test_weights_must_be_shares() -> None:
    with pytest.raises(ValueError, match=r"weights\.web: must be a number of at least 0"):
        DataConfig(weights={"web": -1.0})
    with pytest.raises(ValueError, match="weights: all are 0"):
        StageConfig(from_step=1, weights={"web": 0.0})
