"""The peer of bench/curation.py, run in its own environment: FOLDER OUT. WARC files to filtered documents by
datatrove's blocks, with FineWeb's settings.

Its URL and language filters are left out, since both download what they need; ours does its language identification
all the same.
"""

import json
import sys
import time

from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter


def main() -> None:
    folder, out = sys.argv[1:]
    reader = WarcReader(folder)
    # Its limit of a second drops pages on a busy machine; a page is then faster, not slower.
    blocks = [
        Trafilatura(favour_precision=True, timeout=30),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
        JsonlWriter(out),
    ]
    started = time.monotonic()
    documents = reader.run(None, rank=0, world_size=1)
    for block in blocks:
        documents = block.run(documents, rank=0, world_size=1)
    kept = sum(1 for _ in documents)
    print(json.dumps({"kept": kept, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
