"""A part's endless stream: each epoch holds every token once, in whole blocks, and the way back is the inverse."""

from hypothesis import given
from hypothesis import strategies as st

from training.order.stream import Stream


def tokens_at(stream: Stream, start: int, end: int) -> list[int]:
    return [token for first, last in stream.stored(start, end) for token in range(first, last)]


def test_the_first_epoch_is_the_stored_order() -> None:
    stream = Stream(10, 4, (0, "web", 0))
    assert list(stream.stored(0, 10)) == [(0, 10)]


def test_later_epochs_shuffle_whole_blocks_the_short_last_one_among_them() -> None:
    stream = Stream(10, 4, (0, "web", 0))
    epochs = [list(stream.stored(10 * epoch, 10 * epoch + 10)) for epoch in range(1, 30)]
    assert all(sorted(spans) == [(0, 4), (4, 8), (8, 10)] for spans in epochs)
    assert len({tuple(spans) for spans in epochs}) == 6


@given(length=st.integers(1, 200), block=st.integers(1, 50), start=st.integers(0, 1000), size=st.integers(0, 300))
def test_a_stretch_is_what_single_positions_give_and_positions_are_the_inverse(
    length: int, block: int, start: int, size: int
) -> None:
    stream = Stream(length, block, (7, "web", 1))
    found = tokens_at(stream, start, start + size)
    assert found == [tokens_at(stream, place, place + 1)[0] for place in range(start, start + size)]
    for offset, token in enumerate(found):
        assert list(stream.positions((start + offset) // length, token, token + 1)) == [
            (start + offset, start + offset + 1)
        ]


@given(length=st.integers(1, 200), block=st.integers(1, 50), epoch=st.integers(0, 4), data=st.data())
def test_positions_of_a_stretch_read_it_in_its_order(length: int, block: int, epoch: int, data: st.DataObject) -> None:
    stream = Stream(length, block, (7, "web", 1))
    start = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(start, length))
    read = [token for first, last in stream.positions(epoch, start, end) for token in tokens_at(stream, first, last)]
    assert read == list(range(start, end))


@given(length=st.integers(1, 200), block=st.integers(1, 50), epoch=st.integers(0, 5))
def test_an_epoch_holds_every_token_once(length: int, block: int, epoch: int) -> None:
    stream = Stream(length, block, (7, "web", 1))
    assert sorted(tokens_at(stream, epoch * length, (epoch + 1) * length)) == list(range(length))
