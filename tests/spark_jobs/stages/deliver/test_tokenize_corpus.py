"""Tokenizer training and the token table."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pydantic import ValidationError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from tokenizers import Tokenizer

from schemas.tables.corpus import CORPUS
from schemas.tables.tokens import TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from spark_jobs.lake import delta
from spark_jobs.lake.session import ROW_GROUP_BYTES
from spark_jobs.lake.stage import Lake, run_stage
from spark_jobs.stages.deliver import tokenize_corpus, train_tokenizer, withdraw_documents

pytestmark = pytest.mark.spark

TEXTS = [
    f"The river {name} carries {n * 37} barrels of water past town {n}, and nobody counts them."
    for n, name in enumerate(["Aar", "Inn", "Ob", "Po"] * 10)
]


def hash_of(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def corpus_of(spark, texts: list[str], languages: list[str | None] | None = None) -> DataFrame:
    labels = languages or ["en"] * len(texts)
    rows = [
        (f"{n:032x}", "c1", "web", None, None, labels[n], 1.0, None, text, hash_of(text), "a.warc.gz", n)
        for n, text in enumerate(texts)
    ]
    return spark.createDataFrame(rows, CORPUS.spark())


def tokens_of(corpus: DataFrame, tokenizers: DataFrame, **config: object) -> DataFrame:
    """All tokens of a corpus, of a lake that has none yet."""
    withdrawn, stored = (corpus.sparkSession.createDataFrame([], table.spark()) for table in (WITHDRAWN, TOKENS))
    return tokenize_corpus.transform(corpus, tokenizers, withdrawn, stored, config=tokenize_corpus.Config(**config))


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
    config = train_tokenizer.Config(
        vocabulary_size=400, sample_characters=4000, language_exponent=0, measured_characters=2000
    )
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
    prints = [
        train_tokenizer.transform(corpus_of(spark, TEXTS), config=config).first()["fingerprint"] for config in configs
    ]
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
    assert tokens_of(corpus_of(spark, []), tokenizers).count() == 0


@pytest.mark.parametrize("algorithm", ["byte-level-bpe", "sentencepiece-bpe", "sentencepiece-unigram"])
def test_tokens_decode_to_the_text_and_end_with_the_end_of_document(spark, algorithm):
    corpus = corpus_of(spark, TEXTS)
    config = train_tokenizer.Config(algorithm=algorithm, vocabulary_size=450, special_tokens=["<|user|>"])
    tokenizers = train_tokenizer.transform(corpus, config=config).persist()
    row = tokenizers.first()
    tokenizer = Tokenizer.from_str(row["definition"])
    tokens = {r["doc_id"]: r for r in tokens_of(corpus, tokenizers).collect()}
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
        tokens = tokens_of(corpus.repartition(partitions), tokenizers, text_bytes_per_file=text_bytes_per_file)
        lake = str(tmp_path / str(partitions))
        delta.write_table(tokens, lake, tokenize_corpus.STAGE.writes)
        files = sorted((tmp_path / str(partitions) / "tokens" / "source=web" / "increment=0").glob("*.parquet"))
        stored = [spark.read.parquet(str(file)).select("shuffle_key", "doc_id").collect() for file in files]
        orders.append([tuple(row) for rows in sorted(stored) for row in rows])
    assert len(files) > 3
    assert orders[0] == orders[1] == sorted(orders[0])


@pytest.fixture(scope="module")
def grown(spark, tmp_path_factory) -> dict[str, object]:
    """A lake whose corpus gets a second crawl and a page more in the first one, then nothing."""
    lake = str(tmp_path_factory.mktemp("grown"))
    pages = [(f"{n:032x}", "c1" if n < 24 or n == 39 else "c2", text) for n, text in enumerate(TEXTS)]
    corpora = {"first": pages[:24], "second": pages, "again": list(reversed(pages))}
    tokenizers = train_tokenizer.transform(
        corpus_of(spark, TEXTS), config=train_tokenizer.Config(vocabulary_size=400)
    ).persist()
    found: dict[str, object] = {"lake": lake}
    for name, rows in corpora.items():
        data = [
            (doc_id, crawl, "web", None, None, "en", 1.0, None, text, hash_of(text), "a.warc.gz", n)
            for n, (doc_id, crawl, text) in enumerate(rows)
        ]
        inputs = {"corpus": spark.createDataFrame(data, CORPUS.spark()), "tokenizers": tokenizers}
        run = run_stage(
            tokenize_corpus.STAGE, Lake(spark, lake, "c2", inputs), tokenize_corpus.Config(text_bytes_per_file=1000)
        )
        found[name] = run, {row.doc_id: row for row in delta.read_table(spark, lake, TOKENS).collect()}
    tokenizers.unpersist()
    return found


def test_documents_that_are_new_in_the_corpus_are_appended_as_an_increment_of_their_own(grown):
    (_, before), (run, after) = grown["first"], grown["second"]
    assert {doc_id: row for doc_id, row in after.items() if row.increment == 0} == before
    assert sorted(doc_id for doc_id, row in after.items() if row.increment == 1) == [f"{n:032x}" for n in range(24, 40)]
    assert run.counts == {"rows": 40, "appended_rows": 16, "tokens": sum(row.n_tokens for row in after.values())}


def test_an_increment_is_stored_in_its_own_order(spark, grown):
    table = DeltaTable(grown["lake"] + "/tokens", version=grown["second"][0].output_version)
    actions = pa.table(table.get_add_actions(flatten=True)).sort_by(
        [("partition.increment", "ascending"), ("min.shuffle_key", "ascending")]
    )
    assert set(actions["partition.increment"].to_pylist()) == {0, 1}
    stored = {0: [], 1: []}
    for path, increment in zip(actions["path"].to_pylist(), actions["partition.increment"].to_pylist(), strict=True):
        stored[increment] += pq.read_table(
            f"{grown['lake']}/tokens/{path}", columns=["shuffle_key"], partitioning=None
        )["shuffle_key"].to_pylist()
    for keys in stored.values():
        assert len(keys) > 10
        assert keys == sorted(keys)


def test_nothing_new_adds_nothing(grown):
    run, rows = grown["again"]
    assert rows == grown["second"][1]
    assert run.counts == grown["second"][0].counts | {"appended_rows": 0}


def test_tokens_carry_the_weights_of_the_corpus_and_one_of_another_weight_is_withdrawn_and_appended(spark):
    config = tokenize_corpus.Config(compact_above=1)
    corpus = corpus_of(spark, TEXTS[:4]).withColumn("weight", F.when(F.col("warc_offset") == 2, 0.25).otherwise(3.0))
    tokenizers = train_tokenizer.transform(corpus, config=train_tokenizer.Config(vocabulary_size=400)).persist()
    nothing, none_stored = spark.createDataFrame([], WITHDRAWN.spark()), spark.createDataFrame([], TOKENS.spark())
    stored = tokenize_corpus.transform(corpus, tokenizers, nothing, none_stored, config=config).persist()
    assert [row["weight"] for row in stored.orderBy("doc_id").collect()] == [3.0, 3.0, 0.25, 3.0]
    other = corpus.withColumn("weight", F.when(F.col("warc_offset") == 2, 0.5).otherwise(3.0))
    withdrawn = withdraw_documents.grow(
        nothing, other, stored, config=withdraw_documents.Config(), versions={TOKENS.name: 1}
    ).persist()
    assert [(row["doc_id"], row["reason"], row["replaced_by"]) for row in withdrawn.collect()] == [
        (f"{2:032x}", "reweighted", 1)
    ]
    added = tokenize_corpus.grow(stored, other, tokenizers, withdrawn, none_stored, config=config).collect()
    assert [(row["doc_id"], row["increment"], row["weight"]) for row in added] == [(f"{2:032x}", 1, 0.5)]
    for frame in (withdrawn, stored, tokenizers):
        frame.unpersist()


def test_tokens_are_rewritten_where_that_is_asked_for(spark):
    asked = tokenize_corpus.Config(on_new_data="rewrite")
    assert tokenize_corpus.grow(None, None, None, None, None, config=asked) is None


def test_the_texts_of_old_documents_are_neither_read_nor_shuffled(spark, tmp_path):
    lake = str(tmp_path)
    first = spark.createDataFrame(
        [("a", "c1", "web", None, None, "en", 1.0, None, "text", "h", "a.warc.gz", 0)], CORPUS.spark()
    )
    second = spark.createDataFrame(
        [("b", "c2", "web", None, None, "en", 1.0, None, "more", "i", "b.warc.gz", 0)], CORPUS.spark()
    )
    tokenizers = train_tokenizer.transform(first, config=train_tokenizer.Config(vocabulary_size=300)).persist()
    delta.write_table(first, lake, CORPUS)
    delta.write_table(tokens_of(first, tokenizers), lake, TOKENS)
    delta.write_table(second, lake, CORPUS, append=True)
    stored, corpus = (delta.read_table(spark, lake, table) for table in (TOKENS, CORPUS))
    withdrawn = spark.createDataFrame([], WITHDRAWN.spark())
    added = tokenize_corpus.grow(stored, corpus, tokenizers, withdrawn, stored, config=tokenize_corpus.Config())
    plan = added._jdf.queryExecution().executedPlan().toString()
    scans = [line for line in plan.splitlines() if "FileScan parquet" in line and "text#" in line.split("Batched")[0]]
    assert scans
    assert all("crawl#" in line and "c2" in line and "c1" not in line for line in scans)
    tokenizers.unpersist()


def test_row_groups_are_small_enough_to_keep_some_of_each_increment_in_memory(spark, tmp_path):
    # Rows of 8 kB that do not compress, 40 MB in all.
    spark.range(0, 5000, 1, 1).select("id", F.randstr(F.lit(8000), F.lit(7)).alias("text")).write.parquet(
        str(tmp_path / "rows")
    )
    (file,) = (tmp_path / "rows").glob("*.parquet")
    metadata = pq.ParquetFile(file).metadata
    assert (
        max(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        < 1.2 * ROW_GROUP_BYTES
    )
    assert metadata.num_row_groups > 1
