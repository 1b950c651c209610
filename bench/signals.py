"""Milliseconds a page for the heuristic signals, on one core, on the text of real pages: `python bench/signals.py
[WARC]`.

The parts are measured each on texts of their own, so that none profits from words that another has split.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.signals import TEXT_SIGNALS, measure

REAL_PAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "warc" / "web-pages-00.warc.gz"
WARM_UP = 50
REPEATS = 5


def page_texts(warc: Path, *, keep_empty: bool = False) -> list[str]:
    """Main content of each response, by resiliparse; pages without any are left out unless `keep_empty`."""
    with warc.open("rb") as file:
        bodies = [record.reader.read() for record in ArchiveIterator(file, record_types=WarcRecordType.response)]
    texts = (extract_plain_text(bytes_to_str(body, detect_encoding(body)), main_content=True) for body in bodies)
    return [text for text in texts if text or keep_empty]


def milliseconds(work: Callable[[str], object], texts: list[str]) -> float:
    """The fastest of some passes, a page: the machine's other work only ever slows a pass down."""
    for text in texts[:WARM_UP]:
        work(text)
    passes = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for text in texts:
            work(text)
        passes.append(time.perf_counter() - start)
    return 1000 * min(passes) / len(texts)


def family_work(family: str) -> Callable[[str], object]:
    measures = [signal.measure for signal in TEXT_SIGNALS if signal.family == family]

    def work(text: str) -> list[float]:
        view = TextView(text)
        return [one(view) for one in measures]

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("warc", nargs="?", type=Path, default=REAL_PAGES, help="WARC file with HTML responses")
    warc = parser.parse_args().warc
    if not warc.is_file():
        parser.error(f"{warc}: no such WARC; name one")
    texts = page_texts(warc)
    if not texts:
        parser.error(f"{warc}: no page with text")
    tokens = sum(TextView(text).n_tokens for text in texts) / len(texts)
    whole = milliseconds(measure, texts)
    print(
        f"{len(texts)} pages, {tokens:.0f} tokens each: {whole:.2f} ms a page, {1000 / whole:.0f} documents/s a core, "
        f"all {len(TEXT_SIGNALS)} signals"
    )
    print(f"  splitting words alone: {milliseconds(lambda text: TextView(text).word_ids, texts):.2f} ms")
    for family in dict.fromkeys(signal.family for signal in TEXT_SIGNALS):
        print(f"  {family}, words included: {milliseconds(family_work(family), texts):.2f} ms")


if __name__ == "__main__":
    main()
