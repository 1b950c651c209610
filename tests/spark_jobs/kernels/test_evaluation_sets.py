"""Evaluation sets as files."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.evaluation.evaluation_sets import Item, read_items, set_digest

ROWS = [
    {"id": 7, "question": "Why?", "choices": {"text": ["so", "not so"], "label": ["A", "B"]}},
    {"question": "How?", "choices": None},
]


def test_all_strings_of_the_fields_make_the_item_and_its_line_names_it(tmp_path):
    lines = "\n".join(map(json.dumps, ROWS)) + "\n\n"
    (tmp_path / "set.jsonl").write_text(lines)
    (tmp_path / "set.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    for name in ("set.jsonl", "set.jsonl.gz"):
        items = list(read_items(tmp_path / name, ("question", "choices"), "id"))
        assert items == [Item("7", "Why?\nso\nnot so\nA\nB"), Item("line 2", "How?")]
    assert len(set_digest(tmp_path / "set.jsonl")) == 64


def test_a_delta_table_gives_the_same_items_in_whatever_order(tmp_path):
    write_deltalake(str(tmp_path / "set"), pa.table({"id": ["a", None], "text": ["first", "second"]}))
    items = {item.text: item.item_id for item in read_items(tmp_path / "set", ("text",), "id")}
    assert items["first"] == "a" and len(items["second"]) == 16
    assert set_digest(tmp_path / "set").endswith("version 0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no items"),
        ('{"prompt": "x"}', "line 1 has no field text; it has prompt"),
        ("{", "not JSON lines"),
        ("[1]", "line 1 is no JSON object"),
    ],
)
def test_a_faulty_set_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "set.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        list(read_items(path, ("text",), "id"))


def test_a_set_that_is_not_there_is_refused(tmp_path):
    for use in (lambda path: list(read_items(path, ("text",), "id")), set_digest):
        with pytest.raises(UsageError, match="no evaluation set can be read there"):
            use(tmp_path / "none.jsonl")
