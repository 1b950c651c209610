"""Train the tokenizer on a sample of the corpus, and measure how finely it cuts each language.

The sample is chosen by a keyed hash of doc_id, with a threshold for each language, so it does not depend on
partitioning. The tokenizer is trained in one task, on an executor: the driver sees no text, only the size of each
language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Literal

import pyarrow as pa
from pydantic import Field, field_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from tokenizers import Tokenizer

from schemas.plumbing import configuration
from schemas.tables.corpus import CORPUS
from schemas.tables.tokens import TOKENIZERS
from spark_jobs.kernels.tokenization.byte_level_bpe import train_byte_level_bpe
from spark_jobs.kernels.tokenization.fertility import fertility
from spark_jobs.kernels.tokenization.language_sample import sample_shares
from spark_jobs.kernels.tokenization.sentencepiece_model import UNKNOWN, as_tokenizer, train_sentencepiece
from spark_jobs.kernels.tokenization.token_ids import END_OF_DOCUMENT, PADDING, tokenizer_fingerprint
from spark_jobs.lake.stage import Stage

HASH_RANGE = 1 << 30
UNDETERMINED = "und"
"""ISO 639-2's code for a language that is not known."""
SPECIAL_TOKEN = re.compile(r"<[!-;=?-~]*[A-Za-z][!-;=?-~]*>")
LONGEST_SPECIAL_TOKEN = 64


