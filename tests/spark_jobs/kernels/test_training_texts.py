"""Texts to train on, from files of every kind."""

from __future__ import annotations

import gzip
import json

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.models.training_texts import find_files, in_holdout, read_documents, read_labelled

TEXTS = ["First text,\nof two lines.", "Second text."]


def test_documents_of_plain_text_are_parted_by_blank_lines_or_by_a_separator(tmp_path):
    (tmp_path / "a.txt").write_text("First text,\nof two lines.\n\n\nSecond text.\n", encoding="utf-8")
    with gzip.open(tmp_path / "b.txt.gz", "wt", encoding="utf-8") as file:
        file.write("### one\nFirst text,\nof two lines.\n### two\nSecond text.\n")
    assert list(read_documents([tmp_path / "a.txt"], None)) == TEXTS
    assert list(read_documents([tmp_path / "b.txt.gz"], "^### ")) == TEXTS


def test_json_lines_parquet_and_delta_have_a_column_text(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in [*TEXTS, " "]), encoding="utf-8"
    )
    table = pa.table({"text": [*TEXTS, None, ""], "other": [1, 2, 3, 4]})
    pq.write_table(table, tmp_path / "b.parquet")
    deltalake.write_deltalake(tmp_path / "c", table)
    for path in find_files([str(tmp_path / "*")]):
        assert list(read_documents([path], None)) == TEXTS, path


def test_faults_in_files_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n{"body": "not"}\n', encoding="utf-8")
    (tmp_path / "b.tsv").write_text("eng\tfine\nnone\n", encoding="utf-8")
    (tmp_path / "c").mkdir()
    with pytest.raises(UsageError, match=r"a\.jsonl:2: must be"):
        list(read_documents([tmp_path / "a.jsonl"], None))
    with pytest.raises(UsageError, match=r"b\.tsv:2: must be"):
        list(read_labelled([tmp_path / "b.tsv"]))
    with pytest.raises(UsageError, match="no Delta table"):
        list(read_documents([tmp_path / "c"], None))
    with pytest.raises(UsageError, match="no such file"):
        find_files([str(tmp_path / "nothing*")])


def test_the_holdout_is_chosen_by_the_text_alone():
    texts = [f"text number {i}" for i in range(5000)]
    kept_back = [text for text in texts if in_holdout(text, 0.1, seed=1)]
    assert 400 < len(kept_back) < 600
    assert all(in_holdout(text, 0.2, seed=1) for text in kept_back), "a larger share keeps back the same texts and more"
    assert kept_back != [text for text in texts if in_holdout(text, 0.1, seed=2)]
