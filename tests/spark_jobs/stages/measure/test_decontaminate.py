"""Evaluation sets in documents, on Spark."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from pydantic import ValidationError

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.evaluation.evaluation_sets import Item
from spark_jobs.kernels.evaluation.ngram_overlap import build_index
from spark_jobs.lake import delta
from spark_jobs.lake.stage import Lake, run_stage
from spark_jobs.stages.measure import decontaminate
from spark_jobs.stages.measure.decontaminate import STAGE, Config, find_in_batch, require_canaries

pytestmark = pytest.mark.spark

QUESTION = "Which of the three rivers that meet at the old mill is said to be the longest one?"
OTHER = "How many ferries cross the harbour on a day in the week on which no market is held?"


@pytest.fixture
def rivers(tmp_path):
    path = tmp_path / "rivers.jsonl"
    path.write_text(
        "\n".join(
            json.dumps(row)
            for row in ({"id": "a", "text": QUESTION}, {"id": "b", "text": OTHER}, {"id": "c", "text": "Why?"})
        )
    )
    return path


def test_overlaps_are_stored_by_document_and_set_and_reported_by_set(spark, documents_of, rivers, tmp_path):
    documents = documents_of(
        {"doc_id": "whole", "text": f"Quiz\n{QUESTION.upper()}"},
        {"doc_id": "part", "text": " ".join(QUESTION.split()[:15])},
        {"doc_id": "clean", "text": "The mill stands where three rivers meet."},
        {"doc_id": "skipped", "extract_status": "skipped", "extract_reason": "mime", "text_hash": None},
    )
    config = Config(sets={"rivers": str(rivers), "again": {"path": rivers, "fields": ["text"]}})
    run = run_stage(STAGE, Lake(spark, str(tmp_path), "c1", {"documents": documents.repartition(3)}), config)
    rows = delta.read_table(spark, str(tmp_path), STAGE.writes).where("set_name = 'rivers'").collect()
    assert {(row.doc_id, row.ngrams, row["items"], row.item_share, row.item_id) for row in rows} == {
        ("whole", 6, 1, 1.0, "a"),
        ("part", 3, 1, 0.5, "a"),
    }
    reported = {name.removeprefix("rivers."): count for name, count in run.counts.items() if name.startswith("rivers.")}
    assert reported == {"items": 3, "short_items": 1, "ignored_items": 1, "ngrams": 12, "documents": 2}
    assert {name.split(".")[0] for name in run.counts} == {"rows", "rivers", "again"}


def test_no_documents_overlap_nothing(spark, documents_of, rivers, tmp_path):
    run = run_stage(
        STAGE, Lake(spark, str(tmp_path), "c1", {"documents": documents_of()}), Config(sets={"rivers": rivers})
    )
    assert (run.counts["rows"], run.counts["rivers.items"], run.counts["rivers.documents"]) == (0, 3, 0)


def test_a_set_that_matches_nothing_because_of_normalisation_stops_the_run():
    items = [Item("a", QUESTION)]
    index, sizes = build_index({"rivers": items}, 13)
    require_canaries("rivers", items, index, sizes["rivers"])

    def without_spaces(batch: pa.RecordBatch, index) -> pa.RecordBatch:
        joined = [text.replace(" ", "") for text in batch.column("text").to_pylist()]
        return find_in_batch(batch.set_column(2, "text", pa.array(joined)), index)

    with pytest.raises(
        UsageError, match=r"the set rivers matches nothing because of normalisation: .* item a does not match"
    ):
        require_canaries("rivers", items, index, sizes["rivers"], document_path=without_spaces)
    index, sizes = build_index({"dots": [Item("a", "... " * 20)]}, 13)
    with pytest.raises(UsageError, match="the set dots matches nothing because of normalisation: none of its 1 items"):
        require_canaries("dots", [Item("a", "... " * 20)], index, sizes["dots"])


def test_it_is_off_without_sets_and_names_the_set_s_files_for_the_ledger(rivers):
    assert not STAGE.enabled(Config())
    assert [len(digest) for digest in STAGE.models(Config(sets={"rivers": rivers})).values()] == [64]
    with pytest.raises(ValidationError, match="names of sets"):
        decontaminate.Config(sets={"a.b": rivers})
