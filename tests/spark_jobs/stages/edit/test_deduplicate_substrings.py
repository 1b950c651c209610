"""Repeated substrings on Spark against a suffix array, and repeated paragraphs and lines against the rule as one
process runs it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pydantic import ValidationError
from pyspark.sql import DataFrame

from bench.suffix_array import repeated_tokens
from schemas.tables.decisions import DECISIONS
from schemas.tables.spans import REPEATED_SPANS
from spark_jobs.lake import delta
from spark_jobs.lake.session import BROADCAST_KEPT
from spark_jobs.stages.edit.deduplicate_substrings import STAGE, Config, transform

pytestmark = pytest.mark.spark

CRAWLS = ("2025-01", "2025-02")


def inputs_of(spark, rows: list[tuple[str, str, str, float, str]]) -> list[DataFrame]:
    """From (doc_id, crawl, text, quality, outcome)."""
    documents = spark.createDataFrame([row[:3] for row in rows], "doc_id string, crawl string, text string")
    decisions = [
        (doc_id, crawl, "test", outcome, ["rule"] * (outcome == "rejected"), float(outcome == "kept"))
        for doc_id, crawl, _, _, outcome in rows
    ]
    by_name = [
        dict(zip(("doc_id", "crawl", "policy", "outcome", "rejected_by", "weight"), decision, strict=True))
        for decision in decisions
    ]
    values = [tuple(row.get(name) for name in DECISIONS.column_names) for row in by_name]
    signals = spark.createDataFrame(
        [(row[0], row[1], row[3]) for row in rows], "doc_id string, crawl string, gopher_quality_word_count double"
    )
    ordinals = [(crawl, number) for number, crawl in enumerate(sorted({row[1] for row in rows}))]
    crawls = spark.createDataFrame(ordinals, "crawl string, ordinal int")
    return [documents.repartition(3), spark.createDataFrame(values, DECISIONS.spark()), signals, crawls]


def spans_of(spark, rows: list[tuple[str, str, str, float, str]], config: Config) -> list[tuple]:
    """(doc_id, rule, start, end), sorted; every row checked for what it shares with all."""
    output = transform(*inputs_of(spark, rows), config=config)
    assert tuple(output.columns) == REPEATED_SPANS.column_names
    crawls = {row[0]: row[1] for row in rows}
    found = output.collect()
    assert all((row.crawl, row.kind, row.replacement) == (crawls[row.doc_id], "repeated", "") for row in found)
    return sorted((row.doc_id, row.rule, row.start, row.end) for row in found)


def planted_documents(count: int, seed: int) -> list[tuple[str, str, str, float, str]]:
    """Random texts with passages of a small stock in them, whole, cut and in a row; some documents are rejected."""
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(1, 8))) for _ in range(800)]
    stock = [draw.choices(vocabulary, k=draw.randrange(10, 70)) for _ in range(25)]
    rows = []
    for _ in range(count):
        words: list[str] = []
        for _ in range(draw.randrange(5)):
            words += draw.choices(vocabulary, k=draw.randrange(60))
            passage = draw.choice(stock)
            words += passage[draw.randrange(len(passage)) :] * draw.choice((1, 1, 1, 3))
        text = "".join(word + draw.choice((" ", " ", "\n", " \n\n")) for word in words)
        rows.append(
            (
                f"{draw.getrandbits(64):016x}",
                draw.choice(CRAWLS),
                text,
                float(draw.randrange(3)),
                draw.choice(("kept", "kept", "kept", "rejected")),
            )
        )
    return rows


def by_priority(rows):
    return sorted((row for row in rows if row[4] == "kept"), key=lambda row: (row[1], -row[3], row[0]))


@pytest.mark.parametrize(("anchor_tokens", "broadcast_kept"), [(12, True), (4, False)])
def test_repeated_windows_are_those_of_a_suffix_array(spark, anchor_tokens, broadcast_kept):
    spark.conf.set(BROADCAST_KEPT, broadcast_kept)
    rows = planted_documents(150, seed=anchor_tokens)
    spans = spans_of(spark, rows, Config(substring_tokens=20, anchor_tokens=anchor_tokens))
    kept = by_priority(rows)
    removed = 0
    for row, repeated in zip(kept, repeated_tokens([row[2].split() for row in kept], 20), strict=True):
        covered = np.zeros(len(row[2]), dtype=bool)
        for doc_id, _, start, end in spans:
            if doc_id == row[0]:
                assert not covered[start:end].any()
                covered[start:end] = True
        place = 0
        for word, is_repeated in zip(row[2].split(), repeated, strict=True):
            start = row[2].index(word, place)
            place = start + len(word)
            assert covered[start:place].tolist() == [is_repeated] * len(word)
        removed += int(repeated.sum())
    assert removed > 1000


def test_paragraphs_and_lines_are_removed_where_they_come_again(spark):
    menu, note = "Home | About | Contact 2024", "Copyright 2023, all rights reserved"
    rows = [
        ("b", "1", f"{menu}\nOne page.\n\n{note}\nin two lines\n\nThe end", 1.0, "kept"),
        ("a", "1", f"HOME, about; contact: 2025\nAnother page.\n\n{note.upper()}!\nin two lines", 0.0, "kept"),
        ("c", "2", f"{menu}\nshort\n\n\nshort\n{note}", 9.0, "kept"),
        ("d", "0", f"{menu}\n{note}\nOne page.", 9.0, "rejected"),
    ]
    text = {row[0]: row[2] for row in rows}
    actual = spans_of(spark, rows, Config(line_characters=10, line_copies=3, paragraph_characters=20))
    assert [(doc_id, rule, text[doc_id][start:end]) for doc_id, rule, start, end in actual] == [
        ("a", "line", "HOME, about; contact: 2025\n"),
        ("a", "line", "COPYRIGHT 2023, ALL RIGHTS RESERVED!\n"),
        ("a", "paragraph", "COPYRIGHT 2023, ALL RIGHTS RESERVED!\nin two lines"),
        ("c", "line", "Home | About | Contact 2024\n"),
        ("c", "line", "Copyright 2023, all rights reserved"),
    ]


def test_nothing_kept_has_no_repeats_and_the_output_fits_the_table(spark, tmp_path):
    config = Config(substring_tokens=50, paragraph_characters=20, line_characters=20)
    output = transform(*inputs_of(spark, []), config=config)
    assert delta.write_table(output, str(tmp_path), REPEATED_SPANS, observe=STAGE.counts())[1] == {
        "rows": 0,
        "substring_spans": 0,
        "paragraph_spans": 0,
        "line_spans": 0,
        "characters": 0,
    }


def test_the_stage_runs_only_if_a_size_is_given():
    assert not STAGE.enabled(Config())
    assert STAGE.enabled(Config(substring_tokens=50))
    assert STAGE.enabled(Config(line_characters=50))


def test_an_anchor_longer_than_a_window_is_refused():
    with pytest.raises(ValidationError, match="anchor_tokens 12 is above substring_tokens 10"):
        Config(substring_tokens=10)
