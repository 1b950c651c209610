"""What was taken out of kept texts, by the rule that found it, and how much of which evaluation set was found in the
documents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import functions as F

from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.emptied import EMPTIED
from schemas.tables.spans import LINE_SPANS, PII_SPANS, REPEATED_SPANS
from spark_jobs.lake.tables import Tables
from spark_jobs.report.ledger import StageRun

_TABLES = {"line": LINE_SPANS, "repeated": REPEATED_SPANS, "pii": PII_SPANS}


@dataclass(frozen=True)
class Edit:
    """Spans of one rule, the documents that have some, and the characters in them, before other edits."""

    kind: str
    rule: str
    spans: int
    documents: int
    characters: int


@dataclass(frozen=True)
class EvaluationSet:
    """A set of the newest run, as the ledger has it, and the documents of all crawls that share an n-gram with it,
    or hold one of its items whole."""

    name: str
    items: int
    short_items: int
    ignored_items: int
    ngrams: int
    documents: int
    with_whole_item: int


@dataclass(frozen=True)
class Edits:
    """`documents` were edited when the corpus was last assembled; `left_empty` are kept, but in no corpus."""

    edits: tuple[Edit, ...]
    documents: int
    left_empty: int
    sets: tuple[EvaluationSet, ...]


def gather_edits(tables: Tables, runs: Iterable[StageRun]) -> Edits:
    newest = {run.stage: run for run in runs}
    assembly = newest.get("assemble_corpus")
    # A stage that was switched off leaves its table behind, and the corpus without its edits.
    kinds = [
        kind for kind, table in _TABLES.items() if assembly is None or assembly.inputs.get(table.name, "").isdecimal()
    ]
    spans = tables.spans.where(F.col("kind").isin(kinds)).groupBy("kind", "rule")
    counted = spans.agg(F.count(F.lit(1)), F.countDistinct("doc_id"), F.sum(F.col("end") - F.col("start"))).orderBy(
        "kind", "rule"
    )
    counts = assembly.counts if assembly is not None else {}
    return Edits(
        edits=tuple(Edit(*row) for row in counted.collect()) if kinds else (),
        documents=counts.get("edited", 0),
        left_empty=tables.of(EMPTIED).count(),
        sets=evaluation_sets(tables, newest.get("decontaminate")),
    )


def evaluation_sets(tables: Tables, run: StageRun | None) -> tuple[EvaluationSet, ...]:
    """Sets by name; none where decontamination has not run."""
    if run is None:
        return ()
    whole = F.count_if(F.col("item_share") == 1)
    hits = {
        row[0]: (row[1], row[2])
        for row in tables.of(DECONTAMINATION).groupBy("set_name").agg(F.count(F.lit(1)), whole).collect()
    }
    names = sorted(name.removesuffix(".ngrams") for name in run.counts if name.endswith(".ngrams"))
    facts = ("items", "short_items", "ignored_items", "ngrams")
    return tuple(
        EvaluationSet(name, *(run.counts[f"{name}.{fact}"] for fact in facts), *hits.get(name, (0, 0)))
        for name in names
    )
