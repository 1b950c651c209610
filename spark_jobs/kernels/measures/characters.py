"""Classes of characters that the heuristics count, as tables: published thresholds were chosen with exactly these."""

from __future__ import annotations

import string

# Code points, in hex, of the Unicode property Sentence_Terminal (version 15) and the four Khmer signs KHAN to
# BATHAMASAT and PHNAEK MUAN to KOOMUUT: the marks that FineWeb takes for the end of a line (Penedo et al. 2024, section
# 3.6).
_TERMINAL = """
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6
17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E
2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52
FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6
111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944
11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16E98 1BC9F
1DA88
"""
# The marks that CCNet's text normaliser calls punctuation (Wenzek et al. 2020, section 3.1), beyond those of ASCII. The
# full-width digit one among them is an oversight there; it stays, because published thresholds were chosen with it.
_BEYOND_ASCII = (
    "AB B4 BB 2013 2014 2019 201C 201D 201E 2026 2236 2501 25BA 3001 3002 3008-300D 3010 3011 "
    "FF01 FF05 FF08 FF09 FF0C FF0E FF11 FF1A FF1B FF1F FF5E"
)
# Control characters; the line feed and the space are not among CCNet's either.
_CONTROL = "0-9 B-1F 7F-9F"


def _characters(table: str) -> frozenset[str]:
    found: set[str] = set()
    for entry in table.split():
        first, _, last = entry.partition("-")
        found.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    return frozenset(found)


TERMINAL_PUNCTUATION = _characters(_TERMINAL)
"""Marks that end a sentence, in many scripts."""

PUNCTUATION = frozenset(string.punctuation) | _characters(_BEYOND_ASCII) | _characters(_CONTROL) | TERMINAL_PUNCTUATION
"""Characters that do not make a word: a token of these alone is a symbol, not a word."""

NOT_A_DIGIT = "\uff11"
"""The one character of `PUNCTUATION` that is a letter or digit."""
