"""How well and how fast personal information is found: `python bench/pii.py [TEXTS]`.

Precision, recall and F1 by kind on labelled texts that are made from a seed (a hit has exactly the right
characters), with false positives and misses, all of it invented. Then documents/s on real pages where they are
present, one core: the cheap pass, the whole detector, and presidio on every page in the same run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from spark_jobs.kernels.privacy.pii import DEFAULT_REGIONS, PiiDetector  # noqa: E402
from spark_jobs.kernels.privacy.pii_patterns import KINDS, candidates  # noqa: E402
from tests.spark_jobs.kernels.labelled_pii import Labelled, labelled_texts  # noqa: E402

GOLD = REPOSITORY.parent / "shared" / "data" / "gold" / "web-pages.jsonl.gz"
SEED = 7
PRESIDIO_PAGES = 30
"""Pages that presidio sees wholly; more would take minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=int, nargs="?", default=2000)
    texts = labelled_texts(parser.parse_args().texts, SEED)
    detector = PiiDetector()
    for name, find in (("shapes alone", candidates), ("shapes and presidio", detector.find)):
        print(f"\n{name}: {len(texts)} texts, seed {SEED}")
        print_scores(texts, find)
    if GOLD.is_file():
        with gzip.open(GOLD, "rt", encoding="utf-8") as lines:
            pages = [text for line in lines if (text := json.loads(line)["main_content"])]
        print_rates(pages, detector)


def print_scores(texts: list[Labelled], find: Callable) -> None:
    right, wrong, missed = Counter(), Counter(), Counter()
    faults = []
    for text, spans in texts:
        found, expected = {tuple(item) for item in find(text)}, set(spans)
        for tally, items in ((right, found & expected), (wrong, found - expected), (missed, expected - found)):
            tally.update(kind for _, _, kind in items)
        faults += [("false positive", kind, around(text, start, end)) for start, end, kind in sorted(found - expected)]
        faults += [("missed", kind, around(text, start, end)) for start, end, kind in sorted(expected - found)]
    print(
        "| kind | precision | recall | F1 | right | false positives | missed |\n| --- | ---: | ---: | ---: | ---: | "
        "---: | ---: |"
    )
    for kind in KINDS:
        n, false, lost = right[kind], wrong[kind], missed[kind]
        print(
            f"| {kind} | {share(n, n + false)} | {share(n, n + lost)} | {share(2 * n, 2 * n + false + lost)} | {n} | "
            f"{false} | {lost} |"
        )
    for fault, count in Counter(faults).most_common(40):
        print(f"{fault[0]:<15} {fault[1]:<12} {count:>3} x {fault[2]}")


def around(text: str, start: int, end: int) -> str:
    return f"{text[max(0, start - 30) : start]}[{text[start:end]}]{text[end : end + 12]}".replace("\n", " / ")


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def print_rates(pages: list[str], detector: PiiDetector) -> None:
    from presidio_analyzer.predefined_recognizers import (
        CreditCardRecognizer,
        EmailRecognizer,
        IbanRecognizer,
        IpRecognizer,
        PhoneRecognizer,
        UsSsnRecognizer,
    )

    recognizers = [
        PhoneRecognizer(supported_regions=DEFAULT_REGIONS),
        CreditCardRecognizer(),
        IbanRecognizer(),
        IpRecognizer(),
        UsSsnRecognizer(),
    ]
    recognizers.append(EmailRecognizer())
    # Presidio's own check of a domain would fetch a list.
    recognizers[-1].validate_result = lambda value: None
    rows = (
        ("cheap pass", pages, candidates),
        ("cheap pass, presidio on what it finds", pages, detector.find),
        (
            "presidio's recognisers on whole pages",
            pages[:PRESIDIO_PAGES],
            lambda text: [r.analyze(text, r.supported_entities, None) for r in recognizers],
        ),
    )
    seen = sum(bool(candidates(text)) for text in pages)
    print(
        f"\n{len(pages)} real pages, {sum(map(len, pages)) / len(pages):,.0f} characters each; presidio sees something "
        f"of {seen}, {share(seen, len(pages))}"
    )
    print("| way | pages/s | ms for 10,000 characters |\n| --- | ---: | ---: |")
    for name, texts, find in rows:
        started = time.perf_counter()
        for text in texts:
            find(text)
        seconds = time.perf_counter() - started
        print(f"| {name} | {len(texts) / seconds:,.0f} | {seconds * 1e7 / sum(map(len, texts)):.3f} |")


if __name__ == "__main__":
    main()
