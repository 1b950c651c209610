"""The peer of bench/conformance.py, run in its own environment: TEXTS OUT [--chain-only].

What datatrove's filters decide on each text, rule by rule and one after another.

TEXTS holds one `{"text": ...}` a line; OUT gets one `{"rules": {name: rejects}, "chain": reason or null, "seconds":
...}` a line.

A filter stops at the first rule that fails. So each rule is asked for by a filter of its own that has every other
rule switched off, always on the text as it is. The chain runs the four whole filters in FineWeb's order, timed;
there C4 changes the text that FineWeb's rules see.
"""

import argparse
import json
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4ParagraphFilter,
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter

WARM_UP = 30
NO_QUALITY_RULE = dict.fromkeys(
    (
        "min_doc_words",
        "max_doc_words",
        "min_avg_word_length",
        "max_avg_word_length",
        "max_symbol_word_ratio",
        "max_bullet_lines_ratio",
        "max_ellipsis_lines_ratio",
        "max_non_alpha_words_ratio",
        "min_stop_words",
    )
)
NO_REPETITION_RULE = {
    "dup_line_frac": None,
    "dup_para_frac": None,
    "dup_line_char_frac": None,
    "dup_para_char_frac": None,
    "top_n_grams": (),
    "dup_n_grams": (),
}
NO_FINEWEB_RULE = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1, "new_line_ratio": float("inf")}
NO_PAGE_RULE = {"filter_lorem_ipsum": False, "filter_curly_bracket": False, "min_num_sentences": -1}
EMPTY = "empty"
"""datatrove's reason where a text, or what is left of it, has no lines at all; such a text breaks no rule."""


def single_rules() -> dict[str, BaseFilter]:
    quality = {
        "gopher_short_doc": {"min_doc_words": 50},
        "gopher_long_doc": {"max_doc_words": 100000},
        "gopher_below_avg_threshold": {"min_avg_word_length": 3},
        "gopher_above_avg_threshold": {"max_avg_word_length": 10},
        "gopher_too_many_symbols": {"max_symbol_word_ratio": 0.1},
        "gopher_too_many_bullets": {"max_bullet_lines_ratio": 0.9},
        "gopher_too_many_end_ellipsis": {"max_ellipsis_lines_ratio": 0.3},
        "gopher_below_alpha_threshold": {"max_non_alpha_words_ratio": 0.8},
        "gopher_enough_stop_words": {"min_stop_words": 2},
    }
    repetition = {
        "dup_para_frac": {"dup_para_frac": 0.3},
        "dup_para_char_frac": {"dup_para_char_frac": 0.2},
        "dup_line_frac": {"dup_line_frac": 0.3},
        "dup_line_char_frac": {"dup_line_char_frac": 0.2},
        **{f"top_{n}_gram": {"top_n_grams": ((n, limit),)} for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16))},
        **{
            f"duplicated_{n}_n_grams": {"dup_n_grams": ((n, limit),)}
            for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
        },
    }
    fineweb = {
        "line_punct_ratio": {"line_punct_thr": 0.12},
        "short_line_ratio": {"short_line_thr": 0.67},
        "char_dup_ratio": {"char_duplicates_ratio": 0.01},
        "list_ratio": {"new_line_ratio": 0.3},
    }
    c4 = {
        "lorem_ipsum": {"filter_lorem_ipsum": True},
        "curly_bracket": {"filter_curly_bracket": True},
        "too_few_sentences": {"min_num_sentences": 5},
    }
    return (
        {name: GopherRepetitionFilter(**NO_REPETITION_RULE | rule) for name, rule in repetition.items()}
        | {name: GopherQualityFilter(**NO_QUALITY_RULE | rule) for name, rule in quality.items()}
        | {name: FineWebQualityFilter(**NO_FINEWEB_RULE | rule) for name, rule in fineweb.items()}
        | {
            f"{name}, any line": C4QualityFilter(filter_no_terminal_punct=False, **NO_PAGE_RULE | rule)
            for name, rule in c4.items()
        }
        | {f"{name}, punctuated lines": C4QualityFilter(**NO_PAGE_RULE | rule) for name, rule in c4.items()}
        | {"third_longest_line": C4ParagraphFilter()}
    )


def first_reason(filters: list[BaseFilter], text: str) -> str | None:
    """Why the first filter that rejects a text does so; None where all let it pass."""
    document = Document(text=text, id="")
    for one in filters:
        result = one.filter(document)
        if result is not True:
            return result[1] if isinstance(result, tuple) else one.name
    return None


def rejects(rule: BaseFilter, text: str) -> bool | None:
    """What one rule decides; None where it never runs, since a text without words or lines is rejected before."""
    try:
        reason = first_reason([rule], text)
        return None if reason == EMPTY else reason is not None
    except ZeroDivisionError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chain-only", action="store_true", help="time the four filters, leave single rules out")
    arguments = parser.parse_args()
    with arguments.texts.open(encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    rules = {} if arguments.chain_only else single_rules()
    chain = [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]
    for text in texts[:WARM_UP]:
        first_reason(chain, text)
    with arguments.out.open("w", encoding="utf-8") as out:
        for text in texts:
            started = time.process_time()
            reason = first_reason(chain, text)
            seconds = time.process_time() - started
            row = {
                "rules": {name: rejects(rule, text) for name, rule in rules.items()},
                "chain": reason,
                "seconds": seconds,
            }
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