class Config(configuration.Config):
    """Settings of the tokenizer."""

    algorithm: Literal["byte-level-bpe", "sentencepiece-bpe", "sentencepiece-unigram"] = "byte-level-bpe"
    """How pieces are learnt. All three can write any text and give back exactly that text. SentencePiece's fall back
    to bytes for rare characters only; Unigram takes the most memory and time to train."""
    vocabulary_size: int = Field(default=32_768, ge=300, le=1 << 20)
    """Token ids to aim for, the 256 bytes and the special tokens included."""
    split_digits: bool = True
    """Whether every digit is a token of its own."""
    special_tokens: tuple[str, ...] = ()
    """Names with a letter in angle brackets, in printable ASCII, that get the ids after those for the end of a
    document and for padding. No page can produce these ids."""
    character_coverage: float = Field(default=0.9995, ge=0.9, le=1)
    """SentencePiece only: the share of the sample's characters, by frequency, that get pieces of their own."""
    sample_characters: int = Field(default=1 << 28, gt=0)
    """About how many characters of text to train on; the sample must fit in the memory of one task."""
    language_exponent: float = Field(default=0.3, ge=0, le=1)
    """A language with n characters in the corpus has a part of the sample proportional to n to this power: 1 keeps
    the corpus's proportions, 0 gives every language the same part. No document is taken twice. The default is that
    of XLM-R (arXiv 1911.02116, section 3.1)."""
    measured_characters: int = Field(default=200_000, gt=0)
    """About how many characters of each language to measure tokens a word and bytes a token on: outside the sample,
    unless it takes the language whole."""
    seed: int = 0
    """Chooses the sample."""
    on_new_data: Literal["keep", "retrain"] = "keep"
    """What becomes of the tokenizer when the corpus changes and its own settings do not. Another tokenizer makes all
    stored tokens anew, and no training run that has begun can use them."""

    @field_validator("special_tokens")
    @classmethod
    def _cannot_be_mistaken(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        taken = {END_OF_DOCUMENT, PADDING, UNKNOWN, *(f"<0x{byte:02X}>" for byte in range(256))}
        for name in names:
            # A bracket beside a letter: trainers learn no such piece, as its characters are of two kinds.
            if not SPECIAL_TOKEN.fullmatch(name) or len(name) > LONGEST_SPECIAL_TOKEN:
                raise ValueError(
                    f"{name} must be at most {LONGEST_SPECIAL_TOKEN} printable ASCII characters with a letter, in "
                    f"angle brackets"
                )
            if name in taken:
                raise ValueError(f"{name} is taken or given twice")
            taken.add(name)
        return names


def transform(corpus: DataFrame, *, config: Config) -> DataFrame:
    labelled = corpus.select("doc_id", F.coalesce("language", F.lit(UNDETERMINED)).alias("language"), "text")
    sizes = labelled.groupBy("language").agg(F.sum(F.length("text"))).collect()
    characters: dict[str, int] = dict(sizes)
    shares = sample_shares(characters, config.language_exponent, config.sample_characters)
    limits = [
        (language, int(share * HASH_RANGE), _first_measured(characters[language], config))
        for language, share in sorted(shares.items())
    ]
    known = corpus.sparkSession.createDataFrame(limits, "language string, trained_below int, measured_from int")
    position = F.pmod(F.xxhash64(F.lit(config.seed), F.col("doc_id")), F.lit(HASH_RANGE))
    sample = (
        labelled.join(F.broadcast(known), "language", how="inner")
        .withColumn("trained", position < F.col("trained_below"))
        .where(F.col("trained") | (position >= F.col("measured_from")))
        .select("doc_id", "language", "trained", "text")
        .repartition(1)
        .sortWithinPartitions("doc_id")
        .select("language", "trained", "text")
    )

    def train(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        row = train_on_sample(batches, config)
        yield pa.RecordBatch.from_pylist([] if row is None else [row], schema=TOKENIZERS.arrow())

    return sample.mapInArrow(train, TOKENIZERS.spark()).select(*TOKENIZERS.column_names)


def _first_measured(characters: int, config: Config) -> int:
    """Documents are measured from this hash on, unless they are trained on: the other end of the range."""
    return int((1 - min(1.0, config.measured_characters / max(1, characters))) * HASH_RANGE)


def train_on_sample(batches: Iterator[pa.RecordBatch], config: Config) -> dict[str, object] | None:
    """The row of the trained tokenizer, or None where the sample is empty. Batches have the columns language,
    trained and text."""
    documents = size = 0
    characters: Counter[str] = Counter()
    kept: dict[tuple[str, bool], list[str]] = {}
    room: Counter[tuple[str, bool]] = Counter()

    def texts() -> Iterator[str]:
        nonlocal documents, size
        for batch in batches:
            for language, trained, text in zip(
                *(batch.column(name).to_pylist() for name in ("language", "trained", "text")), strict=True
            ):
                if room[language, trained] < config.measured_characters:
                    room[language, trained] += len(text)
                    kept.setdefault((language, trained), []).append(text)
                if trained:
                    documents += 1
                    size += len(text.encode())
                    characters[language] += len(text)
                    yield text

    sample = texts()
    first = next(sample, None)
    if first is None:
        return None
    tokenizer = train_tokenizer(chain([first], sample), config)
    definition = tokenizer.to_str()
    languages = sorted({language for language, _ in kept})
    held_out = [(language, False) in kept for language in languages]
    measured = [
        fertility(tokenizer, kept[language, not apart]) for language, apart in zip(languages, held_out, strict=True)
    ]
    return {
        "fingerprint": tokenizer_fingerprint(definition),
        "kind": config.algorithm,
        "vocabulary_size": tokenizer.get_vocab_size(),
        "end_of_document_id": tokenizer.token_to_id(END_OF_DOCUMENT),
        "definition": definition,
        "sample_documents": documents,
        "sample_bytes": size,
        "languages": languages,
        "sample_characters": [characters[language] for language in languages],
        "tokens_per_word": [one.tokens_per_word for one in measured],
        "bytes_per_token": [one.bytes_per_token for one in measured],
        "held_out": held_out,
    }


def train_tokenizer(texts: Iterator[str], config: Config) -> Tokenizer:
    """Raises `SentencePieceError` where SentencePiece cannot reach the vocabulary."""
    special_tokens = (END_OF_DOCUMENT, PADDING, *config.special_tokens)
    if config.algorithm == "byte-level-bpe":
        return train_byte_level_bpe(
            texts, config.vocabulary_size, split_digits=config.split_digits, special_tokens=special_tokens
        )
    model = train_sentencepiece(
        texts,
        config.vocabulary_size,
        algorithm="bpe" if config.algorithm == "sentencepiece-bpe" else "unigram",
        split_digits=config.split_digits,
        special_tokens=special_tokens,
        character_coverage=config.character_coverage,
    )
    return as_tokenizer(model)


def is_kept(config: Config) -> bool:
    return config.on_new_data == "keep"


STAGE = Stage(
    name="train_tokenizer",
    reads=(CORPUS,),
    writes=TOKENIZERS,
    config=Config,
    transform=transform,
    scope="lake",
    keep=is_kept,
)
