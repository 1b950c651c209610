"""Every table is declared once, and shown wherever tables are shown."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import schemas.tables
from schemas.contract import Column, Table
from schemas.tables.warc_files import WARC_FILES
from spark_jobs.lake.tables import TABLES
from spark_jobs.pipeline import STAGES


def declared_tables() -> list[Table]:
    modules = [
        importlib.import_module(f"schemas.tables.{m.name}") for m in pkgutil.iter_modules(schemas.tables.__path__)
    ]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Table)]


def test_every_declared_table_is_a_table_of_the_lake_but_the_listing_that_is_not_stored():
    assert {table.name for table in declared_tables()} - {WARC_FILES.name} <= {table.name for table in TABLES}


def test_every_table_that_a_stage_writes_is_a_table_of_the_lake():
    assert [stage.writes.name for stage in STAGES if stage.writes not in TABLES] == []


def test_no_two_tables_have_a_name():
    assert len({table.name for table in TABLES}) == len(TABLES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_says_what_it_answers(table):
    assert table.asked


@pytest.mark.spark
def test_a_table_that_explain_does_not_know_is_told_as_it_is(spark):
    from pyspark.sql import Row

    from spark_jobs.ask.explain import Document, tell
    from spark_jobs.lake.tables import Tables
    from spark_jobs.stages.decide.policy import Policy

    columns = (
        Column(name="doc_id", type="string", description="the document"),
        Column(name="crawl", type="string", description="its crawl"),
        Column(name="since", type="int", description="from when on"),
        Column(name="why", type="string", nullable=True, description="the cause"),
    )
    table = Table(name="withdrawals", grain="one", key=("doc_id", "since"), columns=columns)
    rows = [("a", "c1", 7, None), ("a", "c1", 3, "asked for"), ("b", "c1", 1, "asked for")]
    tables = Tables(spark, {"withdrawals": spark.createDataFrame(rows, table.spark())}, None)
    document = Document(Row(doc_id="a"), tables, Policy(name="p"))
    assert list(tell(document, table)) == [("withdrawals", "since 3, why asked for"), ("withdrawals", "since 7")]


@pytest.mark.spark
def test_the_tables_of_a_crawl_hold_what_concerns_it(spark):
    from schemas.tables.documents import DOCUMENTS
    from spark_jobs.lake.tables import Tables

    def named(*columns: str) -> Table:
        told = tuple(Column(name=name, type="string", nullable=True, description=name) for name in columns)
        return Table(name="t", grain="one", key=columns[:1], columns=told)

    stored = {
        "documents": spark.createDataFrame([("a", "c1"), ("b", "c2")], "doc_id string, crawl string"),
        "t": spark.createDataFrame([("a", "c1"), ("b", "c2"), ("c", None)], "doc_id string, crawl string"),
    }
    of_c1, of_all = Tables(spark, stored, "c1"), Tables(spark, stored, None)
    with_crawl, without = named("doc_id", "crawl"), named("doc_id")
    assert sorted(row.doc_id for row in of_c1.of(with_crawl).collect()) == ["a", "c"]
    assert sorted(row.doc_id for row in of_c1.of(without).collect()) == ["a"]
    assert (
        of_c1.of(named("name")).count()
        == of_c1.of_every_crawl(with_crawl).count()
        == of_all.of(with_crawl).count()
        == 3
    )
    assert Tables(spark, {}, "c1").of(DOCUMENTS).columns == list(DOCUMENTS.column_names)
