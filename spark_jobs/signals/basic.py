"""Sizes of a text, measured for reports and for policies of one's own."""

from __future__ import annotations

from spark_jobs.signals.signal import Signal

_HERE = "Headwater"

CHARACTER_COUNT = Signal(
    family="basic",
    name="character_count",
    type="long",
    description="Unicode characters of the text",
    source=_HERE,
    measure=lambda view: len(view.text),
    default=None,
    examples=(("", 0), ("na\u00efve\n", 6)),
)

TOKEN_COUNT = Signal(
    family="basic",
    name="token_count",
    type="long",
    description="words and punctuation marks",
    source=_HERE,
    measure=lambda view: view.n_tokens,
    default=None,
    examples=(("", 0), ("Stop, now!", 4)),
)

LINE_COUNT = Signal(
    family="basic",
    name="line_count",
    type="long",
    description="lines that are not blank",
    source=_HERE,
    measure=lambda view: len(view.filled_lines),
    default=None,
    examples=(("", 0), ("one\n\n two\n \n", 2)),
)

BASIC = (CHARACTER_COUNT, TOKEN_COUNT, LINE_COUNT)
