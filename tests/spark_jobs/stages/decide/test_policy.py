"""Policy files: what they mean, and what is said of faulty ones."""

from __future__ import annotations

import json

import pytest

from schemas.plumbing.configuration import config_hash, config_json, load_config
from schemas.plumbing.errors import UsageError
from spark_jobs.recipes import bundled
from spark_jobs.signals import SIGNALS
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.recorded_policy import recorded_policy
from spark_jobs.stages.decide.requirements import require_languages, require_models
from spark_jobs.stages.decide.select_corpus import Config

GERMAN = "name: x\nrules: [fineweb.char_dup_ratio]\nlanguages: [{language: de, limits: "


def policy_of(tmp_path, text: str) -> Policy:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(Config, None, (f"policy={path}",)).policy


def test_the_limits_of_the_default_policy_are_the_defaults_of_its_signals():
    rules = Config().policy.rules
    expected = {
        signal.key: (signal.default.min, signal.default.max) for signal in SIGNALS if signal.default is not None
    }
    assert {rule.signal: (rule.min, rule.max) for rule in rules} == {
        rule.signal: expected[rule.signal] for rule in rules
    }


@pytest.mark.parametrize("name", bundled("policy"))
def test_bundled_policies_load_and_say_what_they_are_for(name):
    policy = load_config(Config, None, (f"policy={name}",)).policy
    assert policy.name == name.replace("_", "-")
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
        (
            "name: x\nrules: [gopher_quality.word_cout]",
            r"mine\.yaml: rules\.0\.signal: must be the key of a signal \(perhaps gopher_quality\.word_count",
        ),
        (
            "name: x\nrules: [{signal: fineweb.list_ratio}, {signal: fineweb.char_dup_ratio, max: 1.5}]",
            r"rules\.1\.max: must be <= 1, the largest",
        ),
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
        ("name: x\nrehydration: {2: 0}", r"rehydration of 2 must be positive"),
        ("name: x\nrehydration: {0: 1}", r"rehydration: the sizes of clusters begin with 1"),
        ("name: x\nlanguages: [{language: en}, {language: en}]", r"languages of the same name: en"),
        (
            "name: x\nrules: [{signal: fineweb.list_ratio, name: duplicate.near}]",
            r"rules: duplicate\.near: names that begin so",
        ),
        (
            "name: x\nrules: [{signal: fineweb.char_dup_ratio, max: 1}]",
            r"rules\.0\.max: can never fire: fineweb\.char_dup_ratio is never above 1",
        ),
        (
            "name: x\nrules: [{signal: fineweb.line_punct_ratio, min: 0}]",
            r"rules\.0\.min: can never fire: fineweb\.line_punct_ratio is never below 0",
        ),
        ("name: x\nrules: [{signal: fineweb.list_ratio, max: .inf}]", r"rules\.0\.max: must be >= 0 and finite"),
        (
            f"{GERMAN}{{fineweb.char_dup_ratio: {{max: 1.1}}}}}}]",
            r"languages: de: limits: fineweb\.char_dup_ratio: max must be <= 1",
        ),
        (
            f"{GERMAN}{{fineweb.char_dup_ratio: {{min: 0}}}}}}]",
            r"languages: de: limits: fineweb\.char_dup_ratio: min can never fire",
        ),
        (
            f"{GERMAN}{{fineweb.char_dup_ratio: {{}}}}}}]",
            r"languages: de: limits: fineweb\.char_dup_ratio: give min or max, or null",
        ),
        (
            f"{GERMAN}{{fineweb.char_dup: {{max: 0.1}}}}}}]",
            r"fineweb\.char_dup: replaces no rule of the policy \(perhaps fineweb\.char_dup_ratio\)",
        ),
        ("name: x\nbuckets: {limits: {en: [700, 300]}}", r"buckets\.limits: of en must be two ascending numbers"),
        (
            "name: x\nbuckets: {signal: quality.probability, limits: {en: [0.5, 1.5]}}",
            r"buckets\.limits: of en must be <= 1",
        ),
        ("name: x\nweigh: [{signal: toxicity.max_sentence, factor: 0.2}]", r"weigh\.0: give above or below"),
        ("name: x\nweigh: [{signal: toxicity.max_sentence, above: 1, factor: 0.2}]", r"weigh\.0: above can never fire"),
        ("name: x\nweigh: [{signal: toxicity.max_sentence, above: 0.4, factor: 0}]", r"weigh\.0\.factor: "),
        (
            "name: x\nrights: {min_licence_confidence: 0.5}",
            r"rights: min_licence_confidence says nothing without licences",
        ),
        ("name: x\nthresholds: {}", r"thresholds: unknown key"),
        ("rules: []", r"name: is required"),
        ("- a list", r"mine\.yaml: must be a mapping"),
    ],
)
def test_a_faulty_policy_names_the_key(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        policy_of(tmp_path, text)


def test_an_unknown_policy_names_the_bundled_ones():
    with pytest.raises(
        UsageError, match=r"policy nowhere: neither a file nor a bundled policy; bundled are .*english_web"
    ):
        load_config(Config, None, ("policy=nowhere",))


def test_a_policy_of_every_key_reads_back_as_itself(tmp_path):
    policy = policy_of(
        tmp_path,
        """
        name: all
        languages:
        - {language: en}
        - {language: de, min_score: 0.8, limits: {fineweb.char_dup_ratio: {max: 0.1}, fineweb.list_ratio: null}}
        rules: [fineweb.char_dup_ratio, fineweb.list_ratio]
        buckets: {limits: {en: [300, 700]}, weights: {tail: 0}}
        rights: {reject_robots: [noai], reject_tdm_reservation: true, licences: [by], opt_out_lists: [a.txt]}
        weigh: [{signal: toxicity.max_sentence, above: 0.4, factor: 0.2}]
        rehydration: {1: 1, 2: 2, 1000: 1}
        decontamination: {max_overlap: 0.5, sets: [exam]}
        training: {suspects: false}
        """,
    )
    assert Config.model_validate(json.loads(config_json(Config(policy=policy)))).policy == policy
    assert recorded_policy(json.loads(config_json(policy))) == (policy, ())


def test_a_recorded_policy_is_read_as_far_as_it_can_be():
    recorded = {
        "name": "old",
        "rules": [
            {"signal": "gone.away", "min": 1, "name": "gone.away"},
            {"signal": "fineweb.list_ratio", "max": 0.3},
            "gone.too",
        ],
        "languages": [{"language": "en", "min_score": 65}, {"language": "fr", "limits": {"gone.away": None}}],
        "thresholds": {"a": 1},
        "weight": 2,
    }
    policy, lost = recorded_policy(recorded)
    assert ([rule.signal for rule in policy.rules], [rule.language for rule in policy.languages], policy.weight) == (
        ["fineweb.list_ratio"],
        ["fr"],
        2,
    )
    assert sorted(lost) == ["languages: en", "rules: gone.away", "rules: gone.too", "thresholds"]


@pytest.mark.parametrize(
    "recorded", [{}, {"name": "NOT A NAME"}, {"name": "x", "rules": [{"signal": "fineweb.list_ratio"}] * 2}]
)
def test_a_recorded_policy_that_cannot_be_read_at_all_is_an_empty_one(recorded):
    policy, lost = recorded_policy(recorded)
    assert (policy.name, policy.rules, len(lost) > 0) == ("unreadable", (), True)


def test_a_limit_on_a_score_without_a_model_is_an_error():
    policy = Policy.model_validate(
        {
            "name": "x",
            "buckets": {"limits": {"en": [300, 700]}},
            "rules": [{"signal": "quality.probability", "min": 0.5}],
        }
    )
    require_models(policy, {"perplexity", "quality"})
    with pytest.raises(
        UsageError, match=r"policy x looks at perplexity\.value, but score_signals has no perplexity model"
    ):
        require_models(policy, {"quality"})


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (
            {"languages": [{"language": "en"}, {"language": "deu_Latn"}]},
            r"deu_Latn, .* 3 labels of the language model \(perhaps de\)",
        ),
        ({"language_weights": {"f": 2}}, r"f, .* \(perhaps fr\)"),
        ({"buckets": {"limits": {"xx": [1, 2]}}}, "xx, which is none of the 3 labels of the language model$"),
    ],
)
def test_a_language_that_the_model_does_not_know_is_an_error(keys, name):
    require_languages(Policy.model_validate({"name": "x", "languages": [{"language": "en"}]}), ("en", "de", "fr"))
    with pytest.raises(UsageError, match=f"policy x names language {name}"):
        require_languages(Policy.model_validate({"name": "x"} | keys), ("en", "de", "fr"))


def test_a_policy_that_waits_for_a_table_that_no_stage_writes_is_an_error():
    from spark_jobs.pipeline import PipelineConfig, require_policy_can_decide

    require_policy_can_decide(PipelineConfig())
    policy = {"name": "clean", "decontamination": {"max_overlap": 0.5}}
    with pytest.raises(
        UsageError, match="policy clean looks at the table decontamination, but no stage that is switched on writes it"
    ):
        require_policy_can_decide(PipelineConfig.model_validate({"select_corpus": {"policy": policy}}))
