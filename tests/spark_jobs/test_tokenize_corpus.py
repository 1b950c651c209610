"""Tokenizer training and the token table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame
from tokenizers import Tokenizer

from schemas.corpus import CORPUS
from spark_jobs import delta_io, tokenize_corpus, train_tokenizer
from spark_jobs.text.byte_level_bpe import END_OF_DOCUMENT, encode_documents, train_byte_level_bpe

pytestmark = pytest.mark.spark

TEXTS = [f"The river {name} carries {n * 37} barrels of water past town {n}, and nobody counts them." for n, name in enumerate(["Aar", "Inn", "Ob", "Po"] * 10)]


def corpus_of(spark, texts: list[str]) -> DataFrame:
    rows = [(f"{n:032x}", "c1", "web", None, None, "en", 1.0, None, text, "a.warc.gz", n) for n, text in enumerate(texts)]
    return spark.createDataFrame(rows, CORPUS.spark())


def test_the_same_corpus_gives_the_same_tokenizer_however_it_is_partitioned(spark):
    config = train_tokenizer.Config(vocabulary_size=400)
    one = train_tokenizer.transform(corpus_of(spark, TEXTS).repartition(1), config=config).collect()
    many = train_tokenizer.transform(corpus_of(spark, TEXTS).repartition(7), config=config).collect()
    assert one == many
    assert one[0]["sample_documents"] == 40
    assert one[0]["vocabulary_size"] == 316  # all merges that so little text holds


def test_an_empty_corpus_has_no_tokenizer_and_no_tokens(spark):
    tokenizers = train_tokenizer.transform(corpus_of(spark, []), config=train_tokenizer.Config(vocabulary_size=400))
    assert tokenizers.count() == 0
    assert tokenize_corpus.transform(corpus_of(spark, []), tokenizers, config=tokenize_corpus.Config()).count() == 0


def test_tokens_decode_to_the_text_and_end_with_the_end_of_document(spark):
    corpus = corpus_of(spark, TEXTS)
    tokenizers = train_tokenizer.transform(corpus, config=train_tokenizer.Config(vocabulary_size=400))
    row = tokenizers.first()
    tokenizer = Tokenizer.from_str(row["definition"])
    tokens = {r["doc_id"]: r for r in tokenize_corpus.transform(corpus, tokenizers, config=tokenize_corpus.Config()).collect()}
    assert len(tokens) == len(TEXTS)
    for n, text in enumerate(TEXTS):
        ids = np.frombuffer(tokens[f"{n:032x}"]["tokens"], "<u2")
        assert len(ids) == tokens[f"{n:032x}"]["n_tokens"]
        assert ids[-1] == row["end_of_document_id"]
        assert tokenizer.decode(ids[:-1].tolist(), skip_special_tokens=False) == text


def test_the_stored_order_does_not_depend_on_the_number_of_files(spark, tmp_path):
    corpus = corpus_of(spark, TEXTS)
    tokenizers = train_tokenizer.transform(corpus, config=train_tokenizer.Config(vocabulary_size=400))
    orders = []
    for text_bytes_per_file, partitions in ((1 << 30, 1), (500, 5)):
        config = tokenize_corpus.Config(text_bytes_per_file=text_bytes_per_file)
        tokens = tokenize_corpus.transform(corpus.repartition(partitions), tokenizers, config=config)
        lake = str(tmp_path / str(partitions))
        delta_io.write_table(tokens, lake, tokenize_corpus.STAGE.writes)
        files = sorted((tmp_path / str(partitions) / "tokens" / "source=web").glob("*.parquet"))
        stored = [spark.read.parquet(str(file)).select("shuffle_key", "doc_id").collect() for file in files]
        orders.append([tuple(row) for rows in sorted(stored) for row in rows])
    assert len(files) > 3
    assert orders[0] == orders[1] == sorted(orders[0])


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_survives_the_round_trip(text):
    tokenizer = round_trip_tokenizer()
    (encoded,) = encode_documents(tokenizer, [text], 0)
    ids = np.frombuffer(encoded, "<u2")
    assert tokenizer.decode(ids[:-1].tolist(), skip_special_tokens=False) == text


def test_a_page_cannot_forge_a_document_boundary():
    (encoded,) = encode_documents(round_trip_tokenizer(), [f"before {END_OF_DOCUMENT} after"], 0)
    ids = np.frombuffer(encoded, "<u2")
    assert (ids == 0).nonzero()[0].tolist() == [len(ids) - 1]


def round_trip_tokenizer() -> Tokenizer:
    return train_byte_level_bpe(TEXTS, 350, split_digits=True)
