import gzip
import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from schemas.tables.documents import DOCUMENTS
from schemas.tables.quarantine import QUARANTINE
from spark_jobs.kernels.gates.image_hash import pdq_hash
from spark_jobs.lake.stage import Lake, run_stage
from spark_jobs.report.safety import safety_state
from spark_jobs.stages.read import extract_text, screen_safety
from spark_jobs.stages.read.read_warc import warc_files

pytestmark = pytest.mark.spark

WORDS = "Rivers carry water from the hills to the sea, and mills stand on their banks. " * 3


def picture() -> bytes:
    colours = np.random.default_rng(1).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize((400, 300), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def page(text: str, title: str = "Rivers") -> bytes:
    return f"<html><head><title>{title}</title></head><body><p>{WORDS}</p><p>{text}</p></body></html>".encode()


def record(
    number: int, url: str, body: bytes, mime: str = "text/html", status: int = 200, kind: str = "response"
) -> bytes:
    block = f"HTTP/1.1 {status} X\r\nContent-Type: {mime}\r\n\r\n".encode() + body if kind == "response" else body
    content_type = "application/http" if kind == "response" else mime
    head = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:{number}>\r\n"
        f"WARC-Target-URI: {url}\r\nWARC-Date: 2020-01-02T03:04:05Z\r\n"
    )
    return gzip.compress(
        f"{head}Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"
    )


def test_what_the_gates_refuse_is_a_row_and_what_safety_withholds_is_in_no_table(spark, tmp_path):
    lists = {
        "keywords.txt": "forbiddenword\nforbidden phrase\n",
        "digests.txt": hashlib.sha256(b"a file on a list").hexdigest(),
        "pictures.txt": pdq_hash(picture())[0].hex(),
        "domains.txt": "blocked.example",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    records = [
        record(
            0,
            "http://a.example/good",
            page("<a rel=license href='http://creativecommons.org/licenses/by/4.0/'>CC</a>", "Good"),
        ),
        record(1, "http://a.example/text", page("It says ForbiddenWord here.")),
        record(2, "http://a.example/title", page("", "A forbidden\nphrase")),
        record(3, "http://a.example/forbiddenword/missing", b"gone", status=404),
        record(4, "http://www.blocked.example/", page("")),
        record(5, "http://a.example/film", b"a file on a list", mime="video/mp4"),
        record(6, "http://a.example/picture.png", picture(), mime="image/png"),
        record(7, "http://a.example/other.png", b"\x89PNG", mime="image/png"),
        record(8, "http://a.example/wet", f"Rivers\n{WORDS}\n".encode(), mime="text/plain", kind="conversion"),
        record(9, "http://a.example/wet-2", b"forbiddenword", mime="text/plain", kind="conversion"),
    ]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(records))
    config = extract_text.Config(
        extractor="resiliparse",
        url_gate={"lists": [tmp_path / "domains.txt"]},
        safety={
            "keyword_lists": [tmp_path / "keywords.txt"],
            "sha256_lists": [tmp_path / "digests.txt"],
            "pdq_lists": [tmp_path / "pictures.txt"],
        },
    )
    lake = Lake(spark, str(tmp_path / "lake"), "c", {"warc_files": warc_files(spark, str(path), "c")})
    counted = run_stage(extract_text.STAGE, lake, config)
    screened = run_stage(screen_safety.STAGE, lake, screen_safety.Config())
    documents = lake.read(DOCUMENTS, "lake").orderBy("warc_offset").collect()
    assert [(row.extract_status, row.extract_reason, row.extract_detail, row.extractor) for row in documents] == [
        ("extracted", None, None, "resiliparse"),
        ("skipped", "quarantined", None, None),
        ("skipped", "quarantined", None, None),
        ("skipped", "quarantined", None, None),
        ("skipped", "url.list", "list domains.txt", None),
        ("skipped", "quarantined", None, None),
        ("skipped", "quarantined", None, None),
        ("skipped", "mime", "declared as image/png", None),
        ("extracted", None, None, "wet"),
        ("skipped", "quarantined", None, None),
    ]
    assert (documents[0].licence, documents[0].licence_version, documents[0].licence_confidence) == ("by", "4.0", 0.85)
    assert (documents[8].text, documents[8].language, documents[8].charset) == (
        f"Rivers\n{WORDS.strip()}",
        "en",
        "utf-8",
    )
    address = {
        "doc_id",
        "crawl",
        "warc_path",
        "warc_offset",
        "warc_length",
        "record_type",
        "extract_status",
        "extract_reason",
        "safety_evidence",
    }
    assert all(
        {name for name, value in row.asDict().items() if value is not None} == address
        for row in documents
        if row.safety_evidence
    )
    assert (counted.counts["quarantined"], screened.counts["keyword"]) == (6, 4)

    ids = {row.doc_id: i for i, row in enumerate(documents)}
    found = lake.read(QUARANTINE, "lake").collect()
    payloads = {
        1: page("It says ForbiddenWord here."),
        2: page("", "A forbidden\nphrase"),
        5: b"a file on a list",
        6: picture(),
        9: b"forbiddenword",
    }
    digests = {number: hashlib.sha256(payload).hexdigest() for number, payload in payloads.items()}
    assert sorted((ids[row.doc_id], row.evidence, row.list, row.payload_sha256, row.distance) for row in found) == [
        (1, "keyword", "keywords.txt", digests[1], None),
        (2, "keyword", "keywords.txt", digests[2], None),
        (3, "keyword", "keywords.txt", None, None),
        (5, "sha256", "digests.txt", digests[5], None),
        (6, "pdq", "pictures.txt", digests[6], 0),
        (9, "keyword", "keywords.txt", digests[9], None),
    ]
    written = b"".join(file.read_bytes() for file in (tmp_path / "lake").rglob("*") if file.is_file())
    assert b"a.example/good" in written
    assert not [
        word
        for word in (b"forbidden", b"Forbidden", b"a.example/text", b"a.example/film", b"a.example/picture")
        if word in written
    ]


def test_no_documents_give_no_rows(documents_of):
    assert screen_safety.transform(documents_of().where("false"), config=screen_safety.Config()).count() == 0


def test_the_report_says_whether_the_gate_was_on():
    configs = ({"off": "screened before it came here"}, {}, {"keyword_lists": ["a.txt"], "md5_lists": ["b.txt"]})
    states = [safety_state(extract_text.Config(safety=safety).model_dump_json()) for safety in configs]
    assert [state.level for state in states] == ["red", "amber", "on"]
    assert "screened before it came here" in states[0].words
    assert "2 lists" in states[2].words
    assert safety_state("{}").level == "amber"


def test_neither_a_policy_nor_the_stage_of_the_register_can_turn_the_gate_off():
    from spark_jobs.stages.decide.policy import Policy

    for refuse in (
        lambda: Policy(name="p", safety={"off": "for no reason at all"}),
        lambda: screen_safety.Config(off="for no reason at all"),
    ):
        with pytest.raises(ValidationError, match="Extra inputs"):
            refuse()
