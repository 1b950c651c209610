"""Tokenizer training and the token table."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from pyspark.sql import DataFrame
from tokenizers import Tokenizer

from schemas.corpus import CORPUS
from spark_jobs import delta_io, tokenize_corpus, train_tokenizer

pytestmark = pytest.mark.spark

TEXTS = [f"The river {name} carries {n * 37} barrels of water past town {n}, and nobody counts them." for n, name in enumerate(["Aar", "Inn", "Ob", "Po"] * 10)]


def corpus_of(spark, texts: list[str], languages: list[str | None] | None = None) -> DataFrame:
    labels = languages or ["en"] * len(texts)
    rows = [(f"{n:032x}", "c1", "web", None, None, labels[n], 1.0, None, text, "a.warc.gz", n) for n, text in enumerate(texts)]
    return spark.createDataFrame(rows, CORPUS.spark())


@pytest.mark.parametrize(("algorithm", "size"), [("byte-level-bpe", 316), ("sentencepiece-unigram", 360)])
def test_the_same_corpus_gives_the_same_tokenizer_however_it_is_partitioned(spark, algorithm, size):
    config = train_tokenizer.Config(algorithm=algorithm, vocabulary_size=450)
    one = train_tokenizer.transform(corpus_of(spark, TEXTS).repartition(1), config=config).collect()
    many = train_tokenizer.transform(corpus_of(spark, TEXTS).repartition(7), config=config).collect()
    assert one == many
    assert one[0]["kind"] == algorithm
    assert one[0]["sample_documents"] == 40
    assert one[0]["vocabulary_size"] == size  # all pieces that so little text holds


def test_a_sample_is_spread_over_languages_and_the_rest_is_measured(spark):
    texts, languages = TEXTS * 5 + TEXTS[:4] + ["x y z"], ["en"] * 200 + ["de"] * 4 + [None]
    config = train_tokenizer.Config(vocabulary_size=400, sample_characters=4000, language_exponent=0, measured_characters=2000)
    row = train_tokenizer.transform(corpus_of(spark, texts, languages), config=config).first()
    assert row["languages"] == ["de", "en", "und"]
    assert row["sample_characters"][0] == sum(map(len, TEXTS[:4]))
    assert 2500 < row["sample_characters"][1] < 5000  # what the small ones leave of 4,000, as far as hashes go
    assert row["sample_characters"][2] == 5
    assert row["held_out"] == [False, True, False]
    assert 1 < row["tokens_per_word"][1] < 6
    assert 1 < row["bytes_per_token"][1] < 6
    assert (row["tokens_per_word"][2], row["bytes_per_token"][2]) == (1, 5 / 3)  # x, space with y, space with z
    assert row["sample_bytes"] == sum(row["sample_characters"])


def test_a_seed_chooses_the_sample(spark):
    configs = [train_tokenizer.Config(vocabulary_size=400, sample_characters=1500, seed=seed) for seed in (0, 1)]
    prints = [train_tokenizer.transform(corpus_of(spark, TEXTS), config=config).first()["fingerprint"] for config in configs]
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["<|user|>", "<|user|>"], "is taken or given twice"),
        (["<|endoftext|>"], "is taken or given twice"),
        (["<0x41>"], "is taken or given twice"),
        (["user"], "must be at most 64 printable ASCII characters with a letter, in angle brackets"),
        (["<a b>"], "must be at most 64 printable ASCII characters with a letter, in angle brackets"),
        (["<\u00e9t\u00e9>"], "must be at most 64 printable ASCII characters with a letter, in angle brackets"),
    ],
)
def test_a_special_token_that_could_be_mistaken_is_refused(names, message):
    with pytest.raises(ValidationError, match=message):
        train_tokenizer.Config(special_tokens=names)


def test_an_empty_corpus_has_no_tokenizer_and_no_tokens(spark):
    tokenizers = train_tokenizer.transform(corpus_of(spark, []), config=train_tokenizer.Config(vocabulary_size=400))
    assert tokenizers.count() == 0
    assert tokenize_corpus.transform(corpus_of(spark, []), tokenizers, config=tokenize_corpus.Config()).count() == 0


@pytest.mark.parametrize("algorithm", ["byte-level-bpe", "sentencepiece-bpe", "sentencepiece-unigram"])
def test_tokens_decode_to_the_text_and_end_with_the_end_of_document(spark, algorithm):
    corpus = corpus_of(spark, TEXTS)
    config = train_tokenizer.Config(algorithm=algorithm, vocabulary_size=450, special_tokens=["<|user|>"])
    tokenizers = train_tokenizer.transform(corpus, config=config).persist()
    row = tokenizers.first()
    tokenizer = Tokenizer.from_str(row["definition"])
    tokens = {r["doc_id"]: r for r in tokenize_corpus.transform(corpus, tokenizers, config=tokenize_corpus.Config()).collect()}
    assert len(tokens) == len(TEXTS)
    for n, text in enumerate(TEXTS):
        ids = np.frombuffer(tokens[f"{n:032x}"]["tokens"], "<u2")
        assert len(ids) == tokens[f"{n:032x}"]["n_tokens"]
        assert ids[-1] == row["end_of_document_id"]
        assert tokenizer.decode(ids[:-1].tolist(), skip_special_tokens=False) == text
    assert tokenizer.token_to_id("<|user|>") is not None
    tokenizers.unpersist()


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
