"""The three kinds of tokenizer on texts of many languages, trained and measured on different lines: `python
bench/tokenizer_kinds.py [TSV]`.

The file has a language, a tab and a text in each line. Beside them run their peers on the same lines: for byte-level
BPE the cut of GPT-2, for SentencePiece the sentencepiece library itself as the encoder. Each is trained in a process
of its own, whose peak memory is given without what it held before.
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# The rates are those of one core; the tokenizers library reads this when it first encodes.
os.environ["RAYON_NUM_THREADS"] = "1"

from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from spark_jobs.kernels.tokenization.byte_level_bpe import train_byte_level_bpe
from spark_jobs.kernels.tokenization.fertility import Fertility, fertility
from spark_jobs.kernels.tokenization.language_sample import sample_shares
from spark_jobs.kernels.tokenization.sentencepiece_model import as_tokenizer, train_sentencepiece
from spark_jobs.kernels.tokenization.token_ids import END_OF_DOCUMENT, PADDING

MANY_LANGUAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "text" / "tatoeba.tsv.gz"
SPECIAL_TOKENS = (END_OF_DOCUMENT, PADDING)
COVERAGE = 0.9995
EXPONENTS = (1.0, 0.3)
Texts = dict[str, list[str]]
KINDS = ("byte-level-bpe", "byte-level-bpe, cut of GPT-2", "sentencepiece-bpe", "sentencepiece-unigram")


@dataclass(frozen=True)
class Trained:
    """A tokenizer with what it cost; `model` is the sentencepiece library's own form of it, where there is one."""

    definition: str
    model: bytes | None
    seconds: float
    mebibytes: float


def read_texts(path: Path) -> tuple[Texts, Texts]:
    """Lines by language: every other one for training, the rest for measuring."""
    by_language: Texts = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            language, _, text = line.rstrip("\n").partition("\t")
            by_language[language].append(text)
    return {name: lines[::2] for name, lines in by_language.items()}, {
        name: lines[1::2] for name, lines in by_language.items() if lines[1::2]
    }


def sample(texts: Texts, exponent: float, share: float) -> list[str]:
    """A share of all characters, spread over languages as `train_tokenizer` does, the first lines of each."""
    sizes = {language: sum(map(len, lines)) for language, lines in texts.items()}
    shares = sample_shares(sizes, exponent, share * sum(sizes.values()))
    return [line for language, lines in sorted(texts.items()) for line in lines[: round(shares[language] * len(lines))]]


def train(kind: str, texts: list[str], vocabulary_size: int) -> Trained:
    before = peak_mebibytes()
    start = time.perf_counter()
    model = None
    if kind == "byte-level-bpe":
        tokenizer = train_byte_level_bpe(texts, vocabulary_size, split_digits=True, special_tokens=SPECIAL_TOKENS)
    elif kind.startswith("sentencepiece"):
        algorithm = "bpe" if kind == "sentencepiece-bpe" else "unigram"
        model = train_sentencepiece(
            texts,
            vocabulary_size,
            algorithm=algorithm,
            split_digits=True,
            special_tokens=SPECIAL_TOKENS,
            character_coverage=COVERAGE,
        )
        tokenizer = as_tokenizer(model)
    else:
        tokenizer = train_gpt2_style(texts, vocabulary_size)
    seconds = time.perf_counter() - start
    return Trained(tokenizer.to_str(), model, seconds, peak_mebibytes() - before)


def peak_mebibytes() -> float:
    """Peak of this process's memory since it was started; `ru_maxrss` would be its parent's at first."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def train_gpt2_style(texts: list[str], vocabulary_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def megabytes_per_second(encode: Callable[[list[str]], object], texts: list[str]) -> float:
    """The fastest of three passes: the machine's other work only ever slows a pass down."""
    passes = []
    for _ in range(3):
        start = time.perf_counter()
        encode(texts)
        passes.append(time.perf_counter() - start)
    return sum(len(text.encode()) for text in texts) / 1e6 / min(passes)


def line_of(kind: str, exponent: float, trained: Trained, held_out: Texts) -> tuple[str, dict[str, Fertility]]:
    tokenizer = Tokenizer.from_str(trained.definition)
    measured = {language: fertility(tokenizer, texts) for language, texts in sorted(held_out.items())}
    texts = [text for lines in held_out.values() for text in lines]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    wrong = sum(
        tokenizer.decode(ids, skip_special_tokens=False) != text for ids, text in zip(encoded, texts, strict=True)
    )
    rate = megabytes_per_second(tokenizer.encode_batch_fast, texts)
    tokens, words, size = (
        sum(getattr(one, name) for one in measured.values()) for name in ("tokens", "words", "text_bytes")
    )
    mean = sum(one.tokens_per_word for one in measured.values()) / len(measured)
    worst = max(one.tokens_per_word for one in measured.values())
    columns = f"{kind:<30}{exponent:>5}{tokens / words:>8.3f}{mean:>8.3f}{worst:>8.2f}{size / tokens:>8.3f}"
    columns += f"{trained.seconds:>9.1f}{trained.mebibytes:>9.0f}{rate:>9.1f}{wrong:>7}"
    if trained.model is not None:
        library = SentencePieceProcessor(model_proto=trained.model)
        theirs = library.encode(texts)
        same = sum(a == b for a, b in zip(encoded, theirs, strict=True)) / len(texts)
        speed = megabytes_per_second(lambda t: library.encode(t, num_threads=1), texts)
        columns += f"   library: {speed:.1f} MB/s, same ids for {same:.3%}"
    return columns, measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "tsv", nargs="?", type=Path, default=MANY_LANGUAGES, help="language<TAB>text lines, may be packed"
    )
    parser.add_argument("--vocabulary", type=int, default=32_768)
    parser.add_argument(
        "--share", type=float, default=0.5, help="part of the training lines' characters that goes into the sample"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--languages", nargs="*", default=[], help="languages to show one by one")
    options = parser.parse_args()
    if not options.tsv.is_file():
        parser.error(f"{options.tsv}: no such file; name one")
    training, held_out = read_texts(options.tsv)
    print(
        f"{len(training)} languages, vocabulary {options.vocabulary:,}, sample of {options.share:.0%}, encoding on one "
        f"core"
    )
    print(
        "tokens a word: over all words, mean of languages, worst language; wrong: texts that do not come back exactly"
    )
    widths = {"exp": 5, "all": 8, "mean": 8, "worst": 8, "B/token": 8, "train s": 9, "MiB": 9, "MB/s": 9, "wrong": 7}
    print(" " * 30 + "".join(f"{head:>{width}}" for head, width in widths.items()))
    context = multiprocessing.get_context("spawn")
    for exponent in EXPONENTS:
        texts = sample(training, exponent, options.share)
        for kind in options.kinds:
            with context.Pool(1) as pool:
                trained = pool.apply(train, (kind, texts, options.vocabulary))
            line, measured = line_of(kind, exponent, trained, held_out)
            print(line, flush=True)
            for language in options.languages:
                print(
                    f"    {language}: {measured[language].tokens_per_word:.3f} tokens a word, "
                    f"{measured[language].bytes_per_token:.3f} bytes a token"
                )


if __name__ == "__main__":
    main()
