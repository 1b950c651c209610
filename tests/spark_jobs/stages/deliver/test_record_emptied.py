"""Kept documents that are in no corpus: each has a row that says which edits took it, and none is lost otherwise."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame

from schemas.contract import ContractError, Table
from schemas.tables.corpus import CORPUS
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.emptied import EMPTIED
from schemas.tables.spans import LINE_SPANS, PII_SPANS, REPEATED_SPANS
from spark_jobs.ask.explain import explain_document
from spark_jobs.lake import delta
from spark_jobs.lake.stage import Lake, run_stage
from spark_jobs.stages.deliver import assemble_corpus, record_emptied

pytestmark = pytest.mark.spark

TEXTS = {"whole": "one two", "menu": "menu home", "cut": "menu one", "rejected": "menu"}


def rows(spark, table: Table, *given: dict) -> DataFrame:
    return spark.createDataFrame([tuple(row.get(name) for name in table.column_names) for row in given], table.spark())


def span(doc_id: str, kind: str, rule: str, start: int, end: int) -> dict:
    return {
        "doc_id": doc_id, "crawl": "c1", "kind": kind, "rule": rule, "start": start, "end": end, "replacement": ""
    }  # fmt: skip


@pytest.fixture
def lake(spark, documents_of, tmp_path) -> Lake:
    kept = {"crawl": "c1", "policy": "test", "outcome": "kept", "rejected_by": [], "weight": 1.0}
    rejected = kept | {"doc_id": "rejected", "outcome": "rejected", "rejected_by": ["rule"], "weight": 0.0}
    inputs = {
        DOCUMENTS: documents_of(*({"doc_id": name, "text": text} for name, text in TEXTS.items())),
        DECISIONS: rows(spark, DECISIONS, *(kept | {"doc_id": name} for name in ("whole", "menu", "cut")), rejected),
        LINE_SPANS: rows(
            spark, LINE_SPANS, span("menu", "line", "c4.terminal_mark", 0, 4), span("cut", "line", "c4.short", 0, 4)
        ),
        REPEATED_SPANS: rows(
            spark,
            REPEATED_SPANS,
            span("menu", "repeated", "paragraph", 0, 9),
            span("menu", "repeated", "paragraph", 5, 9),
            span("rejected", "repeated", "line", 0, 4),
        ),
        PII_SPANS: rows(spark, PII_SPANS),
    }
    for table in (DOCUMENTS, DECISIONS):
        delta.write_table(inputs[table], str(tmp_path), table)
    spans = {table.name: inputs[table] for table in (LINE_SPANS, REPEATED_SPANS, PII_SPANS)}
    return Lake(spark, str(tmp_path), "c1", spans)


def test_a_document_of_which_nothing_is_left_names_the_rules_that_took_it(spark, lake):
    assembled = run_stage(assemble_corpus.STAGE, lake, assemble_corpus.Config())
    assert assembled.counts == {"rows": 2, "edited": 2, "left_empty": 1}
    assert run_stage(record_emptied.STAGE, lake, record_emptied.Config()).counts == {"rows": 1}
    stored = delta.read_table(spark, lake.path, EMPTIED).collect()
    assert [row.asDict() for row in stored] == [
        {"doc_id": "menu", "crawl": "c1", "rules": ["line.c4.terminal_mark", "repeated.paragraph"]}
    ]
    life = " ".join(explain_document(spark, lake.path, "menu").split())
    assert "left out by edit.left_empty: nothing is left of it after line.c4.terminal_mark, repeated.paragraph" in life
    assert "left out by" not in explain_document(spark, lake.path, "cut")


def test_a_kept_document_that_no_edit_took_and_no_corpus_has_is_an_error(spark, lake):
    run_stage(assemble_corpus.STAGE, lake, assemble_corpus.Config())
    corpus = delta.read_table(spark, lake.path, CORPUS)
    delta.write_table(corpus.where("doc_id <> 'whole'"), lake.path, CORPUS)
    with pytest.raises(ContractError, match=r"check rules_did_it .* is broken by the row of emptied with doc_id=whole"):
        run_stage(record_emptied.STAGE, lake, record_emptied.Config())


def test_a_document_of_the_corpus_that_is_not_kept_is_an_error(spark, lake):
    run_stage(assemble_corpus.STAGE, lake, assemble_corpus.Config())
    corpus = delta.read_table(spark, lake.path, CORPUS)
    delta.write_table(
        corpus.where("doc_id = 'whole'").replace("whole", "stray", ["doc_id"]), lake.path, CORPUS, append=True
    )
    with pytest.raises(ContractError, match="3 documents are kept, but 3 are in the corpus and 1 are left empty"):
        run_stage(record_emptied.STAGE, lake, record_emptied.Config())


def test_a_kept_document_that_has_no_text_to_enter_stops_the_corpus_before_it_is_committed(spark, lake):
    documents = delta.read_table(spark, lake.path, DOCUMENTS)
    delta.write_table(documents.where("doc_id <> 'whole'"), lake.path, DOCUMENTS)
    with pytest.raises(ContractError, match="3 documents are kept, but 1 enter the corpus and 1 are left empty"):
        run_stage(assemble_corpus.STAGE, lake, assemble_corpus.Config())
    assert delta.read_table(spark, lake.path, CORPUS).count() == 0
