"""Policies that extend others, in files and by `--set`: what comes out, and what is said of faulty ones."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.plumbing.configuration import load_config
from schemas.plumbing.errors import UsageError
from spark_jobs.pipeline import PipelineConfig
from spark_jobs.recipes import bundled
from spark_jobs.stages.decide.extends import extended
from spark_jobs.stages.decide.load_policy import resolve_policy
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.select_corpus import Config

DOCS = Path(__file__).resolve().parents[4] / "docs"
MINE = """
name: mine
rules: [c4.sentence_count, {signal: gopher_quality.word_count, name: few}, {column: date, min: 2015-01-01}]
languages: [{language: en}, {language: de, limits: {few: {min: 20}, c4.sentence_count: null}}]
rights: {licences: [by, cc0], min_licence_confidence: 0.5}
language_weights: {en: 2, de: 3}
rehydration: {2: 2, 5: 3}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    """A folder with a policy of three rules, in which commands are started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(MINE)
    return tmp_path


def facts(policy: Policy) -> dict[str, object]:
    """Every value of a policy by its path, with the names of rules and languages instead of their places."""
    values = policy.model_dump(mode="json")
    values["rules"] = {rule["name"]: rule for rule in values["rules"]}
    values["languages"] = {language["language"]: language for language in values["languages"]}

    def leaves(value: object, path: str):
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from leaves(inner, f"{path}.{key}" if path else key)
        else:
            yield path, value

    return dict(leaves(values, ""))


def changes(before: Policy, after: Policy) -> dict[str, object]:
    """What differs, without the name; `gone` for what is no more."""
    old, new = facts(before), facts(after)
    return {
        path: new.get(path, "gone")
        for path in sorted(old.keys() | new.keys())
        if old.get(path, "none") != new.get(path, "none") and path != "name"
    }


def of_settings(*settings: str) -> Policy:
    return load_config(
        PipelineConfig, None, tuple(f"select_corpus.policy{setting}" for setting in settings)
    ).select_corpus.policy


@pytest.mark.parametrize("name", bundled("policy"))
@pytest.mark.parametrize(
    "nothing", [{}, {"rules": {}, "languages": [], "duplicates": {}}, {"rules": [], "languages": {}}]
)
def test_a_policy_that_changes_nothing_is_the_one_that_it_extends(name, nothing):
    assert resolve_policy({"extends": name, **nothing}) == resolve_policy(name)


@pytest.mark.parametrize("name", bundled("policy"))
def test_every_bundled_policy_can_be_changed_rule_by_rule(name):
    base = resolve_policy(name)
    for rule in base.rules:
        without = resolve_policy({"extends": base, "rules": {rule.name: None}})
        assert without.name == f"{base.name}-changed"
        assert without.rules == tuple(other for other in base.rules if other is not rule)
        side, limit = ("max", rule.max) if rule.max is not None else ("min", rule.min)
        other = (limit or 1) * 0.99
        changed = resolve_policy({"extends": base, "rules": {rule.name: {side: other}}})
        assert changes(base, changed) == {f"rules.{rule.name}.{side}": other}


MULTILINGUAL = "=headwater_multilingual"
RECENT = {
    "rules.recent.column": "date", "rules.recent.min": "2015-01-01", "rules.recent.max": None,
    "rules.recent.any_of": [], "rules.recent.none_of": [], "rules.recent.missing": "pass",
    "rules.recent.name": "recent",
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((".rules.c4.sentence_count.min=3",), {"rules.c4.sentence_count.min": 3.0}),
        (("=fineweb", ".rules.c4.sentence_count.min=3"), {"rules.c4.sentence_count.min": 3.0}),
        (("=fineweb", ".rules.c4.sentence_count={min: 3, max: 9}"),
         {"rules.c4.sentence_count.min": 3.0, "rules.c4.sentence_count.max": 9.0}),
        (("=fineweb", ".rules={c4.sentence_count: {min: 3}}"), {"rules.c4.sentence_count.min": 3.0}),
        (("=fineweb", ".rules.c4.sentence_count.min=3", ".rules.c4.sentence_count.min=4"),
         {"rules.c4.sentence_count.min": 4.0}),
        # Only both together are in order: the base allows 3 to 10.
        (("=fineweb", ".rules.gopher_quality.mean_word_length.min=11", ".rules.gopher_quality.mean_word_length.max=12"),
         {"rules.gopher_quality.mean_word_length.min": 11.0, "rules.gopher_quality.mean_word_length.max": 12.0}),
        (("=fineweb", ".rules.gopher_quality.word_count.max=null"), {"rules.gopher_quality.word_count.max": None}),
        (("=fineweb", ".rules.c4.sentence_count=null"),
         {f"rules.c4.sentence_count.{key}": "gone" for key in ("signal", "min", "max", "name")}),
        (("=fineweb", ".rules.recent={column: date, min: 2015-01-01}"), RECENT),
        (("=fineweb", ".rules.recent.column=date", ".rules.recent.min=2015-01-01"), RECENT),
        (("=fineweb", ".rules=[{column: date, min: 2015-01-01, name: recent}]"), RECENT),
        (("=fineweb", ".duplicates.near=false"), {"duplicates.near": False}),
        (("=fineweb", ".languages.en.min_score=0.8"), {"languages.en.min_score": 0.8}),
        (("=fineweb", ".languages=[{language: en, min_score: 0.8}]"), {"languages.en.min_score": 0.8}),
        (("=fineweb", ".languages=[{language: de}]"),
         {"languages.de.language": "de", "languages.de.min_score": 0.0, "languages.de.limits": {}}),
        (("=fineweb", ".buckets.limits.en=[300, 700]", ".buckets.weights.tail=0"),
         {"buckets": "gone", "buckets.limits.en": [300.0, 700.0], "buckets.signal": "perplexity.value",
          "buckets.weights.head": 1.0, "buckets.weights.middle": 1.0, "buckets.weights.tail": 0.0}),
        (("=fineweb", ".rights.licences=[by]", ".rights.min_licence_confidence=0.5"),
         {"rights.licences": ["by"], "rights.min_licence_confidence": 0.5}),
        (("=fineweb", ".weight=2"), {"weight": 2.0}),
        ((MULTILINGUAL, ".languages.de.limits.fineweb.list_ratio.max=0.2"),
         {"languages.de.limits.fineweb.list_ratio.max": 0.2}),
        ((MULTILINGUAL, ".languages.de.limits.fineweb.list_ratio=null"),
         {"languages.de.limits.fineweb.list_ratio": None, "languages.de.limits.fineweb.list_ratio.min": "gone",
          "languages.de.limits.fineweb.list_ratio.max": "gone"}),
        ((MULTILINGUAL, ".rehydration.5=6"), {"rehydration.5": 6.0}),
        ((MULTILINGUAL, ".rehydration.1000=null"), {"rehydration.1000": "gone"}),
        # Thai has switched the rule off for itself, which is nothing to switch off any more.
        ((MULTILINGUAL, ".rules.fineweb2.stop_word_count=null"),
         {f"rules.fineweb2.stop_word_count.{key}": "gone" for key in ("signal", "min", "max", "name")}
         | {"languages.th.limits.fineweb2.stop_word_count": "gone"}),
    ],
)  # fmt: skip
def test_a_setting_reaches_into_a_policy_that_is_named(settings, expected):
    base = of_settings(*(settings[:1] if settings[0].startswith("=") else ()))
    changed = of_settings(*settings)
    assert changes(base, changed) == expected
    assert changed.name == f"{base.name}-changed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("=fineweb", ".rules.c4.sentence_cout.min=3"),
         "changes of policy fineweb: rules.c4.sentence_cout: no such rule (perhaps c4.sentence_count)"),
        (("=fineweb", ".rules.c4.sentence_cout=null"),
         "changes of policy fineweb: rules.c4.sentence_cout: no such rule (perhaps c4.sentence_count)"),
        (("=fineweb", ".rules.c4.min=3"), "changes of policy fineweb: rules.c4: no such rule"),
        (("=fineweb", ".rules.c4.sentence_count=3"),
         "changes of policy fineweb: rules.c4.sentence_count: must be a group of keys, or null, not 3"),
        (("=fineweb", ".rules.c4.sentence_count.mni=3"),
         "changes of policy fineweb: rules.c4.sentence_count.mni: unknown key"),
        (("=fineweb", ".rules.c4.sentence_count.min=0"),
         "changes of policy fineweb: rules.c4.sentence_count.min: can never fire: c4.sentence_count is never below 0"),
        (("=fineweb", ".rules.c4.sentence_count.min=null"),
         "changes of policy fineweb: rules.c4.sentence_count: both limits of c4.sentence_count are off"),
        (("=fineweb", ".rules.c4.sentence_count.column=date"),
         "changes of policy fineweb: rules.c4.sentence_count: give signal or column, not both"),
        (("=fineweb", ".rules.new={column: dat, min: 2015-01-01}"),
         "rules.new.column: must be a column of documents (perhaps date), not 'dat'"),
        (("=fineweb", ".rules.new={column: date, min: soon}"), "rules.new.min: must be a day such as 2015-01-31"),
        (("=fineweb", ".rules.new={column: date, min: 2015-02-30}"), "the value is not valid YAML"),
        (("=fineweb", ".rules=none"), "rules: must be a list or a mapping from names to changes, not 'none'"),
        (("=fineweb", ".rules=[3]"), "rules: 3 is no rule"),
        (("=fineweb", ".rules=[c4.sentence_count, c4.sentence_count]"), "rules of the same name: c4.sentence_count"),
        (("=fineweb", ".languages.eng.min_score=0.8"), "languages.eng: no such language (perhaps en)"),
        (("=fineweb", ".languages.en.min_score=8"), "languages.en.min_score: Input should be less than or equal to 1"),
        ((MULTILINGUAL, ".languages.de.limits.fineweb.list_rati.max=0.2"),
         "languages.de.limits.fineweb.list_rati: no such rule (perhaps fineweb.list_ratio"),
        (("=fineweb", ".duplicate.near=false"), "duplicate: unknown key (perhaps duplicates)"),
        (("=fineweb", ".duplicates.naer=false"), "changes of policy fineweb: duplicates.naer: unknown key"),
        (("=finewb", ".duplicates.near=false"), "policy finewb: neither a file nor a bundled policy (perhaps fineweb"),
        (("=3", ".duplicates.near=false"), "extends: must be the name of a policy or a file, not 3"),
    ],
)  # fmt: skip
def test_a_faulty_setting_is_told_in_one_line(settings, message):
    with pytest.raises(UsageError) as raised:
        of_settings(*settings)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_setting_reaches_into_a_policy_given_by_file_and_as_a_group(mine):
    group = yaml.safe_load(MINE)
    (mine / "pipeline.yaml").write_text(yaml.safe_dump({"select_corpus": {"policy": group}}))
    settings = (".rules.few.min=10", ".languages.de.limits.few.min=9", ".language_weights.de=null", ".rehydration.5=4")
    by_file = of_settings("=mine.yaml", *settings)
    as_group = load_config(
        PipelineConfig, Path("pipeline.yaml"), tuple(f"select_corpus.policy{setting}" for setting in settings)
    ).select_corpus.policy
    assert by_file == as_group
    assert changes(resolve_policy("mine.yaml"), by_file) == {
        "rules.few.min": 10.0, "languages.de.limits.few.min": 9.0, "language_weights.de": "gone", "rehydration.5": 4.0
    }  # fmt: skip


def test_a_setting_of_the_name_or_of_what_is_extended_is_one_of_the_group(mine):
    assert of_settings("=fineweb", ".name=other").name == "other"
    assert of_settings("=fineweb", ".extends=mine.yaml") == resolve_policy("mine.yaml")
    renamed = of_settings("=fineweb", ".rules.c4.sentence_count.min=3", ".name=other", ".weight=2")
    assert (renamed.name, renamed.weight) == ("other-changed", 2.0)


def test_the_longest_name_that_fits_is_meant():
    rules = [{"signal": "c4.sentence_count", "name": name} for name in ("few", "few.min", "few.min.max")]
    change = {"few": {"min": {"max": {"max": 1}, "min": 2}, "max": 3}}
    changed = extended({"rules": rules}, {"rules": change}, "x")["rules"]
    assert changed == [rules[0] | {"max": 3}, rules[1] | {"min": 2}, rules[2] | {"max": 1}]


def test_a_list_takes_the_place_of_the_same_names_and_adds_the_others_at_the_end():
    policy = resolve_policy(
        {
            "extends": {
                "name": "x",
                "rules": ["c4.sentence_count", "fineweb.list_ratio"],
                "languages": [{"language": "en"}],
            },
            "rules": [{"column": "domain", "none_of": ["a.b"]}, {"signal": "c4.sentence_count", "max": 9}],
            "languages": [{"language": "de"}, {"language": "en", "min_score": 0.5}],
        }
    )
    assert [(rule.name, rule.min, rule.max) for rule in policy.rules] == [
        ("c4.sentence_count", 5, 9), ("fineweb.list_ratio", None, 0.3), ("documents.domain", None, None)
    ]  # fmt: skip
    assert [(language.language, language.min_score) for language in policy.languages] == [("en", 0.5), ("de", 0.0)]


def test_files_may_extend_files_that_extend_others(mine):
    (mine / "second.yaml").write_text("extends: mine.yaml\nrules: {few: {min: 10}, c4.sentence_count: null}\n")
    (mine / "third.yaml").write_text("extends: second.yaml\nrights: {licences: [by]}\nlanguages: {en: null}\n")
    (mine / "fourth.yaml").write_text("extends: third.yaml\nname: fourth\ndescription: The last.\n")
    policies = [resolve_policy(f"{name}.yaml") for name in ("mine", "second", "third", "fourth")]
    assert [policy.name for policy in policies] == ["mine", "mine-changed", "mine-changed", "fourth"]
    assert [changes(*pair) for pair in pairwise(policies)] == [
        {"rules.few.min": 10.0, "languages.de.limits.c4.sentence_count": "gone"}
        | {f"rules.c4.sentence_count.{key}": "gone" for key in ("signal", "min", "max", "name")},
        {"rights.licences": ["by"]} | {f"languages.en.{key}": "gone" for key in ("language", "min_score", "limits")},
        {"description": "The last."},
    ]


def test_a_circle_is_told_in_one_line(mine):
    for name, base in (("a", "b.yaml"), ("b", "./c.yaml"), ("c", "b.yaml"), ("self", "self.yaml")):
        (mine / f"{name}.yaml").write_text(f"extends: {base}\n")
    for name, circle in (("a", r"a\.yaml -> b\.yaml -> c\.yaml -> b\.yaml"), ("self", r"self\.yaml -> self\.yaml")):
        with pytest.raises(UsageError, match=rf"extends: the policies extend each other in a circle: {circle}$"):
            resolve_policy(f"{name}.yaml")


def test_a_fault_is_told_of_the_file_that_has_it(mine):
    (mine / "faulty.yaml").write_text("name: faulty\nrules: [{signal: c4.sentence_count, min: -1}]\n")
    (mine / "good.yaml").write_text("extends: faulty.yaml\nrules: {c4.sentence_count: {min: 3}}\n")
    (mine / "lost.yaml").write_text("extends: nowhere.yaml\n")
    (mine / "second.yaml").write_text("extends: mine.yaml\nrules: {fewer: {min: 3}}\n")
    for name, message in (
        ("good", "faulty.yaml: rules.c4.sentence_count.min: must be >= 0 and finite, not -1"),
        ("lost", "lost.yaml: extends: policy nowhere.yaml: neither a file nor a bundled policy"),
        ("second", "second.yaml: rules.fewer: no such rule (perhaps few)"),
    ):
        with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
            resolve_policy(f"{name}.yaml")


def test_a_mapping_of_rules_needs_a_policy_that_is_extended():
    with pytest.raises(UsageError, match=r"policy\.rules: must be a list, unless the policy extends another"):
        of_settings("={name: x, rules: {c4.sentence_count: {min: 3}}}")


def test_the_ledger_keeps_the_policy_with_all_that_it_took_over():
    policy = of_settings("=fineweb", ".rules.c4.sentence_count.min=3")
    recorded = Config(policy=policy).model_dump(mode="json")["policy"]
    assert Policy.model_validate(recorded) == policy
    assert len(recorded["rules"]) == len(resolve_policy("fineweb").rules)


RULES = ("fineweb.list_ratio", "fineweb.char_dup_ratio", "gopher_repetition.duplicate_line_fraction")


@given(
    st.lists(st.tuples(st.sampled_from(RULES), st.floats(0.01, 0.4), st.floats(0.5, 0.99)), unique_by=lambda r: r[0]),
    st.dictionaries(st.sampled_from(RULES), st.one_of(st.none(), st.fixed_dictionaries({}, optional={
        "min": st.one_of(st.none(), st.floats(0.01, 0.4)), "max": st.floats(0.5, 0.99)}))),
    st.booleans(),
)  # fmt: skip
def test_changed_limits_are_those_of_the_policy_written_by_hand(rules, wanted, nested):
    wanted = {name: change for name, change in wanted.items() if name in [rule[0] for rule in rules]}
    base = {"name": "x", "rules": [{"signal": name, "min": low, "max": high} for name, low, high in rules]}
    by_hand = [
        {"signal": name, "min": change.get("min", low), "max": change.get("max", high)}
        for name, low, high in rules
        if (change := wanted.get(name, {})) is not None
    ]
    spelled: dict = {}
    for name, change in wanted.items():
        family, _, last = name.partition(".")
        spelled |= {family: spelled.get(family, {}) | {last: change}} if nested else {name: change}
    policy = resolve_policy({"extends": base, "name": "x", "rules": spelled})
    assert policy == Policy.model_validate({"name": "x", "rules": by_hand})


def test_the_examples_of_the_docs_are_policies():
    text = (DOCS / "policies.md").read_text(encoding="utf-8")
    changing, on_columns = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    columns = Policy.model_validate(on_columns)
    assert changes(resolve_policy("fineweb"), resolve_policy(changing)) == {
        "rules.c4.sentence_count.min": 3.0,
        "rules.gopher_quality.word_count.min": 20.0,
        "rules.gopher_quality.word_count.max": None,
        **{f"rules.fineweb_after_c4.list_ratio.{key}": "gone" for key in ("signal", "min", "max", "name")},
        **{"languages.de.language": "de", "languages.de.min_score": 0.8, "languages.de.limits": {}},
        "duplicates.near": False,
    }
    assert [rule.name for rule in columns.column_rules] == [
        "documents.date", "documents.fetched_at", "documents.page_type", "documents.domain", "documents.no_forums",
        "documents.language_score", "documents.robots",
    ]  # fmt: skip
    settings = re.findall(r"^--set '?(.*?)'?$", text, re.MULTILINE)
    assert len(settings) == 5
    assert load_config(PipelineConfig, None, tuple(settings)).select_corpus.policy.name == "english-web-changed"


def test_the_docs_name_every_column_that_a_rule_may_look_at():
    from spark_jobs.stages.decide.column_rules import KIND_OF_COLUMN, NOT_FOR_RULES, ColumnRule

    text = (DOCS / "policies.md").read_text(encoding="utf-8")
    rows = "".join(re.findall(r"^\| `.*", text, re.MULTILINE))
    assert [name for name in KIND_OF_COLUMN if f"`{name}`" not in rows] == []
    assert [name for name in NOT_FOR_RULES if f"`{name}`" not in text or f"`{name}`" in rows] == []
    described = ColumnRule.model_fields["column"].description or ""
    assert sorted(re.findall(r"`(\w+)`", described)) == sorted(KIND_OF_COLUMN)
