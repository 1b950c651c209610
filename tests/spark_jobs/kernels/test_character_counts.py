import re

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.pages.character_counts import character_counts

_WORD = re.compile(r"\w+")
TEXTS = st.text(
    st.sampled_from("aA1_ .,;$\u20ac\u00a9\n\u0130\u00e4\u0391\u3002\u4e2d\u0663\u00b2\U0001d400\U00020000")
    | st.characters(),
    max_size=30,
)


def test_each_kind_is_counted_in_the_text_it_stands_in():
    counts = character_counts(["Two Words, 3 in all.", "\u00a9 $", "a\nb"])
    assert (counts.words.tolist(), counts.capitals.tolist(), counts.numbers.tolist()) == (
        [5, 0, 2],
        [2, 0, 0],
        [1, 0, 0],
    )
    assert (counts.stops.tolist(), counts.money.tolist()) == ([2, 0, 0], [0, 1, 0])
    assert (counts.copyrights.tolist(), counts.breaks.tolist()) == ([0, 1, 0], [0, 0, 1])


@given(st.lists(TEXTS, max_size=8))
def test_words_and_their_initials_are_those_of_regular_expressions_and_of_str(texts):
    counts = character_counts(texts)
    words = [_WORD.findall(text) for text in texts]
    assert counts.words.tolist() == [len(found) for found in words]
    assert counts.capitals.tolist() == [sum(word[0].isupper() for word in found) for found in words]
    assert counts.numbers.tolist() == [sum(word[0].isdigit() for word in found) for found in words]
    assert counts.stops.tolist() == [sum(map(text.count, ".,;!?\u3002\u3001\uff0c")) for text in texts]
    assert counts.breaks.tolist() == [text.count("\n") for text in texts]


@given(st.lists(TEXTS, max_size=8), st.data())
def test_wanted_words_are_found_in_any_case(texts, data):
    lower = [[word.lower() for word in _WORD.findall(text)] for text in texts]
    known = sorted({word for words in lower for word in words if _WORD.fullmatch(word)})
    wanted = frozenset(data.draw(st.lists(st.sampled_from(known), max_size=3)) if known else [])
    assert character_counts(texts, wanted).wanted.tolist() == [sum(word in wanted for word in words) for words in lower]


def test_signs_that_are_upper_case_of_ascii_are_found():
    assert character_counts(["\u212aelvin kelvin KELVIN kelvins"], frozenset({"kelvin"})).wanted.tolist() == [3]
