"""Plans of weighted documents: layers that take turns in proportion, nothing repeated or skipped whatever the stages,
the way back, and the order of before where every document is read once."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.order.test_plan import ENDS, FIRST, PARTS, stage_changes
from training.order.layers import Documents, epoch_tokens, is_whole, layers_of
from training.order.plan import Part, Plan, PlanStage

BATCHES = 60
SIZES = (7, 30, 3, 19, 11)
WEIGHTS = {"books": (1.0, 3.0, 0.5), "web": (0.5, 1.0, 2.3, 0.1)}
"""By source, for its documents in turn."""
INCREMENTS = (("books", 0, 3, 700), ("web", 0, 3, 2000), ("web", 1, 5, 900))


def documents(source: str, increment: int) -> Documents:
    """Documents of the lengths of ENDS, in stored order."""
    keys = np.sort(np.random.default_rng(increment).integers(-(1 << 62), 1 << 62, 300))
    weights = WEIGHTS[source]
    return Documents(
        keys, np.concatenate([[0], np.cumsum(SIZES * 60)]), np.array([weights[n % len(weights)] for n in range(300)])
    )


def layered(source: str, increment: int, version: int, tokens: int) -> list[Part]:
    parts = []
    for number in range(layers_of(max(WEIGHTS[source]))):
        if is_whole(min(WEIGHTS[source]), number):
            parts.append(Part(source, increment, version, tokens, number))
        else:
            average = epoch_tokens(documents(source, increment), number, tokens)
            parts.append(Part(source, increment, version, tokens, number, average))
    return parts


LAYERED = tuple(part for increment in INCREMENTS for part in layered(*increment))


def plans() -> st.SearchStrategy[Plan]:
    return st.builds(
        lambda later, first, block: Plan(LAYERED, (first, *later), block, 11, documents),
        stage_changes(),
        st.sampled_from([FIRST, replace(FIRST, packing="best_fit")]),
        st.sampled_from([64, 300]),
    )


def stored_tokens(plan: Plan, batch: int) -> list[tuple[int, int, int]]:
    """(row, part, stored token) of a global batch, in its order."""
    return [
        (place, row.part, token)
        for place, row in enumerate(plan.rows(batch))
        for start, end in plan.grid(row.stage, row.part).stored(row.sequence, row.sequence + 1, ENDS)
        for token in range(start, end)
    ]


def test_books_and_web_have_as_many_layers_as_their_heaviest_documents_weigh() -> None:
    assert [(part.source, part.number, part.layer) for part in LAYERED] == [
        *(("books", 0, layer) for layer in range(3)),
        *(("web", increment, layer) for increment in range(2) for layer in range(3)),
    ]


@settings(max_examples=40, deadline=None)
@given(plans())
def test_what_is_behind_the_cursor_of_each_layer_has_been_read_and_nothing_else(plan: Plan) -> None:
    read: dict[int, list[int]] = {part: [] for part in range(len(plan.parts))}
    for batch in range(BATCHES):
        for row in plan.rows(batch):
            for start, end in plan.grid(row.stage, row.part).positions(row.sequence, row.sequence + 1, ENDS):
                read[row.part] += range(start, end)
    widest = 5 * 24 + 24
    for part, cursor in enumerate(plan.cursors(BATCHES)):
        assert len(read[part]) == len(set(read[part])) == cursor
        assert set(read[part]) >= set(range(cursor - widest))
        assert max(read[part], default=0) < cursor + widest
    assert plan.tokens_before(BATCHES) == sum(plan.cursors(BATCHES))


@settings(max_examples=40, deadline=None)
@given(plans(), st.data())
def test_from_stored_tokens_back_to_every_batch_that_read_them(plan: Plan, data: st.DataObject) -> None:
    expected: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for batch in range(BATCHES):
        offsets: Counter[int] = Counter()
        for place, part, token in stored_tokens(plan, batch):
            expected.setdefault((part, token), []).append((batch, place, offsets[place]))
            offsets[place] += 1
    part = data.draw(st.integers(0, len(LAYERED) - 1))
    start = data.draw(st.integers(0, LAYERED[part].tokens - 1))
    end = data.draw(st.integers(start, min(start + 90, LAYERED[part].tokens)))
    found = [
        (reading.batch, reading.row, reading.offset + place)
        for reading in plan.readings(part, start, end, ENDS, BATCHES)
        for place in range(reading.tokens)
    ]
    assert sorted(found) == sorted(place for token in range(start, end) for place in expected.get((part, token), []))


@pytest.mark.parametrize(
    "parts", [(Part("web", 0, 3, 100),), (Part("web", 0, 3, 100, 0, 60), Part("web", 0, 3, 100, 1, 20))]
)
def test_what_a_window_reads_of_epochs_to_come_is_found(parts: tuple[Part, ...]) -> None:
    # A window of 320 positions holds more than three epochs of 100, or runs from one epoch of a layer into the next.
    plan = Plan(parts, (replace(FIRST, packing="best_fit", window_sequences=20, batch_sequences=1),), 64, 11, documents)
    for batches in range(1, 25):
        expected = Counter((part, token) for batch in range(batches) for _, part, token in stored_tokens(plan, batch))
        for part, token in itertools.product(range(len(parts)), range(100)):
            found = plan.readings(part, token, token + 1, ENDS, batches)
            assert sum(reading.tokens for reading in found) == expected[part, token]


@settings(deadline=None)
@given(plans(), st.integers(1, BATCHES), st.sampled_from([1, 2]))
def test_the_past_and_the_slices_of_ranks_are_those_of_the_whole(plan: Plan, batch: int, ranks: int) -> None:
    past = plan.before(batch)
    assert past.documents is plan.documents
    assert [past.rows(index) for index in range(batch)] == [plan.rows(index) for index in range(batch)]
    assert past.cursors(batch) == plan.cursors(batch)[: len(past.parts)]
    assert [row for rank in range(ranks) for row in plan.rows(batch, rank, ranks)] == plan.rows(batch)
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())), documents)
    assert again == plan
    assert again.hash() == plan.hash()
    assert stored_tokens(again, batch) == stored_tokens(plan, batch)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([0.1, 0.5, 1.0, 2.0, 2.3, 3.0]), min_size=1, max_size=4),
    st.sampled_from(["chop", "best_fit"]),
    st.integers(1, 12),
)
def test_after_some_epochs_every_document_was_read_as_often_as_its_weight_says(
    weights: list[float], packing: str, epochs: int
) -> None:
    keys = np.sort(np.random.default_rng(5).integers(-(1 << 62), 1 << 62, 400))
    own = np.array([weights[n % len(weights)] for n in range(400)])
    given_documents = Documents(keys, np.concatenate([[0], np.cumsum(SIZES * 80)]), own)
    tokens = int(given_documents.bounds[-1]) - 1
    parts = tuple(
        Part("web", 0, 3, tokens, layer, epoch_tokens(given_documents, layer, tokens))
        for layer in range(layers_of(max(weights)))
    )
    stage = replace(FIRST, packing=packing, window_sequences=4)
    plan = Plan(parts, (stage,), 512, 3, lambda *_: given_documents)
    an_epoch = sum(part.epoch_tokens for part in parts)
    batches = -(-epochs * an_epoch // stage.batch_tokens)
    times, of_layer = np.zeros((len(parts), tokens), int), [part.epoch_tokens for part in parts]
    for batch in range(batches):
        for _, part, token in stored_tokens(plan, batch):
            times[part, token] += 1
    for part, cursor in enumerate(plan.cursors(batches)):
        # The turns of layers keep to the tokens of their epochs.
        assert abs(cursor - epochs * of_layer[part]) <= 3 * stage.batch_tokens
    bounds = given_documents.bounds
    first_tokens = bounds[:-1]
    total = times.sum(0)[first_tokens]
    # One a layer, and what the last batches were ahead or behind of the end of the epoch.
    late = sum(3 * stage.batch_tokens > 0.05 * tokens_of for tokens_of in of_layer)
    assert all(abs(total - epochs * own) <= np.ceil(own) + 1 + late)
    for weight in set(weights):
        chosen = own == weight
        layers = np.array([np.clip(weight - layer, 0, 1) for layer in range(len(parts))])
        slack = sum(
            3 * stage.batch_tokens / tokens_of * share for tokens_of, share in zip(of_layer, layers, strict=True)
        )
        rounding = 4 * (chosen.sum() * 0.25) ** 0.5 / chosen.sum()
        assert abs(total[chosen].mean() - epochs * weight) <= slack + rounding


@pytest.mark.parametrize("block", [512, 1 << 20])
def test_copies_of_a_document_are_not_read_side_by_side(block: int) -> None:
    parts = tuple(Part("web", 0, 3, 18_000, layer) for layer in range(3))
    plan = Plan(parts, (FIRST,), block, 3, documents)
    places: dict[int, list[int]] = {}
    for batch in range(3 * 18_000 // FIRST.batch_tokens):
        for _, _, token in stored_tokens(plan, batch):
            places.setdefault(token, []).append(batch)
    distances = [abs(first - second) for first, second, *_ in places.values()]
    # 844 batches are an epoch: two places in it that know nothing of each other are a third of it apart on average.
    assert np.mean(distances) > 150
    assert np.mean([distance < 8 for distance in distances]) < 0.1


def test_a_ramp_of_many_stages_starves_no_small_layer() -> None:
    parts = (Part("web", 0, 3, 16_000), Part("web", 0, 3, 16_000, 1, 160))
    steady = Plan(parts, (FIRST,), 512, 3, documents)
    stages = tuple(replace(FIRST, first_batch=2 * number, batch_sequences=4) for number in range(200))
    assert Plan(parts, stages, 512, 3, documents).cursors(400) == steady.cursors(400)
    assert steady.cursors(400)[1] == 16 * 16  # a hundredth of 1,600 sequences


def test_where_all_documents_are_read_once_order_and_hash_are_those_of_before() -> None:
    later = replace(FIRST, first_batch=20, tokens_version=5, packing="best_fit", sequence_length=24)
    mixed = replace(FIRST, first_batch=45, tokens_version=5, weights=(("books", 0.25), ("web", 0.75)))
    plan = Plan(PARTS, (FIRST, later, mixed), 64, 11)
    digest = hashlib.sha256()
    for batch in range(120):
        for row in plan.rows(batch):
            spans = list(plan.grid(row.stage, row.part).stored(row.sequence, row.sequence + 1, ENDS))
            digest.update(repr((row.part, spans)).encode())
    # Both as the release without weights computed them.
    assert plan.hash() == "563d48a967acfcc865274a102957f98e39b3b676f9bfaa81e875d0ea918f1883"
    assert digest.hexdigest() == "2f585aa78dc3809fca0cbe686d77569a7852dcf1f072354e09e480018e141bbb"
    assert plan.to_dict()["parts"][0] == {"source": "books", "number": 0, "tokens_version": 3, "tokens": 700}


def test_a_plan_without_its_table_says_which_sequence_is_where_and_not_what_is_in_it() -> None:
    plan = Plan(LAYERED, (FIRST,), 64, 11)
    assert plan.rows(7) == replace(plan, documents=documents).rows(7)
    with pytest.raises(ValueError, match="a plan of weighted documents needs those of its table"):
        stored_tokens(plan, 7)


def test_a_weighted_plan_of_ten_trillion_tokens_is_known_without_looking_at_a_document() -> None:
    parts = tuple(
        Part(f"source {number:02}", 0, 7, 5 * 10**11, layer, 3 * 10**11 >> layer)
        for number in range(20)
        for layer in range(3)
    )
    plan = Plan(parts, (PlanStage(0, 7, (), 4096, 1024, 2, "best_fit", True, 256),), 1 << 20, 0)
    batch = 10**12 // plan.stages[0].batch_tokens
    assert len(plan.rows(batch)) == 1024
    cursors = plan.cursors(batch)
    assert sum(cursors) == plan.tokens_before(batch)
    whole = sum(part.epoch_tokens for part in parts)
    for part, cursor in zip(parts, cursors, strict=True):
        assert abs(cursor - part.epoch_tokens * sum(cursors) // whole) < 3 * 4096
