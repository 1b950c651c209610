"""Token F1 by type of page and milliseconds a page, for each extractor: `python bench/extraction.py [--every N]
[EXTRACTOR...]`.

Both gold sets are read with the project's own reader and decoder, each page once for all extractors. F1 of a page
compares the bags of lower-cased words (runs of letters and digits) of text and gold; a figure of the table is the
mean over pages. Headwater's model was trained on these very pages: its row "held out" has the figures of the
cross-validation by `bench/train_main_content.py`, in which no page is read by a model that has seen its domain.
Compare that row.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from importlib.resources import files

from gold_pages import ARTICLES, SHARED_DATA, WEB_PAGES, GoldPage, gold_pages, token_f1

from spark_jobs.kernels.pages.main_content import load_extractor
from spark_jobs.kernels.pages.page_type import PAGE_TYPES

EXTRACTORS = ("trafilatura", "trafilatura-fast", "trafilatura-precision", "resiliparse", "headwater")
COLUMNS = (WEB_PAGES, *PAGE_TYPES[:-1], ARTICLES)
WARM_UP = 20


def measure(name: str, pages: list[GoldPage]) -> tuple[dict[str, float], float]:
    """Mean F1 by column, and milliseconds of processor time a page."""
    extract = load_extractor(name)
    for gold in pages[:WARM_UP]:
        extract(gold.page)
    scores, seconds = defaultdict(list), 0.0
    for gold in pages:
        start = time.process_time()
        text = extract(gold.page) or ""
        seconds += time.process_time() - start
        score = token_f1(text, gold.content)
        scores[gold.gold_set].append(score)
        if gold.gold_set == WEB_PAGES:
            scores[gold.page_type].append(score)
    return {column: sum(values) / len(values) for column, values in scores.items()}, 1000 * seconds / len(pages)


def row(name: str, scores: dict[str, float], milliseconds: float | None, relative: float | None) -> str:
    cells = [f"{scores[column]:.3f}" if column in scores else "" for column in COLUMNS]
    cost = f"{milliseconds:.1f} | {relative:.2f}" if milliseconds is not None and relative is not None else " | "
    return f"| {name} | {' | '.join(cells)} | {cost} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "extractors",
        nargs="*",
        default=list(EXTRACTORS),
        help="names as in a pipeline file, or module:function; the first is what cost is relative to",
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th page")
    arguments = parser.parse_args()
    if not (SHARED_DATA / "gold").is_dir():
        parser.error(f"{SHARED_DATA}: the gold sets are not there")
    pages = gold_pages()[:: arguments.every]
    print(
        f"{len(pages)} pages\n\n| extractor | {' | '.join(COLUMNS)} | ms a page | of the first's "
        f"|\n|{' --- |' * (len(COLUMNS) + 3)}"
    )
    first = 0.0
    for name in arguments.extractors:
        scores, milliseconds = measure(name, pages)
        first = first or milliseconds
        print(row(name, scores, milliseconds, milliseconds / first), flush=True)
    made = json.loads(files("spark_jobs.kernels.pages").joinpath("block_model.json").read_text(encoding="utf-8"))[
        "made"
    ]
    print(row("headwater, held out", made["held_out_f1"], None, None))


if __name__ == "__main__":
    main()
