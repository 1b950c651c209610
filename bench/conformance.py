"""Do our decisions equal datatrove's? `python bench/conformance.py [WARC...]`, on the texts of real pages, the same
text to both.

Every rule of datatrove 0.10.1's Gopher repetition, Gopher quality, C4 and FineWeb filters is compared alone, on the
text as it is; every filter as a whole (it rejects where any of its rules does); and the four filters one after
another as FineWeb runs them, where C4 changes the text that FineWeb's rules see. Once with spaCy's words, as
datatrove has them, once with the fast splitter. Pages without text are left out: datatrove's extractor drops them
before any filter, ours says `extract.no_text`. Prints a table and the ratio of times, and writes
bench/results/conformance.json.

datatrove's decisions on the same texts are kept under build/; its time is measured in every run, on every tenth
text, beside ours on the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peer_environment import REPOSITORY, datatrove_python
from signals import page_texts

from spark_jobs.kernels.measures.spacy_words import split_words_by_spacy
from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.kernels.measures.words import forget_words, split_words
from spark_jobs.signals import SIGNALS, TEXT_SIGNALS, Value, measure

REAL_PAGES = sorted((REPOSITORY.parent / "shared" / "data" / "warc").glob("web-pages-*.warc.gz"))
PEER_SCRIPT = Path(__file__).with_name("datatrove_decisions.py")
RESULTS = REPOSITORY / "bench" / "results" / "conformance.json"
TIMED_EVERY = 10
FOUR_FAMILIES = ("gopher_repetition", "gopher_quality", "c4", "fineweb_after_c4")

type Splitter = Callable[[str], list[str]]
type Limit = tuple[str, float | None, float | None]

REPETITION = "Gopher repetition"
QUALITY = "Gopher quality"
ANY_LINE = "C4 without its rule on terminal marks"
PUNCTUATED = "C4"
PARAGRAPHS = "mC4's rule on paragraphs"
FINEWEB = "FineWeb's own rules"
CHAIN = "all four, as FineWeb runs them"

RULES: dict[str, dict[str, tuple[Limit, ...]]] = {
    REPETITION: {
        "dup_para_frac": (("gopher_repetition.duplicate_paragraph_fraction", None, 0.3),),
        "dup_para_char_frac": (("gopher_repetition.duplicate_paragraph_character_fraction", None, 0.2),),
        "dup_line_frac": (("gopher_repetition.duplicate_line_fraction", None, 0.3),),
        "dup_line_char_frac": (("gopher_repetition.duplicate_line_character_fraction", None, 0.2),),
        **{
            f"top_{n}_gram": ((f"gopher_repetition.top_{n}_gram_character_fraction", None, top),)
            for n, top in ((2, 0.2), (3, 0.18), (4, 0.16))
        },
        **{
            f"duplicated_{n}_n_grams": ((f"gopher_repetition.duplicate_{n}_gram_character_fraction", None, top),)
            for n, top in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
        },
    },
    QUALITY: {
        "gopher_short_doc": (("gopher_quality.word_count", 50, None),),
        "gopher_long_doc": (("gopher_quality.word_count", None, 100_000),),
        "gopher_below_avg_threshold": (("gopher_quality.mean_word_length", 3, None),),
        "gopher_above_avg_threshold": (("gopher_quality.mean_word_length", None, 10),),
        "gopher_too_many_symbols": (
            ("gopher_quality.hash_ratio", None, 0.1),
            ("gopher_quality.ellipsis_ratio", None, 0.1),
        ),
        "gopher_too_many_bullets": (("gopher_quality.bullet_line_fraction", None, 0.9),),
        "gopher_too_many_end_ellipsis": (("gopher_quality.ellipsis_line_fraction", None, 0.3),),
        "gopher_below_alpha_threshold": (("gopher_quality.alphabetic_word_fraction", 0.8, None),),
        "gopher_enough_stop_words": (("gopher_quality.stop_word_count", 2, None),),
    },
    ANY_LINE: {
        "lorem_ipsum, any line": (("c4.lorem_ipsum_lines", None, 0),),
        "curly_bracket, any line": (("c4.curly_bracket_lines", None, 0),),
        "too_few_sentences, any line": (("c4.sentence_count", 5, None),),
    },
    PUNCTUATED: {
        "lorem_ipsum, punctuated lines": (("c4.punctuated_lorem_ipsum_lines", None, 0),),
        "curly_bracket, punctuated lines": (("c4.punctuated_curly_bracket_lines", None, 0),),
        "too_few_sentences, punctuated lines": (("c4.punctuated_sentence_count", 5, None),),
    },
    PARAGRAPHS: {"third_longest_line": (("c4.third_longest_line", 200, None),)},
    FINEWEB: {
        "line_punct_ratio": (("fineweb.line_punct_ratio", 0.12, None),),
        "short_line_ratio": (("fineweb.short_line_ratio", None, 0.67),),
        "char_dup_ratio": (("fineweb.char_dup_ratio", None, 0.01),),
        "list_ratio": (("fineweb.list_ratio", None, 0.3),),
    },
}


def decide(text: str, split: Splitter) -> dict[str, bool]:
    """Whether we reject a text: by each rule, by each filter as a whole, and by FineWeb's chain."""
    values = dict(zip((signal.key for signal in SIGNALS), measure(text, split=split), strict=False))
    rejected = {
        name: any(_is_outside(values[key], low, high) for key, low, high in limits)
        for rules in RULES.values()
        for name, limits in rules.items()
    }
    rejected |= {group: any(rejected[name] for name in rules) for group, rules in RULES.items()}
    edited = (
        _is_outside(values[key.replace("fineweb", "fineweb_after_c4")], low, high)
        for limits in RULES[FINEWEB].values()
        for key, low, high in limits
    )
    return rejected | {CHAIN: any(rejected[group] for group in (REPETITION, QUALITY, ANY_LINE)) or any(edited)}


