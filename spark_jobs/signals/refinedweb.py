"""RefinedWeb's rules (Penedo et al. 2023, arXiv:2306.01116, sections 3.1 and 3.2), as DCLM spelled them out (Li et
al. 2024, arXiv:2406.11794, published configuration and code).

Its rules on lines remove text; here they are counted, and `edit_lines` removes. A document that would lose more than
a twentieth of its words is rejected.
"""

from __future__ import annotations

import numpy as np

from spark_jobs.kernels.measures.character_classes import ALPHANUMERIC
from spark_jobs.kernels.measures.refinedweb_lines import LINE_RULES
from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.signals.gopher_quality import STOP_WORDS
from spark_jobs.signals.signal import Limits, Signal, ratio

_SOURCE = "Penedo et al. 2023, section 3.2, as in DCLM's code"
_FAMILY = "refinedweb"
BULLETS = ("\u25cf", "\u2022", "*", "-")
ELLIPSES = ("...", ". . .", "\u2026")
_STOP_WORD_FORMS = tuple(form for word in sorted(STOP_WORDS) for form in (word, word.capitalize(), word.upper()))
_EXAMPLES = {
    "uppercase": "HOME NEWS\nThe news.",
    "numeric": "2024\nThe year was long.",
    "counter": "1.2k likes\nWe like it.",
    "one_word": "Next\nThe next page.",
    "cart": "3 items in cart\nBuy a cart.",
    "read_more": "The news of today. Read more...",
    "sign_in": "Sign-in to read on\nPlease sign-in here.",
}


def removed_word_fraction(view: TextView) -> float:
    """Of the words that begin with a letter or digit, those that the rules on lines remove."""
    starts, _ = view.stretch_bounds
    words = starts[(view.flags[starts] & ALPHANUMERIC) != 0]
    faults = view.refinedweb_faults
    removed = np.searchsorted(words, [fault.end for fault in faults]) - np.searchsorted(
        words, [fault.start for fault in faults]
    )
    return ratio(int(removed.sum()), len(words))


def symbol_ratio(view: TextView) -> float:
    return ratio(sum(view.text.count(symbol) for symbol in ("#", *ELLIPSES)), len(view.stretches))


def bullet_line_fraction(view: TextView) -> float:
    return ratio(sum(line.lstrip().startswith(BULLETS) for line in view.filled_lines), len(view.filled_lines))


def ellipsis_line_fraction(view: TextView) -> float:
    return ratio(sum(line.rstrip().endswith(ELLIPSES) for line in view.filled_lines), len(view.filled_lines))


def stop_word_count(view: TextView) -> int:
    return sum(view.stretch_count(form) for form in _STOP_WORD_FORMS)


def _faulty_lines(rule: str, description: str) -> Signal:
    return Signal(
        family=_FAMILY,
        name=f"{rule}_lines",
        type="long",
        description=description,
        source=_SOURCE,
        measure=lambda view: view.refinedweb_fault_counts[rule],
        default=None,
        examples=(("", 0), (_EXAMPLES[rule], 1)),
    )


REMOVED_WORD_FRACTION = Signal(
    family=_FAMILY,
    name="removed_word_fraction",
    type="double",
    description="fraction of words that the rules on lines remove",
    source=_SOURCE,
    measure=removed_word_fraction,
    default=Limits(max=0.05),
    at_most=1,
    examples=(("", 0.0), ("Home\nThis line of six words stays.\nMENU\n", 2 / 8)),
)

MEAN_WORD_LENGTH = Signal(
    family=_FAMILY,
    name="mean_word_length",
    type="double",
    description="mean number of characters between white space",
    source=_SOURCE,
    measure=lambda view: ratio(int(view.stretch_lengths.sum()), len(view.stretches)),
    default=Limits(min=3, max=10),
    examples=(("", 0.0), ("to be, or", 7 / 3)),
)

SYMBOL_RATIO = Signal(
    family=_FAMILY,
    name="symbol_ratio",
    type="double",
    description="hash signs and ellipses of any form for each word between white space",
    source=_SOURCE,
    measure=symbol_ratio,
    default=Limits(max=0.1),
    examples=(("", 0.0), ("#one and... so on\u2026 ", 3 / 4)),
)

BULLET_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="bullet_line_fraction",
    type="double",
    description="fraction of lines, blank ones left out, that start with a bullet, an asterisk or a hyphen",
    source=_SOURCE,
    measure=bullet_line_fraction,
    default=Limits(max=0.9),
    at_most=1,
    examples=(("", 0.0), ("- one\n * two\n\nthree\nfour", 0.5)),
)

ELLIPSIS_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="ellipsis_line_fraction",
    type="double",
    description="fraction of lines, blank ones left out, that end in an ellipsis of any form",
    source=_SOURCE,
    measure=ellipsis_line_fraction,
    default=Limits(max=0.3),
    at_most=1,
    examples=(("", 0.0), ("read on. . .\n\nthe end.", 0.5)),
)

STOP_WORD_COUNT = Signal(
    family=_FAMILY,
    name="stop_word_count",
    type="long",
    description="occurrences of `the be to of and that have with`, in lower or upper case or with a capital",
    source=_SOURCE,
    measure=stop_word_count,
    default=Limits(min=2),
    examples=(("", 0), ("The cat and the dog, and, be", 4)),
)

REFINEDWEB = (
    REMOVED_WORD_FRACTION,
    _faulty_lines("uppercase", "lines of mostly upper case letters"),
    _faulty_lines("numeric", "lines of digits alone, that no earlier rule removes"),
    _faulty_lines("counter", "lines that count likes, shares, comments and the like, that no earlier rule removes"),
    _faulty_lines("one_word", "lines of one word, that no earlier rule removes"),
    _faulty_lines("cart", "phrases `items in cart` in lines of at most 10 words"),
    _faulty_lines("read_more", "phrases `Read more...` at the end of lines of at most 10 words"),
    _faulty_lines("sign_in", "phrases `Sign-in` at the start of lines of at most 10 words"),
    MEAN_WORD_LENGTH,
    SYMBOL_RATIO,
    BULLET_LINE_FRACTION,
    ELLIPSIS_LINE_FRACTION,
    STOP_WORD_COUNT,
)
assert tuple(signal.name.removesuffix("_lines") for signal in REFINEDWEB[1:8]) == LINE_RULES
