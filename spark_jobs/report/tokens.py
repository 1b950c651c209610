"""How many tokens there are that are not withdrawn, of which source, and what the tokenizer is."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Row
from pyspark.sql import functions as F

from schemas.tables.corpus import CORPUS
from schemas.tables.tokens import TOKENIZERS, TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from spark_jobs.lake.tables import Tables
from spark_jobs.stages.deliver.withdraw_documents import live_rows


@dataclass(frozen=True)
class SourceTokens:
    """Documents and tokens of one source of the training plan."""

    source: str
    documents: int
    tokens: int


@dataclass(frozen=True)
class LanguageMeasure:
    """How finely a tokenizer cuts one language."""

    language: str
    sample_characters: int
    tokens_per_word: float
    bytes_per_token: float
    held_out: bool


@dataclass(frozen=True)
class Tokenizer:
    """A row of `tokenizers` without its definition; languages in order of their part in the sample, the largest
    first."""

    fingerprint: str
    kind: str
    vocabulary_size: int
    end_of_document_id: int
    sample_documents: int
    sample_bytes: int
    languages: tuple[LanguageMeasure, ...]


@dataclass(frozen=True)
class Tokens:
    """Sizes of the token table; `text_bytes` is the UTF-8 size of the corpus that it was made from."""

    documents: int
    tokens: int
    text_bytes: int
    sources: tuple[SourceTokens, ...]
    tokenizers: tuple[Tokenizer, ...]


def gather_tokens(tables: Tables) -> Tokens:
    by_source = (
        live_rows(tables.of(TOKENS), tables.of(WITHDRAWN))
        .groupBy("source")
        .agg(F.count(F.lit(1)).alias("documents"), F.sum("n_tokens").alias("tokens"))
        .orderBy("source")
    )
    sources = tuple(SourceTokens(*row) for row in by_source.collect())
    return Tokens(
        documents=sum(source.documents for source in sources),
        tokens=sum(source.tokens for source in sources),
        text_bytes=tables.of(CORPUS).agg(F.sum(F.octet_length("text"))).first()[0] or 0,
        sources=sources,
        tokenizers=tuple(
            _tokenizer(row) for row in tables.of(TOKENIZERS).drop("definition").orderBy("fingerprint").collect()
        ),
    )


def _tokenizer(row: Row) -> Tokenizer:
    measures = (
        row[name] for name in ("languages", "sample_characters", "tokens_per_word", "bytes_per_token", "held_out")
    )
    return Tokenizer(
        fingerprint=row["fingerprint"],
        kind=row["kind"],
        vocabulary_size=row["vocabulary_size"],
        end_of_document_id=row["end_of_document_id"],
        sample_documents=row["sample_documents"],
        sample_bytes=row["sample_bytes"],
        languages=tuple(
            sorted(
                (LanguageMeasure(*one) for one in zip(*measures, strict=True)),
                key=lambda one: (-one.sample_characters, one.language),
            )
        ),
    )
