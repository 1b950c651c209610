"""Policy files: what they mean, and what is said of faulty ones."""

from __future__ import annotations

import json

import pytest

from schemas.configuration import config_hash, config_json, load_config
from schemas.errors import UsageError
from spark_jobs.policy import POLICY_FOLDER, Policy
from spark_jobs.select_corpus import Config
from spark_jobs.signals import SIGNALS


def policy_of(tmp_path, text: str) -> Policy:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(Config, None, (f"policy={path}",)).policy


def test_the_default_policy_has_every_default_limit():
    rules = Config().policy.rules
    expected = {signal.key: (signal.default.min, signal.default.max) for signal in SIGNALS if signal.default is not None}
    assert {rule.signal: (rule.min, rule.max) for rule in rules} == expected


@pytest.mark.parametrize("path", sorted(POLICY_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_bundled_policies_load_and_say_what_they_are_for(path):
    policy = load_config(Config, None, (f"policy={path.stem}",)).policy
    assert policy.name == path.stem.replace("_", "-")
    assert policy.description


def test_limits_that_are_not_given_come_from_the_signal(tmp_path):
    policy = policy_of(
        tmp_path,
        """
        name: mine
        rules:
          - gopher_quality.word_count
          - {signal: gopher_quality.word_count, min: 20, name: few_words}
          - {signal: gopher_quality.word_count, min: 20, max: null, name: no_upper_limit}
        """,
    )
    assert [(rule.name, rule.min, rule.max) for rule in policy.rules] == [
        ("gopher_quality.word_count", 50, 100_000),
        ("few_words", 20, 100_000),
        ("no_upper_limit", 20, None),
    ]


def test_the_hash_of_the_configuration_covers_the_content_of_the_file(tmp_path):
    hashes = set()
    for limit in (0.1, 0.2):
        (tmp_path / "mine.yaml").write_text(f"name: mine\nrules: [{{signal: fineweb.char_dup_ratio, max: {limit}}}]\n")
        hashes.add(config_hash(load_config(Config, None, (f"policy={tmp_path}/mine.yaml",))))
    assert len(hashes) == 2


def test_a_resolved_configuration_reads_back_as_itself():
    config = Config()
    assert Config.model_validate(json.loads(config_json(config))) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nrules: [gopher_quality.word_cout]", r"mine\.yaml: rules\.0\.signal: must be the key of a signal \(perhaps gopher_quality\.word_count"),
        ("name: x\nrules: [{signal: fineweb.list_ratio}, {signal: fineweb.char_dup_ratio, max: 1.5}]", r"rules\.1\.max: must be <= 1, the largest"),
        ("name: x\nrules: [{signal: fineweb.char_dup_ratio, max: -0.5}]", r"rules\.0\.max: must be >= 0"),
        ("name: x\nrules: [{signal: gopher_quality.stop_word_count, min: 9}]", r"rules\.0\.min: must be <= 8"),
        ("name: x\nrules: [{signal: fineweb.list_ratio, max: .nan}]", r"rules\.0\.max: must be >= 0"),
        ("name: x\nrules: [{signal: fineweb.list_ratio, max: few}]", r"rules\.0\.max: "),
        ("name: x\nrules: [basic.token_count]", r"rules\.0: basic\.token_count has no default limit: give min or max"),
        ("name: x\nrules: [{signal: gopher_quality.mean_word_length, min: 11}]", r"rules\.0: min 11 is above max 10"),
        ("name: x\nrules: [fineweb.list_ratio, fineweb.list_ratio]", r"rules of the same name: fineweb\.list_ratio"),
        ("name: x\nlanguages: [{language: en, min_score: 65}]", r"languages\.0\.min_score: "),
        ("name: x\nlanguage_weights: {en: 0}", r"language_weights of en must be positive"),
        ("name: x\nweight: 0", r"weight: "),
        ("name: x\nthresholds: {}", r"thresholds: unknown key"),
        ("rules: []", r"name: is required"),
        ("- a list", r"mine\.yaml: must be a mapping"),
    ],
)
def test_a_faulty_policy_names_the_key(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        policy_of(tmp_path, text)


def test_an_unknown_policy_names_the_bundled_ones():
    with pytest.raises(UsageError, match="policy nowhere: neither a file nor a bundled policy; bundled are english_web, keep_all"):
        load_config(Config, None, ("policy=nowhere",))
