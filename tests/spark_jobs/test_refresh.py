"""Crawls that enter a lake one after the other, under one policy and then another, against a plain loop over all of
it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest

from schemas.plumbing.errors import ContractError, UsageError
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import DUPLICATES
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.ask.foretell import MeasuredLake
from spark_jobs.kernels.duplicates.union_find import smallest_reachable
from spark_jobs.lake import delta
from spark_jobs.lake.columns import LakeColumns
from spark_jobs.lake.crawls import crawls_in_order, enter_crawls
from spark_jobs.lake.invariants import INVARIANTS, require_invariants
from spark_jobs.pipeline import DECIDE, PipelineConfig
from spark_jobs.refresh import decide, decide_lake, open_lake, recorded_settings
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate.settings import Settings, settings
from tests.spark_jobs.stages.deduplicate.small_lakes import SmallLake, greedy, jaccard, priority, random_lake

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

STAGES = DECIDE[: [stage.name for stage in DECIDE].index("select_corpus") + 1]
LIMIT, LOOSER = 12, 16


def config_of(limit: int) -> PipelineConfig:
    policy = {
        "name": f"at-most-{limit}",
        "rules": [{"signal": "basic.line_count", "max": limit}],
        "duplicates": {"url": True},
        "weight": 0.5,
        "rehydration": {2: 2.0, 4: 3.0},
    }
    return PipelineConfig.model_validate({"select_corpus": {"policy": policy}})


@dataclass(frozen=True)
class Lines:
    """A small lake, and the number of lines of each document, by which policies judge."""

    lake: SmallLake
    lines: dict[str, int]

    def under(self, limit: int) -> SmallLake:
        documents = tuple(replace(d, eligible=self.lines[d.doc_id] <= limit) for d in self.lake.documents)
        return SmallLake(documents, self.lake.shingles, self.lake.buckets)

    def named(self, names: tuple[str, ...]) -> Lines:
        """The same with other names of its crawls."""
        documents = tuple(replace(d, crawl=names[d.ordinal]) for d in self.lake.documents)
        return Lines(SmallLake(documents, self.lake.shingles, self.lake.buckets), self.lines)


@pytest.fixture(scope="module")
def small() -> Lines:
    draw = random.Random(3)
    lake = random_lake(draw, 150)
    # The signal that is used for quality is one of those that every document has.
    documents = tuple(replace(document, quality=document.quality or 0.0) for document in lake.documents)
    lake = SmallLake(documents, lake.shingles, lake.buckets)
    return Lines(lake, {document.doc_id: draw.randrange(20) for document in lake.documents})


def write_measured(spark, folder: str, small: Lines, ordinal: int) -> None:
    """What reading and measuring a crawl leaves."""
    documents = [d for d in small.lake.documents if d.ordinal == ordinal]
    pages = [
        {"doc_id": d.doc_id, "crawl": d.crawl, "warc_path": "w", "warc_offset": 0, "record_type": "response"}
        | {"extract_status": "extracted", "text": d.text, "text_hash": d.text, "url": d.url, "language": "en"}
        for d in documents
    ]
    signals = [
        {"doc_id": d.doc_id, "crawl": d.crawl, "basic_line_count": small.lines[d.doc_id]}
        | {"gopher_quality_word_count": None if d.quality is None else int(d.quality), "basic_character_count": 9}
        for d in documents
    ]
    signed = [
        {"doc_id": d.doc_id, "crawl": d.crawl, "shingles": sorted(small.lake.shingles[d.text]), "signature": b"\0" * 4}
        for d in documents
        if d.text in small.lake.shingles
    ]
    bands = [
        {"band": band, "band_key": key, "doc_id": d.doc_id, "crawl": d.crawl}
        for d in documents
        for band, key in sorted(small.lake.buckets.get(d.text, ()))
    ]
    for table, rows in ((DOCUMENTS, pages), (SIGNALS_TABLE, signals), (SIGNATURES, signed), (BAND_INDEX, bands)):
        # Signals that these policies do not look at are 0 where they must not be null.
        zero = {column.name: 0.0 if column.type == "double" else 0 for column in table.columns if not column.nullable}
        values = [tuple((zero | row).get(name) for name in table.column_names) for row in rows]
        delta.create_table(spark, folder, table)
        data = spark.createDataFrame(values, table.spark()).coalesce(1)
        data.write.format("delta").mode("append").save(delta.table_path(folder, table))


def decided_lake(spark, folder: str, small: Lines, config: PipelineConfig, *, at_once: bool) -> None:
    """Crawls enter in the order of their ordinals; the lake is decided after each, or once after all."""
    names = tuple(dict.fromkeys(d.crawl for d in sorted(small.lake.documents, key=lambda d: d.ordinal)))
    for ordinal, name in enumerate(names):
        enter_crawls(spark, folder, [name])
        write_measured(spark, folder, small, ordinal)
        if not at_once or name == names[-1]:
            opened = open_lake(spark, config, lake=folder, outside={})
            there = names[: ordinal + 1]
            decide(opened, config, STAGES, there, there)


def outcome_of(spark, folder: str) -> tuple[dict, dict]:
    """Decisions by document, and duplicates by document and kind."""
    decisions = {
        row.doc_id: (row.outcome, tuple(row.rejected_by), row.weight)
        for row in delta.read_table(spark, folder, DECISIONS).collect()
    }
    duplicates = {
        (row.doc_id, row.kind): (row.representative_id, row.similarity and round(row.similarity, 9))
        for row in delta.read_table(spark, folder, DUPLICATES).collect()
    }
    return decisions, duplicates


def expected_of(lake: SmallLake, rules: Settings) -> tuple[dict, dict]:
    """The same by a plain loop that filters, and then removes greedily."""
    removed = greedy(lake, rules)
    kinds: dict[str, list[str]] = {}
    for doc_id, kind in removed:
        kinds.setdefault(doc_id, []).append(kind)
    sizes = cluster_sizes(lake, rules)
    decisions = {}
    for document in lake.documents:
        names = tuple(
            f"duplicate.{kind}" for kind in ("exact", "near", "url") if kind in kinds.get(document.doc_id, ())
        )
        size = sizes.get(document.doc_id, 1)
        weight = 0.5 * (3.0 if size >= 4 else 2.0 if size >= 2 else 1.0)
        if not document.eligible:
            decisions[document.doc_id] = ("rejected", ("basic.line_count",), 0.0)
        elif names:
            decisions[document.doc_id] = ("rejected", names, 0.0)
        else:
            decisions[document.doc_id] = ("kept", (), weight)
    rounded = {key: (one, similarity and round(similarity, 9)) for key, (one, similarity) in removed.items()}
    return decisions, rounded


def cluster_sizes(lake: SmallLake, rules: Settings) -> dict[str, int]:
    eligible = sorted((d for d in lake.documents if d.eligible), key=priority)
    edges = []
    for place, one in enumerate(eligible):
        for two in eligible[place + 1 :]:
            has_bucket = lake.buckets.get(one.text, frozenset()) & lake.buckets.get(two.text, frozenset())
            if one.text == two.text or (
                has_bucket and jaccard(lake.shingles[one.text], lake.shingles[two.text]) >= rules.threshold
            ):
                edges.append((one.doc_id, two.doc_id))
    components = smallest_reachable(edges)
    return {doc_id: list(components.values()).count(root) for doc_id, root in components.items()}


@pytest.fixture(scope="module")
def refreshed(spark, small, tmp_path_factory) -> tuple[str, Lines]:
    """Three crawls that entered one after the other, whose names sort against the order in which they did."""
    folder = str(tmp_path_factory.mktemp("refreshed"))
    named = small.named(("crawl", "b-2026", "2026-12"))
    decided_lake(spark, folder, named, config_of(LIMIT), at_once=False)
    return folder, named


def test_crawls_that_enter_one_after_the_other_are_decided_as_a_plain_loop_decides_on_all(spark, refreshed):
    folder, named = refreshed
    assert crawls_in_order(spark, folder) == ("crawl", "b-2026", "2026-12")
    expected = expected_of(named.under(LIMIT), settings(config_of(LIMIT)))
    assert outcome_of(spark, folder) == expected
    assert len({weight for _, _, weight in expected[0].values()}) == 4
    require_invariants_of_decisions(spark, folder)


def test_a_batch_of_all_crawls_under_other_names_gives_the_same_decisions(spark, refreshed, small, tmp_path):
    """Names that sort in the order of entering, and one decision after all have come."""
    decided_lake(spark, str(tmp_path), small.named(("a", "b", "c")), config_of(LIMIT), at_once=True)
    assert outcome_of(spark, str(tmp_path)) == outcome_of(spark, refreshed[0])


def test_what_if_foretells_another_policy_document_by_document(spark, refreshed):
    folder, named = refreshed
    other = config_of(LOOSER)
    measured = MeasuredLake(LakeColumns(folder), (other.select_corpus.policy,))
    foretold = measured.foretell(other.select_corpus.policy)
    assert foretold.compared > 0
    rules = np.array(foretold.rules)
    expected = {
        doc_id: ("kept" if kept else "rejected", tuple(rules[against]), weight)
        for doc_id, kept, against, weight in zip(
            measured.rows["doc_id"].to_pylist(), foretold.kept, foretold.against, foretold.weight, strict=True
        )
    }
    crawls = crawls_in_order(spark, folder)
    decide(open_lake(spark, other, lake=folder, outside={}), other, STAGES, crawls, crawls)
    decisions, duplicates = outcome_of(spark, folder)
    assert decisions == expected
    assert (decisions, duplicates) == expected_of(named.under(LOOSER), settings(other))
    # What was compared for one policy is there for the next.
    again = MeasuredLake(LakeColumns(folder), (other.select_corpus.policy,)).foretell(other.select_corpus.policy)
    assert again.compared == 0
    require_invariants_of_decisions(spark, folder)


OF_DECISIONS = tuple(one for one in INVARIANTS if {*one.tables} <= {DOCUMENTS, DECISIONS, DUPLICATES})
"""No corpus is made here."""


def require_invariants_of_decisions(spark, folder: str) -> None:
    assert len(OF_DECISIONS) == 4
    require_invariants(spark, folder, OF_DECISIONS)


def test_a_broken_lake_is_named_with_the_documents(spark, refreshed, tmp_path):
    folder, _ = refreshed
    require_invariants_of_decisions(spark, folder)
    row = delta.read_table(spark, folder, DUPLICATES).where("kind = 'near'").first()
    path = delta.table_path(folder, DECISIONS)
    version = delta.current_version(spark, folder, DECISIONS)
    spark.sql(
        f"UPDATE delta.`{path}` SET outcome = 'rejected', rejected_by = array('a.rule'), weight = 0 "
        f"WHERE doc_id = '{row.representative_id}'"
    )
    try:
        message = "it does not hold that no document is rejected as a duplicate of one that is not kept"
        with pytest.raises(ContractError, match=message):
            require_invariants_of_decisions(spark, folder)
    finally:
        spark.sql(f"RESTORE TABLE delta.`{path}` TO VERSION AS OF {version}")


def test_a_lake_without_crawls_cannot_be_decided(spark, tmp_path):
    with pytest.raises(UsageError, match="no crawl is there"):
        decide_lake(spark, config_of(LIMIT), lake=str(tmp_path))
    with pytest.raises(UsageError, match="no stage has run there; name a pipeline"):
        recorded_settings(spark, str(tmp_path))


def test_the_recorded_settings_of_a_lake_are_those_that_it_was_decided_by_last(spark, refreshed):
    recorded = recorded_settings(spark, refreshed[0])
    config = PipelineConfig.model_validate(recorded)
    assert config.select_corpus.policy.name in ("at-most-12", "at-most-16")
    assert "exact" not in recorded["deduplicate"]


def test_a_crawl_keeps_its_ordinal(spark, tmp_path):
    folder = str(tmp_path)
    assert enter_crawls(spark, folder, ["z"]) == ("z",)
    assert enter_crawls(spark, folder, ["a"]) == ("z", "a")
    assert enter_crawls(spark, folder, ["z", "m"]) == ("z", "a", "m")
    assert crawls_in_order(spark, folder) == ("z", "a", "m")
