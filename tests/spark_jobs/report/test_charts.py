"""Bins, ticks and numbers of the charts."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.report.charts import histogram, line, round_ticks, short_number
from spark_jobs.report.signal_histograms import bin_edges, count_bins
from spark_jobs.signals import SIGNALS
from spark_jobs.stages.decide.signal_rules import SignalRule

BY_KEY = {signal.key: signal for signal in SIGNALS}
LIMITED = [signal for signal in SIGNALS if signal.default is not None]


def passes(rule: SignalRule, value: float) -> bool:
    return (rule.min is None or value >= rule.min) and (rule.max is None or value <= rule.max)


@given(signal=st.sampled_from(LIMITED), data=st.data())
def test_a_bin_lies_wholly_on_one_side_of_the_limits(signal, data):
    top = signal.at_most or 1e6
    is_count = signal.type == "long"
    low = data.draw(
        st.none()
        | (st.integers(1, int(top)) if is_count else st.floats(0, top, exclude_min=True, allow_subnormal=False))
    )
    high = data.draw(
        st.none()
        | (st.integers(0, int(top) - 1) if is_count else st.floats(0, top, exclude_max=True, allow_subnormal=False))
    )
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        low, high = None, 0
    rule = SignalRule(signal=signal.key, name=signal.key, min=low, max=high)
    edges = bin_edges(signal, rule)
    assert edges[0] == 0
    assert all(a < b for a, b in itertools.pairwise(edges))
    assert len(edges) <= 64
    value = data.draw(st.integers(0, int(top)) if signal.type == "long" else st.floats(0, top))
    assert passes(rule, edges[bisect_right(edges, value) - 1]) == passes(rule, value)


@pytest.mark.parametrize(
    ("key", "limit"),
    [
        ("gopher_quality.word_count", 50),
        ("gopher_quality.word_count", 100_001),
        ("fineweb.line_punct_ratio", 0.12),
        ("c4.sentence_count", 5),
    ],
)
def test_the_default_limits_are_ends_of_bins(key, limit):
    assert limit in bin_edges(BY_KEY[key], SignalRule(signal=key))


def test_bins_count_every_value_once():
    batch = pa.RecordBatch.from_pydict({"a": [0, 1, 1, 9], "b": [0.0, 0.5, 0.999, 7.0]})
    (counted,) = count_bins(iter([batch, batch]), ["a", "b"], [(0.0, 1.0, 2.0), (0.0, 0.5)])
    assert [tuple(row.values()) for row in counted.to_pylist()] == [
        (0, 0, 2),
        (0, 1, 4),
        (0, 2, 2),
        (1, 0, 2),
        (1, 1, 6),
    ]


def test_no_batch_gives_no_row():
    (counted,) = count_bins(iter([]), ["a"], [(0.0, 1.0)])
    assert counted.num_rows == 0


@given(low=st.floats(-1e9, 1e9), span=st.floats(0, 1e9), count=st.integers(2, 8))
def test_ticks_are_few_and_enclose_the_values(low, span, count):
    ticks = round_ticks(low, low + span, count)
    step = ticks[1] - ticks[0]
    assert 2 <= len(ticks) <= count + 3
    assert ticks[0] <= low + 1e-6 * step
    assert ticks[-1] >= low + span - 1e-6 * step


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (50, "50"),
        (100_000, "100k"),
        (1250, "1.25k"),
        (0.0003, "3e-4"),
        (0.1000000001, "0.1"),
        (3.5e6, "3.5M"),
        (math.inf, "inf"),
    ],
)
def test_numbers_are_short(value, text):
    assert short_number(value) == text


def test_charts_escape_their_words():
    drawn = histogram([1], ["<b>"], [True], [(0, "<i>")], [(0, "<u>")])
    assert not any(tag in drawn for tag in ("<b>", "<i>", "<u>"))


def test_a_loss_that_is_no_number_leaves_a_gap():
    drawn = line([(1, 2.0), (2, 3.0), (3, math.nan), (4, 2.5), (5, 2.0)], "loss")
    assert drawn.count("<polyline") == 2
    assert "nan" not in drawn


@pytest.mark.parametrize("points", [[], [(1.0, math.nan)]])
def test_a_curve_without_numbers_is_no_chart(points):
    assert line(points, "loss") == ""
