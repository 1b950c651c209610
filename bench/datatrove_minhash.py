"""The peer of bench/minhash.py, run in its own environment: TEXTS OUT. Signatures by datatrove's own block, of a
JSON list of texts."""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.utils.hashing import HashConfig


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # FineWeb's 14 buckets of 8 hashes of word 5-grams, with the hash function of FineWeb-2, the faster of the two.
    config = MinhashConfig(
        n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64, hash_fc="xxhash")
    )
    block = MinhashDedupSignature(output_folder=sys.argv[2], config=config)
    documents = [Document(text=text, id=str(number)) for number, text in enumerate(texts)]
    # The first text loads the word splitter.
    block.get_signature(block.get_shingles(documents[0].text))
    started = time.perf_counter()
    for document in documents:
        block.get_signature(block.get_shingles(document.text))
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
