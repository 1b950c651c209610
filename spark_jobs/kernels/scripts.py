"""Scripts that put nothing between words, as ranges of code points (Scripts.txt and Blocks.txt of Unicode).

Two uses need two tables. A splitter of words must know letters and signs from digits and punctuation of the same
script; where each character counts for itself, whole blocks are simpler and do no harm. Both have the same scripts:
Thai, Lao, Burmese, Khmer, kana and Han. The hexagrams between the two large blocks of Han, 4DC0 to 4DFF, are symbols
and belong to no script; the iteration mark and the zero of Han, 3005 to 3007, and half-width katakana belong to theirs.
"""

from __future__ import annotations

type Ranges = tuple[tuple[int, int], ...]
"""First and last code points."""

HAN_AND_HIRAGANA: Ranges = (
    (0x3005, 0x3007),
    (0x3041, 0x309F),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
KATAKANA: Ranges = ((0x30A1, 0x30FA), (0x30FC, 0x30FF), (0xFF66, 0xFF9F))
CLUSTERED: Ranges = (
    (0x0E01, 0x0E3A),
    (0x0E40, 0x0E4E),
    (0x0E81, 0x0ECD),
    (0x0EDC, 0x0EDF),
    (0x1000, 0x103F),
    (0x1050, 0x109F),
    (0x1780, 0x17D3),
    (0x17D7, 0x17D7),
    (0x17DC, 0x17DD),
)
"""Letters and signs of Thai, Lao, Burmese and Khmer, without their digits and punctuation."""
DEPENDENT: Ranges = (
    (0x0E30, 0x0E3A),
    (0x0E45, 0x0E4E),
    (0x0EB0, 0x0EBC),
    (0x0EC5, 0x0ECD),
    (0x102B, 0x103E),
    (0x1056, 0x1059),
    (0x105E, 0x1060),
    (0x17B4, 0x17D3),
    (0x17DD, 0x17DD),
)
"""Of these, the ones that follow the consonant that they belong to."""

UNSPACED_BLOCKS: Ranges = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x3FFFF),
)
"""The blocks of all these scripts, whatever is in them."""


def character_class(*ranges: Ranges) -> str:
    """The ranges as the body of a character class of a regular expression."""
    return "".join(f"{chr(first)}-{chr(last)}" for part in ranges for first, last in part)
