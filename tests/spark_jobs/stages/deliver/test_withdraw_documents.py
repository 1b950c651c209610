"""Documents that leave the corpus, change and come back: what is withdrawn, what is appended, and what stays where it
is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from schemas.plumbing.errors import ContractError
from schemas.tables.corpus import CORPUS
from schemas.tables.tokens import TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from spark_jobs.lake import delta
from spark_jobs.lake.stage import Lake, run_stage
from spark_jobs.stages.deliver import tokenize_corpus, train_tokenizer, withdraw_documents

pytestmark = pytest.mark.spark

PAGES = {f"{n:032x}": ("web", f"The river {n} carries {n * 37} barrels of water past town {n}.") for n in range(20)}
A, B, C = list(PAGES)[:3]
Pages = dict[str, tuple[str, str]]


class House:
    """A lake in which the corpus is what each test says, and the two stages run after it."""

    def __init__(self, spark: SparkSession, lake: Path, tokenizers: DataFrame) -> None:
        self.spark, self.lake, self.tokenizers = spark, str(lake), tokenizers

    def run(self, pages: Pages, **config: object) -> None:
        inputs = {"corpus": corpus_of(self.spark, pages), "tokenizers": self.tokenizers}
        lake = Lake(self.spark, self.lake, "c1", inputs)
        run_stage(withdraw_documents.STAGE, lake, withdraw_documents.Config())
        self.tokens = run_stage(tokenize_corpus.STAGE, lake, tokenize_corpus.Config(**config))
        assert self.tokens.counts["rows"] == len(pages)

    @property
    def stored(self) -> set[tuple[str, str, int]]:
        return {
            (row.doc_id, row.source, row.increment) for row in delta.read_table(self.spark, self.lake, TOKENS).collect()
        }

    @property
    def withdrawn(self) -> list[tuple[object, ...]]:
        rows = delta.read_table(self.spark, self.lake, WITHDRAWN).orderBy("withdrawal", "doc_id").collect()
        return [(r.doc_id, r.source, r.increment, r.withdrawal, r.reason, r.replaced_by) for r in rows]

    @property
    def versions(self) -> dict[str, int]:
        return {table.name: delta.current_version(self.spark, self.lake, table) for table in (TOKENS, WITHDRAWN)}

    @property
    def files(self) -> set[str]:
        actions = pa.table(DeltaTable(self.lake + "/tokens").get_add_actions(flatten=True))
        return set(actions["path"].to_pylist())


@pytest.fixture(scope="module")
def tokenizers(spark: SparkSession) -> DataFrame:
    config = train_tokenizer.Config(vocabulary_size=320)
    return train_tokenizer.transform(corpus_of(spark, PAGES), config=config).persist()


def every_page_once() -> set[tuple[str, str, int]]:
    return {(doc_id, source, 0) for doc_id, (source, _) in PAGES.items()}


def test_documents_leave_change_move_and_come_back_and_nothing_stored_moves(
    spark: SparkSession, tmp_path: Path, tokenizers: DataFrame
) -> None:
    house = House(spark, tmp_path, tokenizers)
    house.run(PAGES)
    assert (house.withdrawn, house.stored) == ([], every_page_once())
    first_files, first_version = house.files, house.versions["tokens"]

    without = {doc_id: page for doc_id, page in PAGES.items() if doc_id != A}
    house.run(without)
    gone = (A, "web", 0, 0, "left", None)
    assert house.withdrawn == [gone]
    assert (house.files, house.stored) == (first_files, every_page_once())
    (row,) = delta.read_table(spark, house.lake, WITHDRAWN).collect()
    assert row.tokens_version == first_version
    (tokens_of_a,) = (r.n_tokens for r in delta.read_table(spark, house.lake, TOKENS).collect() if r.doc_id == A)
    assert row.n_tokens == tokens_of_a
    all_tokens = sum(r.n_tokens for r in delta.read_table(spark, house.lake, TOKENS).collect())
    assert house.tokens.counts["tokens"] == all_tokens - tokens_of_a

    before = house.versions
    house.run(without)
    assert not house.tokens.repeated
    assert house.versions == before

    # It comes back, another one gets a new text, and a third one another source.
    changed = PAGES | {B: ("web", "Another text about the river."), C: ("books", PAGES[C][1])}
    house.run(changed)
    assert house.withdrawn == [gone, (B, "web", 0, 1, "edited", 1), (C, "web", 0, 1, "reweighted", 1)]
    assert house.stored == every_page_once() | {(A, "web", 1), (B, "web", 1), (C, "books", 1)}
    assert first_files < house.files

    # Back to the first text: the first copy is out and stays out. One row puts out all copies of what had moved before,
    # and counts only the one that was still in.
    house.run({doc_id: page for doc_id, page in PAGES.items() if doc_id != C}, compact_above=1)
    assert house.withdrawn[3:] == [(B, "web", 1, 2, "edited", 2), (C, "books", 1, 2, "left", None)]
    assert {found for found in house.stored if found[2] == 2} == {(B, "web", 2)}
    tokens = {(r.doc_id, r.increment): r.n_tokens for r in delta.read_table(spark, house.lake, TOKENS).collect()}
    last = {r.doc_id: r for r in delta.read_table(spark, house.lake, WITHDRAWN).collect() if r.withdrawal == 2}
    assert last[C].n_tokens == tokens[C, 1]
    assert (last[C].tokens_version, first_version) == (house.versions["tokens"] - 1, 1)


def test_where_much_is_withdrawn_all_tokens_are_written_anew_under_a_number_that_was_never_used(
    spark: SparkSession, tmp_path: Path, tokenizers: DataFrame
) -> None:
    house = House(spark, tmp_path, tokenizers)
    house.run(PAGES)
    fewer = dict(list(PAGES.items())[:8])
    house.run(fewer, compact_above=0.5)
    assert house.stored == {(doc_id, "web", 1) for doc_id in fewer}
    # Runs that are pinned to the version before find there what left with the rewrite.
    assert house.withdrawn == [(doc_id, "web", 0, 0, "left", None) for doc_id in list(PAGES)[8:]]
    # None of the old withdrawals concerns what is stored from now on.
    house.run(PAGES, on_new_data="rewrite")
    assert house.stored == {(doc_id, "web", 2) for doc_id in PAGES}
    assert len(house.withdrawn) == 12


def test_a_document_that_left_before_its_new_place_was_stored_is_out_for_every_run(
    spark: SparkSession, tokenizers: DataFrame
) -> None:
    moved, stored = corpus_of(spark, {C: ("books", PAGES[C][1])}), stored_tokens(spark, {C: PAGES[C]}, tokenizers)
    config = {"config": withdraw_documents.Config(), "versions": {"tokens": 1}}
    known = withdraw_documents.transform(moved, stored, **config).localCheckpoint()
    assert [(row.reason, row.replaced_by) for row in known.collect()] == [("reweighted", 1)]
    # The run ended here, without the new copy; nothing is to be said twice.
    assert withdraw_documents.grow(known, moved, stored, **config).count() == 0
    (row,) = withdraw_documents.grow(known, moved.limit(0), stored, **config).collect()
    assert (row.reason, row.increment, row.withdrawal, row.n_tokens) == ("left", 0, 1, 0)


def test_a_copy_that_is_neither_in_the_corpus_nor_withdrawn_is_refused(
    spark: SparkSession, tokenizers: DataFrame
) -> None:
    stored, nothing = stored_tokens(spark, PAGES, tokenizers), spark.createDataFrame([], WITHDRAWN.spark())
    corpus = corpus_of(spark, {doc_id: page for doc_id, page in PAGES.items() if doc_id != A})
    with pytest.raises(ContractError, match="1 stored documents are not in the corpus as they are stored"):
        tokenize_corpus.grow(stored, corpus, tokenizers, nothing, stored, config=tokenize_corpus.Config())


def corpus_of(spark: SparkSession, pages: Pages) -> DataFrame:
    rows = [
        (doc_id, "c1", source, None, None, "en", 1.0, None, text, hashlib.md5(text.encode()).hexdigest(), "w", n)
        for n, (doc_id, (source, text)) in enumerate(pages.items())
    ]
    return spark.createDataFrame(rows, CORPUS.spark())


def stored_tokens(spark: SparkSession, pages: Pages, tokenizers: DataFrame) -> DataFrame:
    withdrawn, stored = (spark.createDataFrame([], table.spark()) for table in (WITHDRAWN, TOKENS))
    tokens = tokenize_corpus.transform(
        corpus_of(spark, pages), tokenizers, withdrawn, stored, config=tokenize_corpus.Config()
    )
    return tokens.localCheckpoint()
