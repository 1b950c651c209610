import gzip
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import Observation
from pyspark.sql import functions as F

from schemas.plumbing.errors import UsageError
from schemas.tables.documents import DOCUMENTS
from schemas.tables.warc_files import WARC_FILES
from spark_jobs.stages.read import read_warc
from spark_jobs.stages.read.extract_text import Config, transform
from spark_jobs.stages.read.read_warc import warc_files

pytestmark = pytest.mark.spark

FAST = Config(extractor="resiliparse")

MALFORMED = {
    "bad.arc": {("failed", "unreadable"): 3, ("failed", "bad_http"): 1},
    "badexample.arc.gz": {("failed", "truncated"): 3, ("skipped", "mime"): 1},
    "clipped.warc.gz": {("failed", "truncated"): 1},
    "example-bad-non-chunked.warc.gz": {("extracted", None): 1, ("skipped", "revisit"): 1},
    "example-bad.warc.gz.bad": {("extracted", None): 1, ("skipped", "revisit"): 1, ("skipped", "http_status"): 1},
    # Requests with bad digests only: counted by type, not offered.
    "example-digest.warc": {},
    "example-iana.org-chunked.warc": {("extracted", None): 1},
    "example-resource.warc.gz": {("extracted", None): 1},
    "example-space-in-target-uri.warc.gz": {("skipped", "mime"): 1},
    "example-trunc.warc": {("extracted", None): 1, ("failed", "unreadable"): 1},
    "example-wget-bad-target-uri.warc.gz": {("extracted", None): 1, ("skipped", "mime"): 2},
    "example-wrong-chunks.warc.gz": {("extracted", None): 1},
    "post-test.warc.gz": {("skipped", "mime"): 3},
}


def outcomes(documents):
    rows = documents.select("warc_path", "extract_status", "extract_reason").collect()
    found: dict[str, Counter] = {}
    for row in rows:
        found.setdefault(Path(row.warc_path).name, Counter())[row.extract_status, row.extract_reason] += 1
    return found


def html_response(number: int, words: str, fields: str = "") -> bytes:
    page = f"<html><head><title>Page {number}</title></head><body><p>{words}</p></body></html>"
    block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{fields}\r\n{page}".encode()
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:{number}>\r\nWARC-Target-URI: http://www.a.example/{number}\r\n"
    head += f"WARC-Date: 2020-01-02T03:04:05Z\r\nContent-Type: application/http\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def write(folder: Path, name: str, *records: bytes) -> Path:
    path = folder / name
    path.write_bytes(b"".join(gzip.compress(record) for record in records))
    return path


def test_every_malformed_file_ends_as_counted_rows_with_reasons(spark, shared_data):
    observation = Observation()
    files = warc_files(spark, str(shared_data / "warc" / "malformed" / "*"), "malformed")
    documents = transform(files, config=FAST, observation=observation)
    found = outcomes(documents)
    assert {name: dict(found.get(name, {})) for name in MALFORMED} == MALFORMED
    assert observation.get["records.request"] == 15
    assert sum(observation.get[f"records.{kind}"] for kind in read_warc.OFFERED) == sum(
        map(sum, (counts.values() for counts in MALFORMED.values()))
    )


def test_arc_and_warc_of_one_crawl_give_the_same_documents(spark, shared_data):
    files = warc_files(spark, str(shared_data / "warc" / "heritrix-2008.*"), "2008")
    rows = (
        transform(files, config=FAST)
        .select(
            "warc_path",
            "url",
            "fetched_at",
            "http_status",
            "mime",
            "extract_status",
            "extract_reason",
            "text_hash",
            "doc_id",
        )
        .collect()
    )
    warc, arc = ([row for row in rows if row.warc_path.endswith(end)] for end in (".warc.gz", ".arc.gz"))
    assert len({row.doc_id for row in rows}) == len(rows) == 2 * 261
    assert Counter(row[1:8] for row in warc) == Counter(row[1:8] for row in arc)
    assert sum(row.extract_status == "extracted" for row in warc) == 93


def test_a_document_has_its_provenance_and_text(spark, tmp_path):
    path = write(
        tmp_path,
        "a.warc.gz",
        html_response(1, "Rivers carry water from the hills to the sea, and mills stand on their banks."),
    )
    [row] = transform(warc_files(spark, str(path), "c"), config=FAST).collect()
    expected = {
        "crawl": "c",
        "warc_path": str(path),
        "warc_offset": 0,
        "warc_length": path.stat().st_size,
        "record_type": "response",
        "record_id": "<urn:1>",
        "url": "http://www.a.example/1",
        "host": "www.a.example",
        "domain": "a.example",
        "http_status": 200,
        "mime": "text/html",
        "charset": "utf-8",
        "extract_status": "extracted",
        "extract_reason": None,
        "title": "Page 1",
        "language": "en",
    }
    assert {name: row[name] for name in expected} == expected
    assert "mills stand on their banks" in row.text
    assert len(row.doc_id) == 32
    assert row.text_hash == hashlib.sha256(row.text.encode()).hexdigest()


