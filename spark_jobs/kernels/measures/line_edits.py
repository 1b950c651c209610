"""Which parts of a text the rules on single lines remove: those of C4 and of RefinedWeb, by name, as spans."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from spark_jobs.kernels.measures.c4_lines import CITATION, is_punctuated, line_fault
from spark_jobs.kernels.measures.refinedweb_lines import LINE_RULES, LineFault
from spark_jobs.kernels.measures.text_view import TextView

C4_RULES: Final = (
    "c4.long_word",
    "c4.short",
    "c4.javascript",
    "c4.policy",
    "c4.no_terminal_punctuation",
    "c4.citation",
)
REFINEDWEB_RULES: Final = tuple(f"refinedweb.{rule}" for rule in LINE_RULES)
ALL_RULES: Final = (*C4_RULES, *REFINEDWEB_RULES)


def line_edits(text: str, rules: Collection[str]) -> list[LineFault]:
    """What the chosen `rules` remove of `text`, a line with its line end; in order, and each line for the first C4
    and the first RefinedWeb rule only.

    A blank line is too short for C4; other white space stays as it is.
    """
    found: list[LineFault] = []
    if any(rule in rules for rule in C4_RULES):
        found += _c4_edits(text, rules)
    if any(rule in rules for rule in REFINEDWEB_RULES):
        found += _refinedweb_edits(text, rules)
    return sorted(found, key=lambda edit: (edit.start, edit.end, edit.rule))


def _c4_edits(text: str, rules: Collection[str]) -> Iterator[LineFault]:
    start = 0
    for whole in text.splitlines(keepends=True):
        line = whole.strip()
        bare = CITATION.sub("", line)
        rule = line_fault(line, bare.lower())
        if rule is None or f"c4.{rule}" not in rules:
            rule = (
                None if is_punctuated(bare) or "c4.no_terminal_punctuation" not in rules else "no_terminal_punctuation"
            )
        if rule is not None:
            yield LineFault(f"c4.{rule}", start, start + len(whole))
        elif "c4.citation" in rules and "[" in whole:
            yield from (
                LineFault("c4.citation", start + match.start(), start + match.end())
                for match in CITATION.finditer(whole)
            )
        start += len(whole)


def _refinedweb_edits(text: str, rules: Collection[str]) -> Iterator[LineFault]:
    for rule, start, end in TextView(text).refinedweb_faults:
        if f"refinedweb.{rule}" in rules:
            whole = (start == 0 or text[start - 1] == "\n") and text[end : end + 1] == "\n"
            yield LineFault(f"refinedweb.{rule}", start, end + whole)
