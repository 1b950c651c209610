"""Every bundled policy and pipeline loads, and says what its source says."""

from __future__ import annotations

import pytest

from schemas.plumbing.configuration import load_config
from spark_jobs.pipeline import PipelineConfig
from spark_jobs.recipes import bundled
from spark_jobs.stages.decide.load_policy import resolve_policy

RECIPES = {"fineweb", "fineweb2", "refinedweb", "dclm", "ccnet", "dolma", "headwater_english", "headwater_multilingual"}


@pytest.mark.parametrize("name", bundled("policy"))
def test_a_bundled_policy_loads(name):
    assert resolve_policy(name).name.replace("-", "_") == name


@pytest.mark.parametrize("path", bundled("pipeline").values(), ids=bundled("pipeline"))
def test_a_bundled_pipeline_loads(path):
    assert load_config(PipelineConfig, path)


def test_each_recipe_of_the_field_has_a_policy_and_a_pipeline():
    assert bundled("policy").keys() >= RECIPES
    assert bundled("pipeline").keys() >= RECIPES


def test_a_limit_of_fineweb_2_that_could_never_fire_is_off():
    policy = resolve_policy("fineweb2")
    limits = {language.language: language.limits for language in policy.languages}
    assert len(limits) == 16
    assert limits["de"]["fineweb.line_punct_ratio"] is None
    assert limits["de"]["gopher_quality.mean_word_length"].min is None
    assert limits["fr"]["fineweb.line_punct_ratio"].min == 0.1
