"""The vocabulary of reasons and the sources that give them say the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.tables.reasons import (
    EXTRACT_REASONS,
    SIGNAL_FAMILIES,
    known_rules,
    reason_in_words,
    rule_in_words,
)
from spark_jobs.signals import SIGNALS
from spark_jobs.stages.decide import policy

SPARK_JOBS = Path(policy.__file__).parents[2]
SOURCES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SPARK_JOBS.rglob("*.py"))}
POSITION_OF_REASON = {"BodyError": 0, "Refusal": 0, "Offer": 1}
"""Where a reason stands in a call, if not by name."""


def constants() -> dict[str, str]:
    """Names of strings at the top of any module."""
    return {
        target.id: node.value.value
        for tree in SOURCES.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def expressions_of_reasons(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "reason")
            position = POSITION_OF_REASON.get(getattr(node.func, "id", ""))
            if position is not None and len(node.args) > position:
                yield node.args[position]
        elif isinstance(node, ast.Dict):
            named = zip(node.keys, node.values, strict=True)
            yield from (
                value
                for key, value in named
                if isinstance(key, ast.Constant) and key.value in ("reason", "extract_reason")
            )


def strings_in(expression: ast.expr, known: dict[str, str]) -> Iterator[str]:
    """The strings that an expression may have for a value, as far as they stand in the source."""
    if isinstance(expression, ast.IfExp):
        yield from strings_in(expression.body, known)
        yield from strings_in(expression.orelse, known)
    elif isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value
    elif isinstance(expression, ast.Name) and expression.id in known:
        yield known[expression.id]


def test_every_reason_in_the_sources_is_in_the_vocabulary_and_every_reason_is_given_where_it_says():
    known, given = constants(), {}
    for path, tree in SOURCES.items():
        for expression in expressions_of_reasons(tree):
            for reason in strings_in(expression, known):
                given.setdefault(reason, set()).add(path.relative_to(SPARK_JOBS).as_posix())
    assert given == {reason.name: set(reason.given_by) for reason in EXTRACT_REASONS}


def test_every_family_of_signals_is_in_the_vocabulary():
    assert {signal.family for signal in SIGNALS} == {family.name for family in SIGNAL_FAMILIES}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("duplicate.exact", "another document has the same text"),
        ("extract.url.list", reason_in_words("url.list")),
        ("decontamination.gsm8k", "it holds too much of an item of the evaluation set of that name"),
        ("gopher_quality.word_count", "Gopher's rules of quality (Rae et al. 2021, appendix A.1)"),
        ("a-limit-with-a-name-of-its-own", ""),
    ],
)
def test_a_rule_has_words(rule, words):
    assert rule_in_words(rule) == words


@pytest.mark.spark
@pytest.mark.parametrize(
    ("rejected_by", "fits"),
    [
        ([], True),
        (["extract.mime"], True),
        (["gopher_quality.word_count", "language.en", "decontamination.a.b", "short"], True),
        (["gopher_quality.word_count", "extract.nothing"], False),
        (["duplicate.fuzzy"], False),
        # It is a reason, but failed records are rejected by no rule.
        (["extract.timeout"], False),
    ],
)
def test_a_rule_that_no_family_has_is_refused(spark, rejected_by, fits):
    row = spark.createDataFrame([(rejected_by,)], "rejected_by array<string>")
    assert row.where(known_rules()).count() == fits
