"""The tables of scripts without spaces, against Python's own names and properties of characters."""

from __future__ import annotations

import unicodedata

import pytest

from spark_jobs.kernels.duplicates.shingles import comparable_words
from spark_jobs.kernels.scripts import CLUSTERED, DEPENDENT, HAN_AND_HIRAGANA, KATAKANA, UNSPACED_BLOCKS, Ranges

SCRIPTS = ("THAI ", "LAO ", "MYANMAR ", "KHMER ", "HIRAGANA ", "KATAKANA ", "HALFWIDTH KATAKANA ", "CJK ")


def characters(ranges: Ranges) -> set[str]:
    return {chr(code) for first, last in ranges for code in range(first, last + 1)}


def letters_of_scripts() -> set[str]:
    """Letters of these scripts in the blocks of the tables, and what Unicode adds to them elsewhere."""
    every = (chr(code) for code in (*range(0x0E00, 0x10000), *range(0x20000, 0x32400)))
    return {c for c in every if c.isalpha() and unicodedata.name(c, "").startswith(SCRIPTS)}


def test_every_letter_of_the_large_blocks_of_the_scripts_is_in_both_tables():
    precise = characters(HAN_AND_HIRAGANA) | characters(KATAKANA) | characters(CLUSTERED)
    # Extensions that write minority languages (Ainu; Shan and other languages of Burma) are spaced or rare.
    rare = characters(((0x31F0, 0x31FF), (0x30A0, 0x30A0), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0x3038, 0x303C)))
    letters = letters_of_scripts() - rare
    assert letters - precise == set()
    assert letters - characters(UNSPACED_BLOCKS) == set()


def test_the_precise_table_is_a_part_of_the_blocks_and_has_no_digit_of_thai_lao_or_khmer():
    precise = characters(HAN_AND_HIRAGANA) | characters(KATAKANA) | characters(CLUSTERED)
    assert precise <= characters(UNSPACED_BLOCKS)
    assert characters(DEPENDENT) <= characters(CLUSTERED)
    digits = {c for c in characters(CLUSTERED) if c.isdecimal()}
    assert digits <= characters(((0x1090, 0x1099),)), "only Shan's"


def test_hexagrams_are_no_words():
    assert characters(((0x4DC0, 0x4DFF),)).isdisjoint(characters(UNSPACED_BLOCKS))
    assert comparable_words("\u4dc0\u4dff") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # Each of these was one word before the table knew the mark, the zero, and half-width katakana.
        ("\u3005\u3005", ["\u3005", "\u3005"]),
        ("\u3007\u3007\u682a", ["\u3007", "\u3007", "\u682a"]),
        ("\uff76\uff85", ["\uff76", "\uff85"]),
        # These were as they are.
        ("\u4eba\u3005", ["\u4eba", "\u3005"]),
        ("\u4e8c\u3007\u4e8c", ["\u4e8c", "\u3007", "\u4e8c"]),
    ],
)
def test_a_character_of_a_script_without_spaces_is_a_word(text, words):
    assert [word.decode() for word in comparable_words(text)] == words
