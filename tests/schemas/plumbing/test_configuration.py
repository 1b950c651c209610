"""Configuration files and settings: every fault names its key."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from schemas.plumbing.configuration import Config, Extensible, config_hash, config_markdown, load_config
from schemas.plumbing.errors import UsageError


class Select(Config):
    threshold: float = Field(default=0.5, le=1)
    """Share above which a page is rejected."""


class Settings(Config):
    name: str = "web"
    """What to call it."""
    select: Select = Select()


def written(tmp_path, text: str):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


def test_settings_override_the_file_which_overrides_defaults(tmp_path):
    path = written(tmp_path, "name: news\nselect: {threshold: 0.25}")
    assert load_config(Settings, None) == Settings(name="web", select=Select(threshold=0.5))
    assert load_config(Settings, path) == Settings(name="news", select=Select(threshold=0.25))
    assert load_config(Settings, path, ("select.threshold=0.75",)) == Settings(
        name="news", select=Select(threshold=0.75)
    )


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("nmae: web", (), "settings.yaml: nmae: unknown key"),
        ("select: {treshold: 1}", (), "settings.yaml: select.treshold: unknown key"),
        (
            "select: {threshold: high}",
            (),
            "select.threshold: Input should be a valid number, unable to parse string as a number, not 'high'",
        ),
        ("select: {threshold: 2}", (), "select.threshold: Input should be less than or equal to 1, not 2"),
        ("- a", (), "settings.yaml: must be a mapping of keys to values, not a list"),
        ("a: [", (), "settings.yaml: not valid YAML"),
        ("", ("name",), "--set name: must look like key.path=value"),
        ("name: x", ("name.first=y",), "--set name.first=y: name is not a group of keys"),
    ],
)
def test_a_fault_is_one_line_that_names_the_key(tmp_path, text, settings, message):
    with pytest.raises(UsageError) as raised:
        load_config(Settings, written(tmp_path, text), settings)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


class Choice(Config):
    recipe: Annotated[Any, Extensible("base")] = "plain"
    other: Any = "plain"


class Kitchen(Config):
    choice: Choice = Choice()


@pytest.mark.parametrize(
    ("text", "settings", "recipe"),
    [
        ("", (), "plain"),
        ("", ("salt=1",), {"base": "plain", "salt": 1}),
        ("choice: {recipe: rich}", ("eggs.count=2",), {"base": "rich", "eggs": {"count": 2}}),
        ("choice: {recipe: {salt: 1}}", ("salt=2",), {"base": {"salt": 1}, "salt": 2}),
        ("", ("a.b=1", "a.c=2"), {"base": {"base": "plain", "a": {"b": 1}}, "a": {"c": 2}}),
        ("", ("base=rich", "salt=1"), {"base": {"base": "rich"}, "salt": 1}),
        ("choice: {recipe: {salt: 1}}", ("base=rich",), {"salt": 1, "base": "rich"}),
    ],
)
def test_a_setting_that_reaches_into_what_may_be_a_name_extends_it(tmp_path, text, settings, recipe):
    given = tuple(f"choice.recipe.{setting}" for setting in settings)
    assert load_config(Kitchen, written(tmp_path, text), given).choice.recipe == recipe


def test_a_setting_reaches_into_no_other_value_that_is_no_group(tmp_path):
    with pytest.raises(UsageError, match=r"--set choice\.other\.salt=1: other is not a group of keys"):
        load_config(Kitchen, written(tmp_path, "choice: {other: rich}"), ("choice.other.salt=1",))


@pytest.mark.parametrize(("text", "settings"), [("name: 2015-02-30", ()), ("", ("name=2015-02-30",))])
def test_a_day_that_does_not_exist_is_a_fault_of_the_yaml(tmp_path, text, settings):
    with pytest.raises(UsageError, match="not valid YAML"):
        load_config(Settings, written(tmp_path, text), settings)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.yaml: no such configuration file"):
        load_config(Settings, tmp_path / "nowhere.yaml")


def test_equal_configurations_have_equal_hashes():
    assert config_hash(Settings()) == config_hash(Settings(name="web"))
    assert config_hash(Settings()) != config_hash(Settings(name="news"))


def test_the_text_under_a_field_is_its_documentation():
    assert (
        config_markdown(Settings)
        == "| `name` | str | `'web'` | What to call it. |\n| `select.threshold` | float | `0.5` | Share above which a "
        "page is rejected. |"
    )
