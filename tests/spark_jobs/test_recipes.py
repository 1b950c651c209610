"""Every bundled policy and pipeline loads, and says what its source says."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.configuration import load_config
from spark_jobs import pipeline
from spark_jobs.pipeline import PipelineConfig
from spark_jobs.policy import POLICY_FOLDER, resolve_policy

PIPELINES = sorted((Path(pipeline.__file__).parent / "pipelines").glob("*.yaml"))
RECIPES = {"fineweb", "fineweb2", "refinedweb", "dclm", "ccnet", "dolma", "headwater_english", "headwater_multilingual"}


@pytest.mark.parametrize("path", sorted(POLICY_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bundled_policy_loads(path):
    assert resolve_policy(path.stem).name.replace("-", "_") == path.stem


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_bundled_pipeline_loads(path):
    assert load_config(PipelineConfig, path)


def test_each_recipe_of_the_field_has_a_policy_and_a_pipeline():
    assert {path.stem for path in POLICY_FOLDER.glob("*.yaml")} >= RECIPES
    assert {path.stem for path in PIPELINES} >= RECIPES


def test_a_limit_of_fineweb_2_that_could_never_fire_is_off():
    policy = resolve_policy("fineweb2")
    limits = {language.language: language.limits for language in policy.languages}
    assert len(limits) == 16
    assert limits["de"]["fineweb.line_punct_ratio"] is None
    assert limits["de"]["gopher_quality.mean_word_length"].min is None
    assert limits["fr"]["fineweb.line_punct_ratio"].min == 0.1
