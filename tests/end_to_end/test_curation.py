"""Every optional stage in one run, over a crawl of pages written here: what becomes of each page, and what the
corpus holds of it."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from schemas.plumbing import exit_codes
from schemas.plumbing.configuration import load_config
from schemas.tables.corpus import CORPUS
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.incidents import SUSPECTS
from schemas.tables.quarantine import QUARANTINE
from schemas.tables.runs import RUNS
from schemas.tables.tokens import TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from spark_jobs.ask.explain import explain_document
from spark_jobs.ask.what_if import compare, policy_of_lake
from spark_jobs.kernels.archives.warc_writer import record_id, write_record
from spark_jobs.lake import delta
from spark_jobs.lake.columns import LakeColumns
from spark_jobs.lake.tables import open_tables
from spark_jobs.pipeline import STAGES, PipelineConfig, settings_of
from spark_jobs.refresh import run_pipeline
from spark_jobs.report.outcomes import rule_counts
from tests.end_to_end.conftest import corpus
from training.lake_tables import append_rows

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1500)]

TICKETS = (
    "Tickets are sold at the old station house from nine until five, and children under twelve years of age travel "
    "free with a family."
)
SCRIPT = "Please enable JavaScript to read the comments of other visitors."
QUESTION = "Which of the four valleys that meet below the abbey carries the water of the northern glacier to the sea?"
KEYWORD, WITHHELD_HOST = "vexmoor", "undisclosed.example"
MILL = (
    "The old mill stands where two streams meet, and its wheel has turned there for three hundred years without a long "
    "pause.",
    "Visitors who come in spring find the door open, because the miller airs the grain and sweeps the dust before the "
    "first harvest.",
    "In the loft hangs a bell that his grandfather cast; it rings when the hopper runs dry, and the whole village "
    "knows its sound.",
)
GARDEN = (
    "Behind the school the teachers keep a garden of herbs, in which every bed belongs to one class and bears the name "
    "of a poet.",
    "When the lavender flowers the youngest pupils count bees for an hour and write the number on a slate beside the "
    "gate.",
)
LIGHTHOUSE = (
    "The lighthouse keeper writes down the weather four times a day, and has not missed an entry since the winter of "
    "the great storm.",
    "Groups should write to keeper@northlight.org before they climb the tower, or call (415) 555-0132 in the morning.",
    "From the gallery one sees both islands and the ferry between them, and on clear evenings the mountains of the "
    "mainland.",
)
BRIDGE = (
    "Engineers closed the iron bridge for a week to replace the bolts of its middle span, which salt and frost had "
    "worn thin.",
    "A diver inspected the piers and found them sound, though mussels cover the stone so thickly that nobody can read "
    "the date.",
)
PEARS = (
    "The orchard grows eleven kinds of pears, and the earliest of them ripens in the third week of July on the "
    "southern wall.",
    "Windfalls go to the press behind the barn, where the juice runs into oak barrels and waits for the cold of "
    "November.",
)
PEARS_LATER = (
    "The orchard shop is closed this week, because everyone is needed for the harvest of the late pears on the "
    "northern slope of the hill.",
)
ABBEY = (
    "The abbey quiz is held in the cellar each winter, and the monks write all of the questions themselves during the "
    "summer.",
    QUESTION,
    "Nobody answered it last year, although three of the guests had walked through that very valley on the morning of "
    "the quiz.",
)
POKER = (
    "The casino offers a game of poker to everyone who sends a message, and promises that nobody has ever left its "
    "tables poorer.",
)
VEXMOOR = (
    f"This page of the {KEYWORD} archive must never be stored, and its harbour ledger with nineteen entries is part of "
    f"what stays unseen.",
)
PORTRAITS = (
    "The painter shows forty portraits of fishermen, each with the boat on which he went to sea for the first time as "
    "a boy.",
    "She asks that her pictures and these lines be read by people and not by machines that learn to imitate them "
    "afterwards.",
)
GERMAN = (
    "Die alte Brauerei am Fluss wurde im vergangenen Jahr geschlossen, weil das Dach nach dem schweren Sturm nicht "
    "mehr sicher war.",
    "Nun sammeln die Bewohner des Dorfes Geld, damit dort ein kleines Museum entsteht, in dem man die kupfernen Kessel "
    "sehen kann.",
)


@dataclass(frozen=True)
class Page:
    """A response; `head` is what stands in the head of the page besides its title, `is_cut` makes it a gzip stream
    without its end."""

    paragraphs: tuple[str, ...]
    status: str = "200 OK"
    head: str = ""
    is_cut: bool = False

    def block(self) -> bytes:
        body = "".join(f"<p>{paragraph}</p>\n" for paragraph in self.paragraphs)
        head = f"<head><meta charset=utf-8><title>A page</title>{self.head}</head>"
        html = f"<!doctype html><html>{head}<body><article>\n{body}</article></body></html>"
        coding = "Content-Encoding: gzip\r\n" if self.is_cut else ""
        content = gzip.compress(html.encode(), mtime=0)[:40] if self.is_cut else html.encode()
        return f"HTTP/1.1 {self.status}\r\nContent-Type: text/html; charset=utf-8\r\n{coding}\r\n".encode() + content


PAGES = {
    "http://mill.example/": Page((*MILL, TICKETS)),
    "http://twin.example/mill": Page((*MILL, TICKETS)),
    "http://almost.example/mill": Page((*MILL[:2], MILL[2].replace("whole ", ""), TICKETS)),
    "http://garden.example/beds": Page((*GARDEN, TICKETS)),
    "http://lighthouse.example/visit": Page(LIGHTHOUSE),
    "http://bridge.example/news/7": Page((*BRIDGE, SCRIPT, TICKETS)),
    "http://orchard.example/pears": Page(PEARS),
    "https://www.orchard.example/pears?utm_source=letter": Page(PEARS_LATER),
    "http://abbey.example/quiz": Page(ABBEY),
    "http://play.casino.example/poker": Page(POKER),
    f"http://{WITHHELD_HOST}/ledger": Page(VEXMOOR),
    "http://painter.example/portraits": Page(PORTRAITS, head='<meta name="robots" content="noai">'),
    "http://brauerei.example/": Page(GERMAN),
    "http://mill.example/gone": Page(("There is no page here.",), status="404 Not Found"),
    "http://bridge.example/damaged": Page(BRIDGE, is_cut=True),
}

POLICY = {
    "name": "curation",
    "languages": [{"language": "en", "min_score": 0.5}],
    "rules": [{"signal": "gopher_quality.word_count", "min": 20, "max": None}],
    "buckets": {"signal": "gopher_quality.word_count", "limits": {"en": [50.0, 75.0]}},
    "rights": {"reject_robots": ["noai"]},
    "decontamination": {"max_overlap": 0.8},
    "duplicates": {"exact": True, "near": True, "url": True},
    "rehydration": {1: 1, 3: 2},
}


@dataclass(frozen=True)
class Curated:
    """The lake of one run, and how to run again."""

    lake: str
    warc: Path
    pipeline: Path
    opt_outs: Path
    printed: list[str]

    def run(self, spark) -> list[str]:
        summary = run_pipeline(spark, load_config(PipelineConfig, self.pipeline), lake=self.lake, warc=str(self.warc))
        assert summary is not None
        return summary.lines()


@pytest.fixture(scope="module")
def curated(spark, tmp_path_factory) -> Curated:
    folder = tmp_path_factory.mktemp("curation")
    warc = folder / "pages.warc.gz"
    with warc.open("wb") as file:
        for url, page in PAGES.items():
            write_record(
                file,
                "response",
                record_id(url),
                datetime(2026, 5, 1, tzinfo=UTC),
                "application/http;msgtype=response",
                page.block(),
                {"WARC-Target-URI": url},
            )
    files = {
        "blocked.txt": "casino.example\n",
        "keywords.txt": f"{KEYWORD}\n",
        "opt-outs.txt": "nobody.example\n",
        "exam.jsonl": json.dumps({"id": "q1", "text": QUESTION})
        + "\n"
        + json.dumps({"id": "q2", "text": "Too short."})
        + "\n",
        "policy.yaml": yaml.safe_dump(
            POLICY | {"rights": POLICY["rights"] | {"opt_out_lists": [str(folder / "opt-outs.txt")]}}
        ),
        "pipeline.yaml": yaml.safe_dump(
            {
                "crawl": "c1",
                "extract_text": {
                    "url_gate": {"lists": [str(folder / "blocked.txt")]},
                    "safety": {"keyword_lists": [str(folder / "keywords.txt")]},
                },
                "score_lines": {"enabled": True},
                "decontaminate": {"sets": {"exam": str(folder / "exam.jsonl")}},
                "select_corpus": {"policy": str(folder / "policy.yaml")},
                "edit_lines": {"rules": ["c4.javascript"]},
                "redact_pii": {"enabled": True},
                "deduplicate_substrings": {"paragraph_characters": 80},
                "train_tokenizer": {"vocabulary_size": 400},
            }
        ),
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    made = Curated(str(folder / "lake"), warc, folder / "pipeline.yaml", folder / "opt-outs.txt", [])
    made.printed.extend(made.run(spark))
    return made


def stages_run(spark, curated: Curated) -> list[str]:
    """Stages of the ledger, in the order in which they ran."""
    return [row.stage for row in delta.read_table(spark, curated.lake, RUNS).orderBy("started_at").collect()]


def outcomes(spark, curated: Curated) -> dict[str | None, tuple[str, tuple[str, ...]]]:
    """By URL, which what is withheld does not have: outcome, and the rules or the reason."""
    rows = (
        delta.read_table(spark, curated.lake, DOCUMENTS)
        .join(delta.read_table(spark, curated.lake, DECISIONS), "doc_id")
        .collect()
    )
    return {
        row.url: (row.outcome, tuple(row.rejected_by) or ((row.extract_reason,) if row.extract_reason else ()))
        for row in rows
    }


def test_every_optional_stage_is_on(curated):
    config = load_config(PipelineConfig, curated.pipeline)
    assert [stage.name for stage in STAGES if not stage.enabled(settings_of(stage, config))] == []


def test_each_page_is_kept_rejected_or_failed_for_its_reason(spark, curated):
    assert outcomes(spark, curated) == {
        "http://mill.example/": ("kept", ()),
        "http://twin.example/mill": ("rejected", ("duplicate.exact",)),
        "http://almost.example/mill": ("rejected", ("duplicate.near",)),
        "http://garden.example/beds": ("kept", ()),
        "http://lighthouse.example/visit": ("kept", ()),
        "http://bridge.example/news/7": ("kept", ()),
        "http://orchard.example/pears": ("kept", ()),
        "https://www.orchard.example/pears?utm_source=letter": ("rejected", ("duplicate.url",)),
        "http://abbey.example/quiz": ("rejected", ("decontamination.exam",)),
        "http://play.casino.example/poker": ("rejected", ("extract.url.list",)),
        None: ("rejected", ("extract.quarantined",)),
        "http://painter.example/portraits": ("rejected", ("rights.robots",)),
        "http://brauerei.example/": ("rejected", ("language.en",)),
        "http://mill.example/gone": ("rejected", ("extract.http_status",)),
        "http://bridge.example/damaged": ("failed", ("bad_encoding",)),
    }
    assert curated.printed[0] == "records in 15 = kept 5 + rejected 9 + failed 1"


def test_texts_of_the_corpus_are_edited_and_a_repeated_paragraph_stays_once(spark, curated):
    rows = delta.read_table(spark, curated.lake, CORPUS).collect()
    assert {row.url: row.text.split("\n") for row in rows} == {
        "http://mill.example/": [*MILL, TICKETS],
        "http://garden.example/beds": list(GARDEN),
        "http://lighthouse.example/visit": [
            LIGHTHOUSE[0],
            "Groups should write to <EMAIL_1> before they climb the tower, or call <PHONE_1> in the morning.",
            LIGHTHOUSE[2],
        ],
        "http://bridge.example/news/7": list(BRIDGE),
        "http://orchard.example/pears": list(PEARS),
    }
    # The mill's cluster has three documents, so that it weighs twice.
    assert {row.url: (row.bucket, row.weight) for row in rows} == {
        "http://mill.example/": ("tail", 2.0),
        "http://garden.example/beds": ("middle", 1.0),
        "http://lighthouse.example/visit": ("middle", 1.0),
        "http://bridge.example/news/7": ("tail", 1.0),
        "http://orchard.example/pears": ("head", 1.0),
    }
    assert delta.read_table(spark, curated.lake, TOKENS).count() == 5


def test_nothing_of_a_withheld_page_is_in_any_file_of_the_lake(spark, curated):
    assert [(row.evidence, row.list) for row in delta.read_table(spark, curated.lake, QUARANTINE).collect()] == [
        ("keyword", "keywords.txt")
    ]
    told = (KEYWORD, WITHHELD_HOST, "harbour ledger", record_id(f"http://{WITHHELD_HOST}/ledger").strip("<>"))
    files = [path for path in Path(curated.lake).rglob("*") if path.is_file()]
    assert len(files) > 50
    for file in files:
        content = file.read_bytes().decode("latin-1")
        if file.suffix == ".parquet":
            content += repr(pq.ParquetFile(file).read().to_pylist())
        assert [words for words in told if words in content] == [], file


def test_what_if_agrees_with_the_decisions(curated):
    columns = LakeColumns(curated.lake)
    own, lost = policy_of_lake(columns)
    assert lost == ()
    after = compare(columns, own, own).after
    assert (after.kept.documents, after.rejected, after.failed) == (5, 9, 1)
    assert after.buckets == {"head": 1, "middle": 2, "tail": 2}
    assert {rule.name: rule.only for rule in after.rules if rule.only} == {
        "duplicate.exact": 1,
        "duplicate.near": 1,
        "duplicate.url": 1,
        "decontamination.exam": 1,
        "rights.robots": 1,
        "language.en": 1,
    }


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "http://lighthouse.example/visit",
            ["edits", "pii, rule email: 1 span of 21 characters", "pii, rule phone: 1 span of 14 characters"],
        ),
        (
            "http://bridge.example/news/7",
            ["line, rule c4.javascript: 1 span of", "repeated, rule paragraph: 1 span of"],
        ),
        ("http://abbey.example/quiz", ["100.0 % of item q1 of evaluation set exam", "decontamination.exam"]),
        ("http://almost.example/mill", ["near, similarity 0.", "of http://mill.example/"]),
    ],
)
def test_explain_tells_each_edit_and_each_reason(spark, curated, url, told):
    life = explain_document(spark, curated.lake, url)
    assert [words for words in told if words not in life] == []


def test_a_second_run_does_nothing(spark, curated):
    before = stages_run(spark, curated)
    assert before == [stage.name for stage in STAGES]
    assert curated.run(spark) == curated.printed
    assert stages_run(spark, curated) == before


def test_a_longer_list_of_opt_outs_decides_anew_and_measures_nothing_again(spark, curated):
    before = len(stages_run(spark, curated))
    curated.opt_outs.write_text("nobody.example\ngarden.example\n", encoding="utf-8")
    try:
        curated.run(spark)
        names = [stage.name for stage in STAGES]
        # The tokenizer stays while its own settings do.
        assert stages_run(spark, curated)[before:] == [
            name for name in names[names.index("judge_eligible") :] if name != "train_tokenizer"
        ]
        assert outcomes(spark, curated)["http://garden.example/beds"] == ("rejected", ("rights.opt_out",))
        kept = {row.url: row.text.split("\n") for row in delta.read_table(spark, curated.lake, CORPUS).collect()}
        assert "http://garden.example/beds" not in kept
        rows = delta.read_table(spark, curated.lake, DOCUMENTS).where("url = 'http://garden.example/beds'").collect()
        withdrawn = delta.read_table(spark, curated.lake, WITHDRAWN).collect()
        assert [(row.doc_id, row.reason) for row in withdrawn] == [(row.doc_id, "left") for row in rows]
    finally:
        curated.opt_outs.write_text("nobody.example\n", encoding="utf-8")
        curated.run(spark)


def suspect(doc_id: str, incident: str) -> dict[str, object]:
    row = {
        "doc_id": doc_id,
        "source": "web",
        "incident_id": incident,
        "run": "runs/7",
        "time": datetime(2026, 6, 1, tzinfo=UTC),
        "verdict": "data fault",
    }
    return row | {"loss": 9.5, "usual_loss": 3.25, "deviations": 8.0, "repetitions": 2}


def test_what_a_training_run_was_harmed_by_is_rejected_from_the_next_run_on_and_measured_never_again(spark, curated):
    config = load_config(PipelineConfig, curated.pipeline)
    rows = (
        delta.read_table(spark, curated.lake, DOCUMENTS)
        .where("url LIKE 'http://garden%' OR url LIKE 'http://twin%'")
        .collect()
    )
    doc_ids = {row.url: row.doc_id for row in rows}
    before = len(stages_run(spark, curated))
    for incident, url in (
        ("i1", "http://garden.example/beds"),
        ("i2", "http://garden.example/beds"),
        ("i2", "http://twin.example/mill"),
    ):
        append_rows(curated.lake, SUSPECTS, [suspect(doc_ids[url], incident)])
    for _ in range(2):
        run_pipeline(spark, config, lake=curated.lake, warc=str(curated.warc), until="select_corpus")
    names = [stage.name for stage in STAGES]
    decided_again = names[names.index("judge_eligible") : names.index("select_corpus") + 1]
    assert stages_run(spark, curated)[before:] == decided_again
    decided = outcomes(spark, curated)
    assert decided["http://garden.example/beds"] == ("rejected", ("training.suspect",))
    assert decided["http://twin.example/mill"] == ("rejected", ("training.suspect",))
    (told,) = (
        rule for rule in rule_counts(open_tables(spark, curated.lake, None), {}) if rule.name == "training.suspect"
    )
    assert (told.rejects, told.alone, told.first) == (2, 2, 2)
    own, _ = policy_of_lake(LakeColumns(curated.lake))
    after = compare(LakeColumns(curated.lake), own, own).after
    assert (after.kept.documents, {rule.name: rule.only for rule in after.rules}["training.suspect"]) == (4, 2)


def test_a_dry_run_prints_the_plan_and_writes_nothing(curated, tmp_path):
    run = corpus("run", "fineweb", "--dry-run", "--lake", tmp_path / "lake", "--warc", curated.warc)
    assert run.returncode == exit_codes.DONE, run.stderr
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in run.stdout.splitlines() if line.strip()}
    off = [name for name, words in lines.items() if words == "is off"]
    assert off == ["score_lines", "decontaminate", "redact_pii", "deduplicate_substrings"]
    assert lines["edit_lines"] == "creates line_spans of each crawl"
    assert lines["tokenize_corpus"] == "creates tokens"
    assert not (tmp_path / "lake").exists()
