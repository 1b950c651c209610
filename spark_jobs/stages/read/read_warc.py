"""The records of WARC files: which are offered as documents, which are only counted, and what identifies each.

Requests, metadata, warcinfo and DNS look-ups are counted, not offered. Damage becomes a record of its own, never an
error.
"""

from __future__ import annotations

import glob as local_glob
import posixpath
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow.fs
import xxhash
from pydantic import Field
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.plumbing.configuration import UsageError
from schemas.tables.warc_files import WARC_FILES
from spark_jobs.kernels.archives.warc import UNREADABLE, ArchiveRecord, parse_date, read_records

OFFERED = ("response", "revisit", "resource", "conversion", UNREADABLE)
COUNTED = ("request", "metadata", "warcinfo", "continuation", "dns")
# Room for the HTTP header in front of a body of the largest size; servers stop at 8 to 64 KiB.
_HEAD_BYTES = 1 << 18


class Config(configuration.Config):
    """How to read WARC files."""

    max_body_bytes: int = Field(default=16 << 20, ge=1024, le=512 << 20)
    """Bytes of a page after all codings are undone; larger ones are skipped as `too_large`."""


def warc_files(spark: SparkSession, glob: str, crawl: str) -> DataFrame:
    """The files that `glob` names, one a partition, in the shape of `WARC_FILES`; `glob` is local or has a scheme
    that Hadoop knows.

    Raises `UsageError` where no file matches and where two have the same name: document ids are made from the name.
    """
    listing = _list_hadoop(spark, glob) if "://" in glob else _list_local(glob)
    if not listing:
        raise UsageError(f"no WARC file matches {glob}")
    names = Counter(posixpath.basename(path) for path, _ in listing)
    if repeated := sorted(name for name, count in names.items() if count > 1):
        raise UsageError(
            f"{glob}: several files are named {repeated[0]}; names must differ, because document ids are made from them"
        )
    rows = [{"path": path, "crawl": crawl, "bytes": size} for path, size in sorted(listing)]
    return spark.createDataFrame(spark.sparkContext.parallelize(rows, len(rows)), WARC_FILES.spark())


def read_file(path: str, crawl: str, config: Config) -> Iterator[tuple[dict[str, object], ArchiveRecord | None]]:
    """Every record of a file as the columns of DOCUMENTS that identify it, and the record itself where it is offered.

    Of records that are only counted there are `crawl` and `record_type` alone.
    """
    file_name, seen = posixpath.basename(path), set[int]()
    with _open(path) as file:
        for record in read_records(file, config.max_body_bytes + _HEAD_BYTES):
            if record.type not in OFFERED:
                yield {"crawl": crawl, "record_type": record.type if record.type in COUNTED else "other"}, None
                if record.fault is None:
                    continue
                # A damaged request is no document, but what follows it may have been lost with it.
                record = ArchiveRecord(
                    offset=record.offset, type=UNREADABLE, url=record.url, fault=f"{record.type} record: {record.fault}"
                )
            identity = {
                "doc_id": document_id(crawl, file_name, record, seen),
                "crawl": crawl,
                "warc_path": path,
                "warc_offset": record.offset,
                "warc_length": record.length,
                "record_type": record.type,
                "record_id": record.record_id,
                "url": record.url,
                "fetched_at": _storable(parse_date(record.date)),
            }
            yield identity, record


def record_counts() -> dict[str, Column]:
    """Aggregates of all records by type."""
    kind = F.col("record_type")
    counts = {f"records.{name}": F.count_if(kind == name) for name in OFFERED + COUNTED}
    return counts | {"records.other": F.count_if(~kind.isin(*OFFERED, *COUNTED))}


def document_id(crawl: str, file_name: str, record: ArchiveRecord, seen: set[int]) -> str:
    """128-bit hash in hex of the crawl, the file's name and the record's id, or its offset where it has none;
    distinct within the file of `seen`."""
    basis = f"{crawl}\0{file_name}\0{record.record_id or f'offset {record.offset}'}".encode()
    repeat, digest = 0, xxhash.xxh3_128_intdigest(basis)
    while digest in seen:
        # Broken writers repeat ids, and records that share a gzip member share its offset.
        repeat += 1
        digest = xxhash.xxh3_128_intdigest(basis + f"\0{record.offset}\0{repeat}".encode())
    seen.add(digest)
    return f"{digest:032x}"


def _storable(date: datetime | None) -> datetime | None:
    """Dates before the calendar reform differ between Spark and Parquet readers; no page has one."""
    return date if date is not None and 1900 <= date.year <= 9000 else None


def _open(path: str) -> BinaryIO:
    if "://" not in path:
        return Path(path).open("rb")
    filesystem, inside = pyarrow.fs.FileSystem.from_uri(
        path.replace("s3a://", "s3://", 1).replace("s3n://", "s3://", 1)
    )
    return filesystem.open_input_file(inside)  # type: ignore[no-any-return]


def _list_local(glob: str) -> list[tuple[str, int]]:
    # Path.glob takes no absolute pattern.
    found = (Path(name).absolute() for name in local_glob.glob(glob, recursive=True))  # noqa: PTH207
    return [(str(path), path.stat().st_size) for path in found if path.is_file()]


def _list_hadoop(spark: SparkSession, glob: str) -> list[tuple[str, int]]:
    jvm = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(glob)
    found = path.getFileSystem(spark._jsc.hadoopConfiguration()).globStatus(path)
    # Hadoop writes local files as file:/path, which is no URI to anyone else.
    return [
        (status.getPath().toString().removeprefix("file:"), status.getLen())
        for status in found or []
        if status.isFile()
    ]
