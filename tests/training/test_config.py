"""Recipes: the bundled ones are sound, and a wrong key, type or size is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.configuration import UsageError, config_markdown
from training.config import TrainingConfig, bundled_recipes, load_recipe, require_fit


@pytest.mark.parametrize("recipe", bundled_recipes())
def test_bundled_recipes_are_sound(recipe: str) -> None:
    config = load_recipe(recipe)
    require_fit(config)
    assert config.data_parallel(1) == 1


def test_the_bundled_models_have_the_size_that_their_recipes_say() -> None:
    assert 100_000 < load_recipe("tiny_cpu").model.parameters(4096) < 1_000_000
    assert 140e6 < load_recipe("llama_150m").model.parameters(32_768) < 160e6


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
    with pytest.raises(UsageError, match="nonesuch: neither a file nor a bundled recipe; bundled are llama_150m, tiny_cpu"):
        load_recipe("nonesuch")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("parallel.tensor=3",), "parallel.tensor: 3 does not divide model.heads 4"),
        (("parallel.pipeline=3",), "parallel.pipeline: 3 does not divide model.layers 2"),
        (("parallel.sequence_parallel=true",), "parallel.sequence_parallel: needs parallel.tensor > 1"),
        (("batch.tokens=1000",), "batch.tokens: 1000 is no multiple of data.sequence_length 128"),
        (("model.heads=5",), "model.heads: 5 does not divide model.hidden 64"),
        (("model.query_groups=3",), "model.query_groups: 3 does not divide model.heads 4"),
    ],
)
def test_sizes_that_do_not_fit_name_the_key(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        require_fit(load_recipe("tiny_cpu", settings))


@pytest.mark.parametrize(
    ("settings", "world_size", "message"),
    [
        (("parallel.tensor=2",), 3, "world size 3 does not fit parallel.tensor 2 x parallel.pipeline 1"),
        (("parallel.tensor=2", "parallel.pipeline=2"), 2, "world size 2 does not fit parallel.tensor 2 x parallel.pipeline 2"),
        ((), 3, "batch.tokens: 8 sequences a batch are no multiple of 3 data-parallel ranks x batch.micro_sequences 4"),
    ],
)
def test_a_world_that_does_not_fit_is_refused(settings: tuple[str, ...], world_size: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("tiny_cpu", settings).data_parallel(world_size)


def test_every_field_is_documented() -> None:
    for row in config_markdown(TrainingConfig).splitlines():
        assert row.rsplit("|", 2)[1].strip(), row
