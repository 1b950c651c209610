"""Every declared signal: its examples, its range on hostile texts, its column."""

from __future__ import annotations

import inspect
import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contract import Table
from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.kernels.models.model_scores import ModelScores, SentenceScores, Topic
from spark_jobs.signals import MODEL_SIGNALS, SIGNALS, SIGNALS_TABLE, TEXT_SIGNALS, Signal, measure

each_signal = pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.key)
each_text_signal = pytest.mark.parametrize("signal", TEXT_SIGNALS, ids=lambda signal: signal.key)

HOSTILE = {
    "empty": "",
    "blank": " \n\t\u00a0\n\n",
    "line feeds only": "\n" * 1000,
    "null characters": "\x00\x00 \x00\n\x00",
    "one very long line": "lorem ipsum { " * 20_000,
    "one very long word": "x" * 300_000,
    "the same line over and over": "Same line here.\n" * 3000,
    "symbols": "#" * 500 + "\u2026" * 500 + "$ \u20ac",
    "scripts": "\u0928\u092e\u0938\u094d\u0924\u0947 "
    "\u0926\u0941\u0964\n\u4f60\u597d\uff0c\u4e16\u754c\u3002\n\u0645\u0631\u062d\u061f",
    "emoji and combining marks": "e\u0301" * 40 + " \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "other line ends": "one\r\ntwo\rthree\u2028four\x0bfive\x85six",
}

texts = st.text(alphabet=st.sampled_from(list("ab .\n-#\u2022\u2026\u3002'{")), max_size=200) | st.text(max_size=200)


def value_of(signal: Signal, text: str) -> float:
    return signal.measure(TextView(text))


@each_text_signal
def test_examples_have_the_values_that_they_state(signal):
    for text, expected in signal.examples:
        actual = value_of(signal, text)
        assert actual == pytest.approx(expected), text


@each_text_signal
def test_an_empty_text_has_the_value_zero(signal):
    assert value_of(signal, "") == 0
    assert ("", 0) in [(text, value) for text, value in signal.examples]


@each_text_signal
def test_there_is_an_example_with_a_value_above_zero(signal):
    assert any(value > 0 for _, value in signal.examples)


@each_text_signal
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_have_values_in_the_declared_range(signal, text):
    require_in_range(signal, value_of(signal, text))


@settings(deadline=None, max_examples=300)
@given(texts)
def test_any_text_has_values_in_the_declared_range(text):
    values = measure(text)
    for signal, value in zip(TEXT_SIGNALS, values, strict=False):
        require_in_range(signal, value)
    assert not any(values[len(TEXT_SIGNALS) :]), "no model was given"


@settings(deadline=None, max_examples=100)
@given(texts)
def test_values_do_not_depend_on_which_signal_asked_first(text):
    backwards = TextView(text)
    assert (
        tuple(signal.measure(backwards) for signal in reversed(TEXT_SIGNALS))[::-1]
        == measure(text)[: len(TEXT_SIGNALS)]
    )


def test_signals_of_models_are_what_the_models_say():
    sentences = {"toxicity": SentenceScores(0.75, 0.25), "nsfw": SentenceScores(0.0, 0.0)}
    scores = ModelScores(perplexity=250.0, quality=0.5, **sentences, topic=Topic("law", 0.875), bad_words=3)
    assert measure("", scores)[len(TEXT_SIGNALS) :] == (250.0, 0.5, 0.75, 0.25, 0.0, 0.0, 0.875, 3, "law")
    assert all(signal.model in ModelScores.__dataclass_fields__ for signal in MODEL_SIGNALS)


def require_in_range(signal: Signal, value: float) -> None:
    assert isinstance(value, int if signal.type == "long" else float), (
        f"{signal.key} is {value!r}, but its column is {signal.type}"
    )
    assert not math.isnan(value)
    assert 0 <= value <= (signal.at_most if signal.at_most is not None else math.inf), f"{signal.key} = {value}"


def test_keys_and_columns_are_distinct():
    assert len({signal.key for signal in SIGNALS}) == len(SIGNALS)
    assert isinstance(SIGNALS_TABLE, Table)
    assert SIGNALS_TABLE.column_names[2:] == (*(f"{signal.family}_{signal.name}" for signal in SIGNALS), "topic_label")
    assert {column.name for column in SIGNALS_TABLE.columns if column.nullable} == {
        *(signal.column.name for signal in MODEL_SIGNALS),
        "topic_label",
    }


@each_signal
def test_a_signal_says_what_it_means_and_who_defined_it(signal):
    assert signal.description
    assert signal.source
    assert signal.key in signal.markdown()
    assert len(inspect.signature(signal.measure).parameters) == 1


@each_signal
def test_default_limits_can_fire(signal):
    limits = signal.default
    if limits is None:
        return
    assert limits.min is not None or limits.max is not None
    for limit in (limits.min, limits.max):
        assert limit is None or 0 <= limit <= (signal.at_most if signal.at_most is not None else math.inf)


def test_measuring_travels_to_an_executor():
    assert pickle.loads(pickle.dumps(measure)) is measure