def test_a_hung_a_crashed_and_a_greedy_extraction_become_rows_and_the_rest_goes_on(spark, tmp_path):
    # Workers import the misbehaving extractor by name.
    spark.sparkContext.addPyFile(str(Path(__file__).parents[2] / "kernels" / "hostile_extractors.py"))
    pages = ["first", "HANG", "second", "CRASH", "third", "GREEDY", "fourth"]
    path = write(tmp_path, "a.warc.gz", *(html_response(n, words) for n, words in enumerate(pages)))
    config = Config(extractor="hostile_extractors:misbehaving", max_seconds=3.0, max_memory_mib=1024)
    rows = transform(warc_files(spark, str(path), "c"), config=config).orderBy("record_id").collect()
    assert [(row.extract_status, row.extract_reason, row.text) for row in rows] == [
        ("extracted", None, "Page 0first"),
        ("failed", "timeout", None),
        ("extracted", None, "Page 2second"),
        ("failed", "crashed", None),
        ("extracted", None, "Page 4third"),
        ("failed", "out_of_memory", None),
        ("extracted", None, "Page 6fourth"),
    ]


def test_documents_do_not_depend_on_partitions_or_the_order_of_files(spark, tmp_path):
    for name in ("b", "a", "c"):
        write(
            tmp_path,
            f"{name}.warc.gz",
            *(html_response(n, f"Page {n} of file {name} speaks about the weather at length.") for n in range(5)),
        )
    files = warc_files(spark, str(tmp_path / "*.warc.gz"), "c")
    reference = sorted(map(tuple, transform(files, config=FAST).collect()))
    for arrangement in (files.coalesce(1).orderBy(F.desc("path")), files.repartition(7)):
        assert sorted(map(tuple, transform(arrangement, config=FAST).collect())) == reference


def test_repeated_and_missing_record_ids_give_distinct_documents(spark, tmp_path):
    one = html_response(1, "The same record twice in one file.")
    nameless = one.replace(b"WARC-Record-ID: <urn:1>\r\n", b"")
    path = tmp_path / "a.warc.gz"
    # In one gzip member all records have the same offset.
    path.write_bytes(gzip.compress(one + one + nameless + nameless) + gzip.compress(one))
    ids = [row.doc_id for row in transform(warc_files(spark, str(path), "c"), config=FAST).collect()]
    assert len(set(ids)) == 5


def test_large_empty_and_textless_pages_are_skipped_for_their_reasons(spark, tmp_path):
    head, _, _ = html_response(2, "").partition(b"\r\n\r\n")
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    empty = (
        head[: head.index(b"Content-Length")] + f"Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"
    )
    path = write(
        tmp_path, "a.warc.gz", html_response(1, "word " * 100_000), empty, html_response(3, "<script>1</script>")
    )
    config = FAST.model_copy(update={"read": read_warc.Config(max_body_bytes=100_000)})
    rows = transform(warc_files(spark, str(path), "c"), config=config).orderBy("warc_offset").collect()
    assert [(row.extract_status, row.extract_reason) for row in rows] == [
        ("skipped", "too_large"),
        ("skipped", "empty_body"),
        ("skipped", "no_text"),
    ]


def test_empty_files_and_text_files_are_one_unreadable_row_each(spark, tmp_path):
    (tmp_path / "empty.warc.gz").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("These are notes.\nThey are no archive.\n")
    documents = transform(warc_files(spark, str(tmp_path / "*"), "c"), config=FAST)
    assert outcomes(documents) == {
        "empty.warc.gz": {("failed", "unreadable"): 1},
        "notes.txt": {("failed", "unreadable"): 1},
    }


def test_no_files_give_no_documents_in_the_shape_of_the_contract(spark, tmp_path):
    files = warc_files(spark, str(write(tmp_path, "a.warc.gz", html_response(1, "a"))), "c").where("false")
    documents = transform(files, config=FAST)
    assert documents.count() == 0
    DOCUMENTS.require({name: kind.replace("bigint", "long") for name, kind in documents.dtypes}, "the output")


def test_a_glob_without_files_and_two_files_of_one_name_are_usage_errors(spark, tmp_path):
    with pytest.raises(UsageError, match=r"no WARC file matches .*/\*\.warc"):
        warc_files(spark, str(tmp_path / "*.warc"), "c")
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "same.warc.gz", html_response(1, "a"))
    with pytest.raises(UsageError, match=r"several files are named same\.warc\.gz"):
        warc_files(spark, str(tmp_path / "*" / "*.gz"), "c")
    assert warc_files(spark, f"file://{tmp_path}/x/*.gz", "c").count() == 1


def test_files_with_a_scheme_are_read_through_arrow(spark, tmp_path):
    path = write(tmp_path, "a.warc.gz", html_response(1, "Rivers carry water from the hills to the sea."))
    files = spark.createDataFrame([(f"file://{path}", "c", 1)], WARC_FILES.spark())
    [row] = transform(files, config=FAST).collect()
    assert row.extract_status == "extracted"
