"""Best-fit packing of a window: everything once, nothing padded, few documents cut."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from training.order.packing import best_fit, cut_documents


def test_documents_that_fit_together_share_a_sequence_whole() -> None:
    # Lengths 6, 3, 4, 7 into two sequences of 10: 6 + 4 and 7 + 3. Laid end to end, the third would be cut.
    assert best_fit([6, 9, 13, 20], 2, 10) == [[(6, 9), (13, 20)], [(0, 6), (9, 13)]]
    assert cut_documents([6, 9, 13, 20], best_fit([6, 9, 13, 20], 2, 10)) == 0


def test_a_document_longer_than_a_sequence_fills_some_alone() -> None:
    assert best_fit([25, 30], 3, 10) == [[(0, 10)], [(10, 20)], [(20, 25), (25, 30)]]


def test_what_fits_nowhere_is_cut_to_fill_what_is_left() -> None:
    # Three documents of 6 and one of 2 into two sequences of 10: 6 + 2, 6, and the third 6 is cut.
    arrangement = best_fit([6, 12, 18, 20], 2, 10)
    assert arrangement == [[(0, 6), (16, 18), (18, 20)], [(6, 12), (12, 16)]]
    assert cut_documents([6, 12, 18, 20], arrangement) == 1


@given(sequences=st.integers(1, 12), length=st.integers(1, 40), data=st.data())
def test_every_position_is_in_one_place_and_every_sequence_is_full(
    sequences: int, length: int, data: st.DataObject
) -> None:
    total = sequences * length
    inner = data.draw(st.sets(st.integers(1, max(1, total - 1)), max_size=30))
    ends = sorted({end for end in inner if end < total} | {total})
    arrangement = best_fit(ends, sequences, length)
    assert len(arrangement) == sequences
    assert [sum(end - start for start, end in pieces) for pieces in arrangement] == [length] * sequences
    assert sorted(place for pieces in arrangement for start, end in pieces for place in range(start, end)) == list(
        range(total)
    )


@given(st.lists(st.integers(1, 16), min_size=1, max_size=60))
def test_it_cuts_no_more_documents_than_cutting_end_to_end(lengths: list[int]) -> None:
    ends = list(accumulate(lengths))
    sequences = -(-ends[-1] // 16)
    if ends[-1] < sequences * 16:
        ends.append(sequences * 16)
    chopped = sum(start // 16 != (end - 1) // 16 for start, end in zip([0, *ends[:-1]], ends, strict=True))
    assert cut_documents(ends, best_fit(ends, sequences, 16)) <= max(chopped, sequences - 1)
