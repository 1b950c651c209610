"""Recipes: the bundled ones are sound, and a wrong key, type or size is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.plumbing.configuration import UsageError, config_markdown
from training.config import TrainingConfig, bundled_recipes, load_recipe, require_fit


@pytest.mark.parametrize("recipe", bundled_recipes())
def test_bundled_recipes_are_sound(recipe: str) -> None:
    config = load_recipe(recipe)
    require_fit(config)
    parallel = config.parallel
    assert config.data_parallel(parallel.tensor * parallel.pipeline * parallel.expert) == parallel.expert


def test_the_bundled_models_have_the_size_that_their_recipes_say() -> None:
    assert 100_000 < load_recipe("tiny_cpu").model.parameters(4096) < 1_000_000
    assert 140e6 < load_recipe("llama_150m").model.parameters(32_768) < 160e6
    assert (
        1.0e9
        < load_recipe("llama_1b_tp2").model.parameters(32_768)
        < load_recipe("llama_1b_tp2").model.parameters(128_256)
        < 1.25e9
    )
    # As published with Llama 3 8B.
    assert load_recipe("llama_8b_tp4_pp2").model.parameters(128_256) == 8_030_261_248
    experts = load_recipe("moe_1b7b").model
    # OLMoE-1B-7B norms queries and keys over all heads at once, which is 2 x 16 x (2,048 - 128) weights more.
    assert experts.parameters(50_304) == 6_919_161_856 - 61_440
    assert 1.2e9 < experts.active_parameters(50_304) < 1.3e9


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.layer=3", "model.layer: unknown key"),
        ("model.layers=many", "model.layers: .* valid integer.*, not 'many'"),
        ("optimizer.kind=lion", "optimizer.kind: Input should be 'adamw' or 'sgd', not 'lion'"),
        ("steps=0", "steps: .* greater than or equal to 1, not 0"),
        ("steps", "--set steps: must look like key.path=value"),
    ],
)
def test_a_wrong_setting_names_its_key(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("tiny_cpu", (setting,))


def test_an_unknown_recipe_lists_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match="nonesuch: neither a file nor a bundled recipe; bundled are llama_150m, llama_1b_tp2, llama_8b_tp4_pp2, "
        "moe_1b7b, tiny_cpu",
    ):
        load_recipe("nonesuch")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("parallel.tensor=3",), "parallel.tensor: 3 does not divide model.heads 4"),
        (("parallel.pipeline=3",), "parallel.pipeline: 3 does not divide model.layers 2"),
        (("parallel.sequence_parallel=true",), "parallel.sequence_parallel: needs parallel.tensor > 1"),
        (
            ("parallel.pipeline=2", "parallel.virtual_stages=2"),
            "parallel.pipeline: 2 x parallel.virtual_stages 2 does not divide model.layers 2",
        ),
        (("parallel.virtual_stages=2",), "parallel.virtual_stages: needs parallel.pipeline > 1"),
        (("parallel.expert=2",), "parallel.expert: needs model.experts"),
        (("parallel.expert=2", "model.experts=3"), "parallel.expert: 2 does not divide model.experts 3"),
        (
            ("parallel.tensor=2", "model.experts=4"),
            "parallel.sequence_parallel: model.experts need it where parallel.tensor > 1",
        ),
        (("parallel.context=3",), "parallel.context: twice 3 does not divide data.sequence_length 128"),
        (("batch.tokens=1000",), "batch.tokens: 1000 is no multiple of data.sequence_length 128"),
        (("model.heads=5",), "model.heads: 5 does not divide model.hidden 64"),
        (("model.query_groups=3",), "model.query_groups: 3 does not divide model.heads 4"),
        (("evaluation.every=10",), "evaluation.every: needs data.held_out_tokens"),
    ],
)
def test_sizes_that_do_not_fit_name_the_key(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        require_fit(load_recipe("tiny_cpu", settings))


@pytest.mark.parametrize(
    ("settings", "world_size", "message"),
    [
        (("parallel.tensor=2",), 3, "world size 3 does not fit parallel.tensor 2 x parallel.pipeline 1"),
        (
            ("parallel.tensor=2", "parallel.pipeline=2"),
            2,
            "world size 2 does not fit parallel.tensor 2 x parallel.pipeline 2",
        ),
        (
            ("parallel.expert=2", "model.experts=2"),
            1,
            "parallel.expert: 2 does not divide the 1 ranks of a pipeline stage",
        ),
        (
            ("parallel.context=2",),
            3,
            "world size 3 does not fit parallel.tensor 1 x parallel.pipeline 1 x parallel.context 2",
        ),
        ((), 3, "batch.tokens: 8 sequences a batch are no multiple of 3 data-parallel ranks x batch.micro_sequences 4"),
    ],
)
def test_a_world_that_does_not_fit_is_refused(settings: tuple[str, ...], world_size: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("tiny_cpu", settings).data_parallel(world_size)


def test_every_field_is_documented() -> None:
    for row in config_markdown(TrainingConfig).splitlines():
        assert row.rsplit("|", 2)[1].strip(), row
