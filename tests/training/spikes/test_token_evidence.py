"""What the tokens of a batch say about its documents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.audit.trace import TracedSpan
from training.settings.watching import SpikeConfig
from training.spikes.fault import BatchReplay, judge_fault, replay_documents, suspects
from training.spikes.token_evidence import DocumentEvidence, document_evidence, most_unlikely, repetitions


@pytest.mark.parametrize(
    ("tokens", "times"),
    [
        ([5], 1),
        ([1, 2, 3, 4], 1),
        ([7] * 32, 32),
        ([1, 2, 3] * 32 + [9], 32),
        (list(range(13)) * 32, 32),
        (list(range(14)) * 32, 1),  # longer than what is looked for
        ([9, 1, 2, 1, 2, 1, 2, 9, 9], 3),
    ],
)
def test_repetitions_in_a_row_are_counted(tokens: list[int], times: int) -> None:
    assert repetitions(np.array(tokens)) == times


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_repetitions_are_those_found_by_trying_every_start(tokens: list[int]) -> None:
    most = 1
    for period in range(1, 14):
        for start in range(len(tokens)):
            gram, times = tokens[start : start + period], 1
            while len(gram) == period and tokens[start + times * period : start + (times + 1) * period] == gram:
                times += 1
            most = max(most, times)
    assert repetitions(np.array(tokens)) == most


def test_losses_belong_to_the_document_whose_token_is_predicted() -> None:
    spans = [TracedSpan(0, 0, 3, "web", "a", 0), TracedSpan(0, 3, 6, "web", "b", 0), TracedSpan(1, 0, 6, "web", "b", 3)]
    losses = np.array([[1.0, 3.0, 99.0, 5.0, 5.0, 2.0], [4.0, 4.0, 4.0, 4.0, 4.0, 100.0]], np.float32)
    counted = np.ones((2, 6), bool)
    counted[1, 5] = False
    found = document_evidence(spans, np.arange(12).reshape(2, 6), losses, counted)
    # The last token of `a` predicts the first of `b`: it is neither's.
    assert found == [DocumentEvidence("a", "web", 2, 2.0, 1), DocumentEvidence("b", "web", 8, 32 / 8, 1)]


def test_of_two_equally_unlikely_documents_the_longer_one_comes_first() -> None:
    documents = [
        DocumentEvidence(name, source, tokens, loss, 1)
        for name, source, tokens, loss in (("short", "web", 4, 5.0), ("long", "web", 400, 5.0))
    ]
    usual = {"web": 2.0, "code": 4.5}
    documents.append(DocumentEvidence("usual of its source", "code", 400, 5.0, 1))
    assert [one.doc_id for one in most_unlikely(documents, usual.__getitem__, 3)] == [
        "long",
        "usual of its source",
        "short",
    ]


def replayed(step: int, loss: float, documents: tuple[float, ...]) -> BatchReplay:
    found = tuple(DocumentEvidence(f"doc {number}", "web", 100, value, 1) for number, value in enumerate(documents))
    around = tuple(DocumentEvidence(f"near {number}", "web", 100, 2.0 + number / 100, 1) for number in range(20))
    return BatchReplay(step, loss, (2.0, 2.02, 1.98, 2.01, 1.99), found, around)


def test_a_batch_that_every_checkpoint_finds_unlikely_is_a_fault_of_the_data() -> None:
    config = SpikeConfig()
    assert judge_fault([9.0, 12.0], config) == "data fault"
    assert judge_fault([9.0, 0.4], config) == "undecided"
    assert judge_fault([9.0], config) == "undecided"
    assert judge_fault([0.2, 0.4], config) == "state fault"


def test_suspects_deviate_for_every_checkpoint_and_forced_ones_for_any() -> None:
    config = SpikeConfig()
    documents = replay_documents([replayed(10, 4.0, (2.1, 6.0, 6.0)), replayed(20, 4.0, (2.1, 6.0, 2.1))], config)
    assert [one.doc_id for one in suspects(documents, config)] == ["doc 1"]
    assert {one.doc_id for one in suspects(documents, config, forced=True)} == {"doc 1", "doc 2"}
    assert documents[0].usual == pytest.approx((2.095, 2.095))
