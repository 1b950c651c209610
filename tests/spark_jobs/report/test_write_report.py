"""The report on a small lake, read back with an HTML parser."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import lxml.html
import pytest

from schemas.plumbing.errors import UsageError
from schemas.tables.documents import DOCUMENTS
from schemas.tables.reasons import reason_in_words
from spark_jobs.lake import delta
from spark_jobs.lake.tables import open_tables
from spark_jobs.report import write_report
from spark_jobs.report.edits import gather_edits
from spark_jobs.report.ledger import StageRun

pytestmark = pytest.mark.spark


def read_page(path) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(path.read_text(encoding="utf-8"))


def table_rows(page, section: str) -> list[list[str]]:
    return [
        [" ".join(cell.text_content().split()) for cell in row.findall("td")]
        for row in page.get_element_by_id(section).iter("tr")
        if row.findall("td")
    ]


def number(page, element: str) -> int:
    return int(page.get_element_by_id(element).text.replace(",", ""))


@pytest.fixture(scope="module")
def report_file(spark, small_lake, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    steps = [
        {
            "step": s,
            "loss": 8.0 - s,
            "learning_rate": 1e-3,
            "gradient_norm": 1.0,
            "tokens": 512 * s,
            "tokens_per_second": 900.0,
        }
        for s in (1, 2, 3, 4)
    ]
    repeated = {**steps[1], "loss": 5.5}
    metrics = "".join(json.dumps(step) + "\n" for step in [*steps[:2], repeated, *steps[2:]]) + '{"step": 5, "lo'
    (folder / "metrics.jsonl").write_text(metrics, encoding="utf-8")
    held_out = [
        {
            "step": s,
            "source": "web",
            "objective": "causal",
            "loss": 8.25 - s,
            "bits_per_byte": 3.0 - s / 2,
            "tokens": 4096,
        }
        for s in (2, 4)
    ]
    (folder / "evaluation.jsonl").write_text("".join(json.dumps(one) + "\n" for one in held_out), encoding="utf-8")
    (folder / "evaluation").mkdir()
    task = {"task": "rivers", "measure": "acc", "value": 0.75, "error": None, "items": 1200}
    (folder / "evaluation" / "step-00000004.json").write_text(json.dumps({"tasks": [task]}), encoding="utf-8")
    write_report(spark, small_lake, folder / "report.html", crawl=None, training=folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(report_file):
    return read_page(report_file)


def test_records_are_kept_rejected_or_failed(page):
    assert [number(page, name) for name in ("records", "kept", "rejected", "failed")] == [8, 2, 5, 1]
    assert number(page, "token-count") == 110
    assert not page.xpath("//*[@id='unbalanced']")


def test_the_tokenizer_s_fineness_is_shown_by_language_and_says_what_it_was_measured_on(page):
    assert table_rows(page, "fertility") == [["en *", "450", "1.25", "4.50"], ["de", "0", "2.50", "3.00"]]


def test_the_funnel_loses_each_document_once_in_the_policy_s_order(page):
    assert [row[:3] for row in table_rows(page, "funnel")] == [
        ["records in", "", "8"],
        ["failed to extract", "1", "7"],
        ["no page with text", "1", "6"],
        ["language", "1", "5"],
        ["gopher_quality", "1", "4"],
        ["fineweb", "0", "4"],
        ["duplicate", "2", "2"],
    ]


def test_a_rule_counts_all_that_it_rejects_and_what_it_alone_rejects(page):
    assert [[row[0], row[2], *row[4:7]] for row in table_rows(page, "rules") if len(row) == 8] == [
        ["gopher_quality.word_count", "2", "0", "2", "100,100"],
        ["duplicate.exact", "1", "1", "3", "100,200"],
        ["duplicate.near", "1", "1", "3", "100,200"],
        ["extract.mime", "1", "1", "", ""],
        ["fineweb.list_ratio", "1", "0", "2", "100,100"],
        ["language.en", "1", "0", "2", "100,100"],
    ]
    meanings = {row[0]: row[1] for row in table_rows(page, "rules") if len(row) == 8}
    assert meanings["duplicate.near"] == "another document has a similar text, by verified similarity"
    assert meanings["gopher_quality.word_count"] == "words, punctuation marks left out"


def test_buckets_count_their_kept_documents(page):
    assert table_rows(page, "buckets") == [["head", "1", "1.0"]]


def test_what_this_version_cannot_read_of_the_recorded_policy_is_said(page):
    assert "left out: rules: gone.away." in page.get_element_by_id("lost").text


def test_records_without_text_are_listed_by_reason(page):
    assert table_rows(page, "extraction") == [
        ["failed", "timeout", "extraction took longer than a page may take", "1", "no answer in 30 s"],
        ["skipped", "mime", reason_in_words("mime"), "1", "image/png"],
    ]


def test_the_bars_outside_the_limits_are_what_the_rule_rejects(page):
    outside = {}
    for card in page.xpath("//*[@id='signals']//*[@data-rule]"):
        titles = card.xpath(".//*[local-name()='rect'][@class='reject']/*[local-name()='title']/text()")
        outside[card.get("data-rule")] = sum(int(title.rpartition(": ")[2]) for title in titles)
    assert {rule: count for rule, count in outside.items() if count} == {
        "gopher_quality.word_count": 2,
        "fineweb.list_ratio": 1,
    }
    assert len(outside) == 28  # every rule of the policy of the newest selection


def test_duplicates_are_shown_with_the_page_that_was_kept(page):
    assert [number(page, "exact-duplicates"), number(page, "near-duplicates")] == [1, 1]
    assert [row[0:3] for row in table_rows(page, "pairs")] == [
        ["0.875", "http://river.example/two", "http://river.example/one"]
    ]
    assert page.get_element_by_id("similarities").xpath(".//*[local-name()='title']/text()") == ["0.86 to 0.88: 1"]


def test_hot_buckets_are_told(page):
    told = " ".join(page.get_element_by_id("buckets-of-bands").text_content().split())
    assert told.startswith("Of 14 buckets with several texts the largest has 2. Hot buckets,")
    assert told.endswith(": 1.")


def test_edits_are_counted_by_rule_and_evaluation_sets_by_what_was_found_of_them(page):
    assert table_rows(page, "edits") == [["repeated", "paragraph", "2", "1", "20"]]
    assert table_rows(page, "decontamination") == [["exam", "12", "2", "1", "340", "1", "0"]]


def test_a_table_of_edits_that_the_corpus_was_made_without_is_not_shown(spark, small_lake):
    tables = open_tables(spark, small_lake, None)
    read = StageRun(
        "assemble_corpus",
        "c1",
        datetime(2026, 6, 1, tzinfo=UTC),
        1.0,
        {"edited": 1, "left_empty": 0},
        {},
        {},
        "corpus",
        0,
        "",
    )
    versions = {"line_spans": "e3b0", "repeated_spans": "3", "pii_spans": "e3b0"}
    assert [edit.kind for edit in gather_edits(tables, [replace(read, inputs=versions)]).edits] == ["repeated"]
    assert gather_edits(tables, [replace(read, inputs=versions | {"repeated_spans": "e3b0"})]).edits == ()


def test_languages_and_domains_are_those_of_documents_with_text(page):
    assert [row[:3] for row in table_rows(page, "languages")] == [
        ["en", "5", "2"],
        ["fr", "1", "0"],
        ["river.example", "4", "2"],
        ["evil.example", "1", "0"],
        ["fleuve.example", "1", "0"],
    ]


def test_a_rejected_sample_shows_the_value_that_breaks_the_rule(page):
    samples = page.get_element_by_id("samples").xpath(".//details[@data-rule='gopher_quality.word_count']//article")
    shown = [" ".join(sample.xpath("string(.//p[@class='against'])").split()) for sample in samples]
    assert shown == [
        "gopher_quality.word_count 10 allowed at least 50 and at most 100000",
        "gopher_quality.word_count 49 allowed at least 50 and at most 100000",
    ]


def test_a_long_text_is_cut_and_a_short_one_is_not(page):
    kept = page.get_element_by_id("samples").xpath("./article//blockquote/text()")
    assert [len(text) for text in kept] == [301, len("A later page about the river.")]


def test_hostile_pages_stay_text(page):
    assert not list(page.iter("script", "img", "iframe", "object", "embed", "link", "form"))
    shown = page.get_element_by_id("samples").text_content()
    assert "<script>alert('title')</script>" in shown
    assert (
        '</blockquote></article><img src=http://evil.example/x.png onerror=alert(1)> & "quoted" \ufffd\ufffd text'
        in shown
    )
    assert not [name for element in page.iter() for name in element.attrib if name.startswith("on")]


def test_the_page_loads_nothing(report_file, page):
    references = [
        value
        for element in page.iter()
        for name, value in element.attrib.items()
        if name.rpartition(":")[2] in ("src", "href", "srcset", "data", "action")
    ]
    assert references
    assert all(value.startswith("#") for value in references)
    style = page.xpath("string(//style)")
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in report_file.read_text(encoding="utf-8")


def test_a_loss_curve_forgets_what_a_restart_repeated_and_a_kill_cut_short(page):
    assert [page.get_element_by_id(name).text for name in ("first-loss", "last-loss")] == ["7.000", "4.000"]
    curve = page.get_element_by_id("training").xpath(".//*[local-name()='polyline']/@points")
    assert len(curve) == 4
    assert len(curve[0].split()) == 4


def test_held_out_losses_and_tasks_are_shown(page):
    assert table_rows(page, "held-out") == [["web", "causal", "6.2500", "4.2500", "1.0000", "4,096"]]
    assert table_rows(page, "tasks") == [["rivers", "acc", "0.7500", "1,200"]]


def test_the_newest_run_of_each_stage_is_listed(page):
    assert [row[:4] for row in table_rows(page, "runs")] == [
        ["decontaminate", "2026-06-01 12:00:00", "2.0 s", "1"],
        ["find_candidates", "2026-06-01 12:00:00", "3.0 s", "1"],
        ["extract_text", "2026-06-01 12:01:00", "1 min 1 s", "8"],
        ["select_corpus", "2026-06-01 12:03:00", "5.0 s", "8"],
    ]
    assert "lid.ftz 555555555555" in page.get_element_by_id("runs").text_content()


def test_a_report_on_one_crawl_leaves_the_others_out(spark, small_lake, tmp_path):
    write_report(spark, small_lake, tmp_path / "report.html", crawl="c2", training=None)
    page = read_page(tmp_path / "report.html")
    assert [number(page, name) for name in ("records", "kept", "rejected", "failed", "token-count")] == [1, 1, 0, 0, 10]
    assert [p.text for p in page.get_element_by_id("training").xpath(".//p")] == [
        "No training run is part of this report."
    ]


def test_a_lake_of_one_empty_table_has_a_report_of_empty_sections(spark, tmp_path):
    delta.write_table(spark.createDataFrame([], DOCUMENTS.spark()), str(tmp_path / "lake"), DOCUMENTS)
    (tmp_path / "metrics.jsonl").touch()
    write_report(spark, str(tmp_path / "lake"), tmp_path / "report.html", crawl=None, training=tmp_path)
    page = read_page(tmp_path / "report.html")
    empty = {section.get("id") for section in page.xpath("//section") if section.xpath(".//p[@class='empty']")}
    assert empty == {section.get("id") for section in page.xpath("//section")}
    assert number(page, "records") == 0


@pytest.mark.parametrize(
    ("crawl", "training", "complaint"),
    [("c3", False, "--crawl c3: the lake .* has no record of that crawl"), (None, True, "no metrics.jsonl there")],
)
def test_a_report_on_what_is_not_there_is_a_usage_error(spark, small_lake, tmp_path, crawl, training, complaint):
    with pytest.raises(UsageError, match=complaint):
        write_report(spark, small_lake, tmp_path / "report.html", crawl=crawl, training=tmp_path if training else None)
    assert not (tmp_path / "report.html").exists()


def test_a_folder_without_a_lake_is_a_usage_error(spark, tmp_path):
    with pytest.raises(UsageError, match="no table of a lake is there"):
        write_report(spark, str(tmp_path), tmp_path / "report.html", crawl=None, training=None)


def test_models_show_how_good_they_are_on_texts_kept_back(page):
    assert [[*row[:3], *row[4:]] for row in table_rows(page, "model-list")] == [
        ["language-id", "language-id.bin", "any", "30", "mean accuracy of the languages that it knows", "0.85"],
        ["language-id", "lid.176.ftz", "any", "30", "mean accuracy of the languages that it knows", "0.85"],
        ["perplexity", "en.bin", "en", "25", "median perplexity", "165.8"],
        ["quality", "quality.bin", "any", "100", "accuracy", "0.9"],
    ]
    assert table_rows(page, "language-accuracy") == [
        ["de", "90.0 % of 10", "100.0 % of 10"],
        ["nds", "80.0 % of 20", "-"],
    ]
    section = page.get_element_by_id("models").text_content()
    assert "nds for de (4)" in section
    assert "0.0181125" in section
    assert "<b>positive" in section, "a label is text, not markup"
