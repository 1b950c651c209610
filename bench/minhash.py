"""Documents a second for MinHash signatures on one core, beside datasketch's ways and datatrove in the same run:
`python bench/minhash.py [WORDS]`.

The first rows start from shingle hashes, which all share; the last ones start from texts, real ones where they are
present. Signatures are checked to be equal where they should be; datatrove's are others, of as many hashes of as
long shingles.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import xxhash
from datasketch import MinHash
from peer_environment import datatrove_python
from planted_texts import REAL_TEXTS, pages

from spark_jobs.kernels.duplicates.minhash import signature
from spark_jobs.kernels.duplicates.shingles import comparable_words, shingle_hashes

DOCUMENTS = 200
HASHES = 112
SEED = 1
WORDS_PER_SHINGLE = 5
REPEATS = 3


def random_texts(words: int) -> list[str]:
    draw = random.Random(SEED)
    vocabulary = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(2, 10))) for _ in range(20_000)]
    return [" ".join(draw.choices(vocabulary, k=words)) for _ in range(DOCUMENTS)]


def as_integer(value: bytes) -> int:
    return int.from_bytes(value, "little")


def updated(hashes: np.ndarray) -> np.ndarray:
    sketch = MinHash(num_perm=HASHES, seed=SEED, scheme="affine32", hashfunc=as_integer)
    for value in hashes:
        sketch.update(value.tobytes())
    return sketch.hashvalues


def updated_in_batch(hashes: np.ndarray) -> np.ndarray:
    sketch = MinHash(num_perm=HASHES, seed=SEED, scheme="affine32", hashfunc=as_integer)
    sketch.update_batch([value.tobytes() for value in hashes])
    return sketch.hashvalues


def in_bulk(documents: list[np.ndarray]) -> list[np.ndarray]:
    values = [[value.tobytes() for value in hashes] for hashes in documents]
    sketches = MinHash.bulk(values, num_perm=HASHES, seed=SEED, scheme="affine32", hashfunc=as_integer)
    return [sketch.hashvalues for sketch in sketches]


def from_strings(texts: list[str]) -> list[np.ndarray]:
    """Shingles as strings, hashed with xxhash: the fast way to use datasketch."""
    shingles = []
    for text in texts:
        words = comparable_words(text)
        shingles.append(
            {b" ".join(words[start : start + WORDS_PER_SHINGLE]) for start in range(len(words) - WORDS_PER_SHINGLE + 1)}
        )
    sketches = MinHash.bulk(shingles, num_perm=HASHES, seed=SEED, scheme="affine32", hashfunc=xxhash.xxh32_intdigest)
    return [sketch.hashvalues for sketch in sketches]


def each[Item](work: Callable[[Item], np.ndarray], items: list[Item]) -> list[np.ndarray]:
    return [work(item) for item in items]


def measured(work: Callable[[], list[np.ndarray]]) -> tuple[float, list[np.ndarray]]:
    """Documents a second in the fastest of some passes: the machine's other work only ever slows a pass down."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        signatures = work()
        seconds.append(time.perf_counter() - start)
    return len(signatures) / min(seconds), signatures


def seconds_of_datatrove(texts: list[str]) -> float:
    """Seconds that datatrove's own block takes for the texts, in its environment, once its word splitter is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(texts), encoding="utf-8")
        command = [datatrove_python(), str(Path(__file__).parent / "datatrove_minhash.py"), str(path), folder]
        # One thread each, as ours.
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        raise SystemExit(f"datatrove failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="?", type=int, default=1600, help="words of a document")
    words = parser.parse_args().words
    is_real = REAL_TEXTS.is_dir()
    texts = pages(words)[:DOCUMENTS] if is_real else random_texts(words)
    hashes = [shingle_hashes(text, WORDS_PER_SHINGLE) for text in texts]
    from_hashes = {
        "datasketch update": partial(each, updated, hashes),
        "datasketch update_batch": partial(each, updated_in_batch, hashes),
        "datasketch bulk": partial(in_bulk, hashes),
        "headwater": partial(each, lambda found: signature(found, HASHES, SEED), hashes),
    }
    print(
        f"{len(texts)} {'real' if is_real else 'random'} documents of {words} words, {HASHES} hashes, word "
        f"{WORDS_PER_SHINGLE}-grams, one core"
    )
    results = {name: measured(work) for name, work in from_hashes.items()}
    rate, expected = results["headwater"]
    for name, (other, signatures) in results.items():
        if not np.array_equal(signatures, expected):
            raise SystemExit(f"{name}: signatures differ")
        print(f"from hashes  {name:<26} {other:>9,.0f} documents/s  headwater is {rate / other:.1f} times as fast")
    ours, _ = measured(
        partial(each, lambda text: signature(shingle_hashes(text, WORDS_PER_SHINGLE), HASHES, SEED), texts)
    )
    theirs, _ = measured(partial(from_strings, texts))
    datatrove = len(texts) / seconds_of_datatrove(texts)
    print(
        f"from texts   {'datasketch bulk, xxhash':<26} {theirs:>9,.0f} documents/s  headwater is {ours / theirs:.1f} "
        f"times as fast"
    )
    print(
        f"from texts   {'datatrove':<26} {datatrove:>9,.0f} documents/s  headwater is {ours / datatrove:.1f} times as "
        f"fast"
    )
    print(f"from texts   {'headwater':<26} {ours:>9,.0f} documents/s, {1000 / ours:.2f} ms each")


if __name__ == "__main__":
    main()
