"""Which documents an epoch holds: each as often as its weight says whatever the number of epochs, and the streams of
layers, whose epochs differ in length, either way."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.order.layers import (
    ONE,
    Documents,
    Layer,
    chances,
    epoch_tokens,
    is_there,
    is_whole,
    layers_of,
    mixed,
)
from training.order.permutation import _mix
from training.order.stream import Stream

WEIGHTS = st.one_of(st.sampled_from([0.1, 0.5, 1.0, 1.5, 2.0, 2.3, 3.0]), st.floats(0.01, 5.0))
ROWS = st.lists(st.tuples(WEIGHTS, st.integers(1, 30), st.integers(-(1 << 63), (1 << 63) - 1)), min_size=1, max_size=25)


def documents_of(rows: list[tuple[float, int, int]]) -> Documents:
    weights, sizes, keys = zip(*rows, strict=True)
    return Documents(np.array(keys, np.int64), np.concatenate([[0], np.cumsum(sizes)]), np.array(weights))


def chance_of(weight: float, number: int) -> Fraction:
    """In exact arithmetic: what of the weight, to the nearest 2^-32, lies between the layer and the next one."""
    return min(max(Fraction(round(Fraction(weight) * ONE), ONE) - number, Fraction(0)), Fraction(1))


def tokens_at(stream: Stream, start: int, end: int) -> list[int]:
    return [token for first, last in stream.stored(start, end) for token in range(first, last)]


@given(WEIGHTS, st.integers(0, ONE - 1), st.integers(1, 60))
def test_a_document_is_in_as_many_of_the_first_epochs_as_its_weight_says(
    weight: float, offset: int, epochs: int
) -> None:
    total = 0
    for number in range(layers_of(weight)):
        chance, offsets = chances(np.array([weight]), number), np.array([offset], np.uint64)
        times = sum(bool(is_there(chance, offsets, epoch)[0]) for epoch in range(epochs))
        exact = epochs * chance_of(weight, number)
        assert times in (floor(exact), ceil(exact))
        total += times
    # Only one layer has a fraction of it.
    assert abs(total - epochs * weight) < 1


def test_every_epoch_has_about_its_share_and_two_of_a_half_have_each_document_once() -> None:
    draw = np.random.default_rng(0)
    offsets = mixed(draw.integers(-(1 << 63), (1 << 63) - 1, 20_000), 12345) >> np.uint64(32)
    for weight in (0.5, 0.1):
        chance = chances(np.full(20_000, weight), 0)
        for epoch in range(12):
            # Five deviations of a binomial.
            assert abs(is_there(chance, offsets, epoch).mean() - weight) < 5 * (weight * (1 - weight) / 20_000) ** 0.5
    half = chances(np.full(20_000, 0.5), 0)
    assert np.array_equal(is_there(half, offsets, 6), ~is_there(half, offsets, 7))


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1), st.integers(0, (1 << 64) - 1))
def test_shuffle_keys_are_mixed_as_indices_are(keys: list[int], key: int) -> None:
    assert mixed(np.array(keys, np.int64), key).tolist() == [
        _mix(value % (1 << 64), key, (1 << 64) - 1) for value in keys
    ]


def test_layers_that_hold_all_documents_are_known_by_the_lightest() -> None:
    assert [layers_of(weight) for weight in (0.2, 1.0, 1.25, 3.0)] == [1, 1, 2, 3]
    assert [is_whole(2.5, number) for number in range(3)] == [True, True, False]


@given(ROWS, st.data())
def test_tokens_of_an_epoch_are_the_average(rows: list[tuple[float, int, int]], data: st.DataObject) -> None:
    total = sum(size for _, size, _ in rows)
    tokens = data.draw(st.integers(1, total))
    for number in range(6):
        start, exact = 0, Fraction(0)
        for weight, size, _ in rows:
            exact += chance_of(weight, number) * max(0, min(size, tokens - start))
            start += size
        assert epoch_tokens(documents_of(rows), number, tokens) == floor(exact + Fraction(1, 2))


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 40), st.integers(0, 5), st.data())
def test_over_its_epochs_a_stream_reads_each_document_as_often_as_its_weight_says(
    rows: list[tuple[float, int, int]], block: int, held_out: int, data: st.DataObject
) -> None:
    documents = documents_of(rows)
    tokens = max(1, int(documents.bounds[-1]) - held_out)
    epochs = data.draw(st.integers(1, 12))
    times, left_out = np.zeros(tokens, int), 0.0
    for number in range(layers_of(max(weight for weight, _, _ in rows))):
        average = epoch_tokens(documents, number, tokens)
        if not average:
            # Not half a token an epoch in all documents together.
            left_out = 0.5 * epochs
            continue
        stream = Stream(
            average, block, (3, "web", 0, number), Layer(lambda: documents, number, tokens, 99 + number), number > 0
        )
        read = tokens_at(stream, 0, stream.start(epochs))
        in_layer = np.bincount(read, minlength=tokens)
        for row, (weight, _, _) in enumerate(rows):
            exact = epochs * chance_of(weight, number)
            of_document = in_layer[documents.bounds[row] : documents.bounds[row + 1]]
            # All of a document's tokens equally often, those that are held out never.
            assert set(of_document.tolist()) <= {floor(exact)} or set(of_document.tolist()) == {ceil(exact)}
        times += in_layer
        # One epoch reads nothing twice.
        for epoch in range(epochs):
            within = tokens_at(stream, stream.start(epoch), stream.start(epoch + 1))
            assert len(within) == len(set(within))
    for row, (weight, _, _) in enumerate(rows):
        of_document = times[documents.bounds[row] : documents.bounds[row + 1]]
        assert all(abs(count - epochs * weight) < 1 + left_out + 1e-6 for count in of_document.tolist())


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 40), st.booleans(), st.integers(0, 400), st.integers(0, 120))
def test_a_stretch_is_what_single_positions_give_and_positions_are_the_inverse(
    rows: list[tuple[float, int, int]], block: int, copy: bool, start: int, size: int
) -> None:
    documents = documents_of(rows)
    tokens = int(documents.bounds[-1])
    average = epoch_tokens(documents, 0, tokens)
    if not average:
        return
    stream = Stream(average, block, (3, "web", 0), Layer(lambda: documents, 0, tokens, 7), copy)
    read = tokens_at(stream, start, start + size)
    assert read == [tokens_at(stream, place, place + 1)[0] for place in range(start, start + size)]
    epoch = 0
    for offset, token in enumerate(read):
        while stream.start(epoch + 1) <= start + offset:
            epoch += 1
        assert list(stream.positions(epoch, token, token + 1)) == [(start + offset, start + offset + 1)]


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 40), st.integers(0, 4), st.data())
def test_positions_of_a_stretch_read_what_the_epoch_holds_of_it_in_its_order(
    rows: list[tuple[float, int, int]], block: int, epoch: int, data: st.DataObject
) -> None:
    documents = documents_of(rows)
    tokens = int(documents.bounds[-1])
    if not epoch_tokens(documents, 0, tokens):
        return
    stream = Stream(epoch_tokens(documents, 0, tokens), block, (3, "web", 0), Layer(lambda: documents, 0, tokens, 7))
    start = data.draw(st.integers(0, tokens - 1))
    end = data.draw(st.integers(start, tokens))
    held = set(tokens_at(stream, stream.start(epoch), stream.start(epoch + 1)))
    read = [token for first, last in stream.positions(epoch, start, end) for token in tokens_at(stream, first, last)]
    assert read == [token for token in range(start, end) if token in held]


@given(ROWS, st.integers(1, 40))
def test_a_layer_that_holds_all_documents_is_the_stream_without_one(
    rows: list[tuple[float, int, int]], block: int
) -> None:
    documents = documents_of([(1.0, size, key) for _, size, key in rows])
    tokens = int(documents.bounds[-1])
    weighted = Stream(tokens, block, (3, "web", 0), Layer(lambda: documents, 0, tokens, 7))
    plain = Stream(tokens, block, (3, "web", 0))
    assert list(weighted.stored(0, 4 * tokens)) == list(plain.stored(0, 4 * tokens))


def test_the_documents_of_an_epoch_never_change_between_versions() -> None:
    documents = documents_of([(0.4, 10, key * 0x123456789ABCDEF) for key in range(20)])
    layer = Layer(lambda: documents, 0, 200, 2026)
    assert [[start // 10 for start in layer.runs(epoch).starts.tolist()] for epoch in range(3)] == EXPECTED


EXPECTED = [[1, 4, 7, 13, 18], [3, 5, 8, 14, 17], [0, 2, 4, 13, 15]]
"""Documents that begin a run in each epoch."""
