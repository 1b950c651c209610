"""Spans of personal information in kept documents."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.tables.decisions import DECISIONS
from spark_jobs.kernels.span_edits import Span, apply_spans
from spark_jobs.lake import delta
from spark_jobs.lake.stage import Lake, run_stage
from spark_jobs.stages.edit.redact_pii import STAGE, Config

pytest.importorskip("presidio_analyzer", reason="presidio is not installed: pip install headwater[pii]")
pytestmark = pytest.mark.spark

TEXT = "\U0001f30a Write to ada@example.org or ben@example.org, not to Ada@example.org; call (212) 555-0142."
EDITED = "\U0001f30a Write to <EMAIL_1> or <EMAIL_2>, not to <EMAIL_1>; call <PHONE_1>."


def test_kept_documents_get_spans_that_edit_them_and_others_get_none(spark, documents_of, tmp_path):
    documents = documents_of(
        {"doc_id": "kept", "text": TEXT},
        {"doc_id": "clean", "text": "No names here."},
        {"doc_id": "rejected", "text": TEXT},
    )
    rows = [
        ("kept", "c1", "p", "kept", [], 1.0, None),
        ("clean", "c1", "p", "kept", [], 1.0, None),
        ("rejected", "c1", "p", "rejected", ["r"], 0.0, None),
    ]
    inputs = {"documents": documents, "decisions": spark.createDataFrame(rows, DECISIONS.spark())}
    run = run_stage(STAGE, Lake(spark, str(tmp_path), "c1", inputs), Config(enabled=True))
    stored = delta.read_table(spark, str(tmp_path), STAGE.writes).collect()
    assert {(row.doc_id, row.kind) for row in stored} == {("kept", "pii")}
    assert apply_spans(TEXT, [Span(row.start, row.end, row.replacement) for row in stored]) == EDITED
    assert (run.counts["email"], run.counts["phone"], run.counts["iban"]) == (3, 1, 0)
    nothing = {"documents": documents_of(), "decisions": spark.createDataFrame([], DECISIONS.spark())}
    assert (
        run_stage(STAGE, Lake(spark, str(tmp_path / "empty"), "c1", nothing), Config(enabled=True)).counts["rows"] == 0
    )


def test_it_is_off_by_default_and_refuses_to_look_for_nothing():
    assert not STAGE.enabled(Config())
    with pytest.raises(ValidationError, match="neither kinds nor a ner_model"):
        Config(enabled=True, kinds=())
