"""A contract is declared once; its forms for each engine agree."""

from __future__ import annotations

import importlib
import pkgutil

import pyarrow as pa
import pytest

import schemas.tables
from schemas.contract import Check, Column, Table
from schemas.plumbing.errors import ContractError

PAGES = Table(
    name="pages",
    grain="one page",
    key=("id",),
    partition_by=("crawl",),
    columns=(
        Column(name="id", type="string", description="its id"),
        Column(name="crawl", type="string", description="its crawl"),
        Column(name="scores", type="array<double>", description="scores", nullable=True),
    ),
    checks=(Check(name="has_id", condition="length(id) > 0"),),
)

TABLES = tuple(
    value
    for module in pkgutil.iter_modules(schemas.tables.__path__)
    for name, value in vars(importlib.import_module(f"schemas.tables.{module.name}")).items()
    if isinstance(value, Table)
)


def test_arrow_and_ddl_forms_say_the_same():
    assert PAGES.arrow() == pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("crawl", pa.string(), nullable=False),
            pa.field("scores", pa.list_(pa.float64())),
        ]
    )
    assert PAGES.ddl() == "id STRING NOT NULL,\ncrawl STRING NOT NULL,\nscores ARRAY<DOUBLE>"


def test_a_table_is_a_folder_of_its_lake():
    assert [PAGES.uri(lake) for lake in ("lake", "/data/lake/", "s3://bucket/lake")] == [
        "lake/pages",
        "/data/lake/pages",
        "s3://bucket/lake/pages",
    ]


def test_the_spark_form_has_the_arrow_form_s_types():
    pytest.importorskip("pyspark")
    from pyspark.sql.pandas.types import to_arrow_schema

    for table in TABLES:
        names_and_types = [
            (field.name, str(field.type).replace("element", "item"))
            for field in to_arrow_schema(table.spark(), timezone="UTC")
        ]
        assert [(n, t.split(" not null")[0].rstrip(">")) for n, t in names_and_types] == [
            (f.name, str(f.type).rstrip(">")) for f in table.arrow()
        ], table.name


def test_a_difference_from_the_contract_names_every_column():
    with pytest.raises(
        ContractError,
        match=r"missing \['crawl'\], unexpected \['extra'\], changed \['scores is array<string>, not array<double>'\]",
    ):
        PAGES.require({"id": "string", "scores": "array<string>", "extra": "int"}, "the output")


def test_a_contract_with_a_key_that_is_no_column_is_refused():
    with pytest.raises(ContractError, match=r"unknown key or partition columns \['url'\]"):
        Table(name="t", grain="one", key=("url",), columns=(Column(name="id", type="string", description="id"),))


def test_an_unknown_type_is_refused():
    with pytest.raises(ContractError, match="unknown column type 'varchar'"):
        Table(name="t", grain="one", key=("id",), columns=(Column(name="id", type="varchar", description="id"),))


def test_the_documentation_names_grain_key_columns_and_checks():
    text = PAGES.markdown()
    for part in (
        "One row is one page. Key: `id`.",
        "Partitioned by `crawl`.",
        "| `scores` | array<double>, nullable | scores |",
        "| `has_id` | `length(id) > 0` |",
    ):
        assert part in text


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_of_the_lake_describes_its_columns(table):
    assert all(len(column.description) > 5 for column in table.columns)
    assert table.key