def _is_outside(value: Value, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)


def peer_decisions(texts: list[str]) -> list[dict[str, bool | None]]:
    """datatrove's decisions under the same names; None where a rule cannot be asked for that text. Kept under build/
    for the next run."""
    state = hashlib.sha256(json.dumps(texts).encode() + PEER_SCRIPT.read_bytes()).hexdigest()[:16]
    kept = REPOSITORY / "build" / "peers" / f"decisions-{state}.json"
    if not kept.is_file():
        rows = run_peer(texts)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(
            json.dumps([row["rules"] | {CHAIN: row["chain"] is not None} for row in rows]), encoding="utf-8"
        )
    decided: list[dict[str, bool | None]] = json.loads(kept.read_text(encoding="utf-8"))
    return [one | {group: any(one[name] for name in members) for group, members in RULES.items()} for one in decided]


def run_peer(texts: list[str], *options: str) -> list[dict[str, Any]]:
    """What datatrove says of each text: `rules`, `chain` and `seconds` of the chain."""
    with tempfile.TemporaryDirectory() as folder:
        texts_path, out_path = Path(folder) / "texts.jsonl", Path(folder) / "decided.jsonl"
        texts_path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        subprocess.run([datatrove_python(), PEER_SCRIPT, texts_path, out_path, *options], check=True)
        return [json.loads(line) for line in out_path.read_text(encoding="utf-8").splitlines()]


def seconds_of(measures: list[Callable[[TextView], Value]], texts: list[str]) -> float:
    """CPU time of some signals on texts of which no words are remembered."""
    forget_words()
    started = time.process_time()
    for text in texts:
        view = TextView(text)
        for one in measures:
            one(view)
    return time.process_time() - started


def agreement(ours: list[dict[str, bool]], theirs: list[dict[str, bool | None]]) -> dict[str, dict[str, float]]:
    """For each rule, filter and the chain: texts compared, how many each side rejects, and the share of equal
    decisions."""
    found = {}
    for name in ours[0]:
        pairs = [(mine[name], other[name]) for mine, other in zip(ours, theirs, strict=True) if other[name] is not None]
        found[name] = {
            "texts": len(pairs),
            "headwater_rejects": sum(mine for mine, _ in pairs),
            "datatrove_rejects": sum(bool(other) for _, other in pairs),
            "equal": sum(mine == other for mine, other in pairs) / len(pairs),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("warc", nargs="*", type=Path, default=REAL_PAGES, help="WARC files with HTML responses")
    warcs = parser.parse_args().warc
    if not warcs:
        parser.error("no WARC files: name some")
    pages = [text for warc in warcs for text in page_texts(warc, keep_empty=True)]
    texts = [text for text in pages if text.strip()]
    theirs = peer_decisions(texts)
    timed = texts[::TIMED_EVERY]
    peer_seconds = sum(row["seconds"] for row in run_peer(timed, "--chain-only"))
    measure(texts[1])
    seconds = seconds_of([signal.measure for signal in TEXT_SIGNALS], timed)
    of_four = seconds_of([signal.measure for signal in TEXT_SIGNALS if signal.family in FOUR_FAMILIES], timed)
    splitters: dict[str, Splitter] = {"spacy": split_words_by_spacy, "fast": split_words}
    results = {name: agreement([decide(text, split) for text in texts], theirs) for name, split in splitters.items()}
    print(f"{'rule, filter or chain':<40} {'rejected by datatrove':>22} {'equal, spaCy':>13} {'equal, fast':>12}")
    for name, row in results["spacy"].items():
        print(
            f"{name:<40} {row['datatrove_rejects']:>15} of {row['texts']:>4} {row['equal']:>12.2%} "
            f"{results['fast'][name]['equal']:>11.2%}"
        )
    each = {"datatrove": peer_seconds, "the same four": of_four, f"all {len(TEXT_SIGNALS)}": seconds}
    print(f"{len(texts)} pages with text, {len(pages) - len(texts)} without left out")
    print(f"CPU time a page: {', '.join(f'{name} {1000 * spent / len(timed):.2f} ms' for name, spent in each.items())}")
    print(
        f"datatrove takes {peer_seconds / of_four:.0f} times as long as the signals of the same four filters, "
        f"{peer_seconds / seconds:.0f} times as long as all"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    ratios = {
        "signals_of_the_four_filters": round(peer_seconds / of_four, 1),
        "all_signals": round(peer_seconds / seconds, 1),
    }
    facts = {
        "texts": len(texts),
        "without_text": len(pages) - len(texts),
        "datatrove": "0.10.1",
        "datatrove_time_over_ours": ratios,
        "words": results,
    }
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
