"""C4's rules (Raffel et al. 2020, JMLR 21(140), section 2.2), as signals: lines are counted, the text is not edited.

Default limits are those for whole pages in the variant that FineWeb uses, which keeps lines without a terminal mark
(Penedo et al. 2024, arXiv:2406.17557, section 3.5). Sentences are found by rule, not by a trained splitter.
"""

from __future__ import annotations

import heapq

from spark_jobs.signals.signal import Limits, Signal

_SOURCE = "Raffel et al. 2020, section 2.2"
_CODE = "Raffel et al. 2020, published code"
_FAMILY = "c4"


def third_longest(lines: list[str]) -> int:
    longest = heapq.nlargest(3, map(len, lines))
    return longest[2] if len(longest) == 3 else 0


LOREM_IPSUM_LINES = Signal(
    family=_FAMILY,
    name="lorem_ipsum_lines",
    type="long",
    description="lines of three or more words with the words lorem ipsum",
    source=_SOURCE,
    measure=lambda view: view.c4_lines.lorem_ipsum,
    default=Limits(max=0),
    examples=(("", 0), ("Lorem ipsum\nLOREM IPSUM dolor sit", 1)),
)

CURLY_BRACKET_LINES = Signal(
    family=_FAMILY,
    name="curly_bracket_lines",
    type="long",
    description="lines of three or more words with an opening curly bracket, unless they mention javascript",
    source=_SOURCE,
    measure=lambda view: view.c4_lines.curly_bracket,
    default=Limits(max=0),
    examples=(("", 0), ("var javascript = {\nbody { margin: 0\n{", 1)),
)

PUNCTUATED_LOREM_IPSUM_LINES = Signal(
    family=_FAMILY,
    name="punctuated_lorem_ipsum_lines",
    type="long",
    description="of the lines of lorem_ipsum_lines, those with a terminal mark: C4 itself sees no others, and asks for "
    "none",
    source=_CODE,
    measure=lambda view: view.c4_lines.punctuated_lorem_ipsum,
    default=None,
    examples=(("", 0), ("Lorem ipsum dolor sit\nLorem ipsum dolor.", 1)),
)

PUNCTUATED_CURLY_BRACKET_LINES = Signal(
    family=_FAMILY,
    name="punctuated_curly_bracket_lines",
    type="long",
    description="of the lines of curly_bracket_lines, those with a terminal mark: C4 itself sees no others, and asks "
    "for none",
    source=_CODE,
    measure=lambda view: view.c4_lines.punctuated_curly_bracket,
    default=None,
    examples=(("", 0), ("body { margin: 0 }\nA set is {1, 2}.", 1)),
)

SENTENCE_COUNT = Signal(
    family=_FAMILY,
    name="sentence_count",
    type="long",
    description="sentences in the lines that C4 keeps when lines without a terminal mark are kept",
    source=_SOURCE,
    measure=lambda view: view.c4_lines.sentences,
    default=Limits(min=5),
    examples=(("", 0), ("It is late. Is it not? We go\nHome again\nMr. Fox is 3.5 years old.", 4)),
)

PUNCTUATED_SENTENCE_COUNT = Signal(
    family=_FAMILY,
    name="punctuated_sentence_count",
    type="long",
    description="sentences in the lines that C4 keeps under all its rules; C4 itself asks for 5",
    source=_SOURCE,
    measure=lambda view: view.c4_lines.punctuated_sentences,
    default=None,
    examples=(("", 0), ("It is late. We go home.\nOne two three\nOn and on...", 2)),
)

LONG_WORD_LINES = Signal(
    family=_FAMILY,
    name="long_word_lines",
    type="long",
    description="lines with a word of more than 1000 characters",
    source=_CODE,
    measure=lambda view: view.c4_lines.long_word,
    default=None,
    examples=(("", 0), ("a" * 1001 + " b", 1), ("a" * 1000 + " b", 0)),
)

SHORT_LINES = Signal(
    family=_FAMILY,
    name="short_lines",
    type="long",
    description="lines of one or two words",
    source=_SOURCE,
    measure=lambda view: view.c4_lines.short,
    default=None,
    examples=(("", 0), ("one two\n\none two three", 1)),
)

JAVASCRIPT_LINES = Signal(
    family=_FAMILY,
    name="javascript_lines",
    type="long",
    description="lines of three or more words that mention javascript",
    source=_SOURCE,
    measure=lambda view: view.c4_lines.javascript,
    default=None,
    examples=(("", 0), ("Please enable JavaScript.", 1)),
)

POLICY_LINES = Signal(
    family=_FAMILY,
    name="policy_lines",
    type="long",
    description="lines of three or more words with a phrase of a privacy or cookie notice",
    source=_CODE,
    measure=lambda view: view.c4_lines.policy,
    default=None,
    examples=(("", 0), ("This site uses cookies.\nCookies with milk, please.", 1)),
)

UNPUNCTUATED_LINES = Signal(
    family=_FAMILY,
    name="unpunctuated_lines",
    type="long",
    description="lines that end in none of . ? ! \" ', or in an ellipsis",
    source=_SOURCE,
    measure=lambda view: view.c4_lines.unpunctuated,
    default=None,
    examples=(("", 0), ("Home\nThe end.\nTo be continued...", 2)),
)

THIRD_LONGEST_LINE = Signal(
    family=_FAMILY,
    name="third_longest_line",
    type="long",
    description="characters of the third-longest line, 0 where there are fewer; mC4 asks for 200",
    source="Xue et al. 2021, arXiv:2010.11934, section 3.1",
    measure=lambda view: third_longest(view.feed_lines),
    default=Limits(min=200),
    examples=(("", 0), ("one\nthree", 0), ("one\n\nthree\ntwelve", 3)),
)

BAD_WORDS = Signal(
    family=_FAMILY,
    name="bad_words",
    type="long",
    description="different words of the list of bad words for the language",
    source=_SOURCE,
    measure=lambda count: count,
    default=Limits(max=0),
    model="bad_words",
)

C4 = (
    LOREM_IPSUM_LINES,
    CURLY_BRACKET_LINES,
    SENTENCE_COUNT,
    PUNCTUATED_SENTENCE_COUNT,
    PUNCTUATED_LOREM_IPSUM_LINES,
    PUNCTUATED_CURLY_BRACKET_LINES,
    LONG_WORD_LINES,
    SHORT_LINES,
    JAVASCRIPT_LINES,
    POLICY_LINES,
    UNPUNCTUATED_LINES,
    THIRD_LONGEST_LINE,
)
