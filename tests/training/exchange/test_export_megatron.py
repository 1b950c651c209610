"""Megatron's `.bin` and `.idx` files: byte for byte as the format says, and read back token for token by Megatron
itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from schemas.plumbing.errors import ContractError, UsageError
from schemas.tables.tokens import TOKENIZERS, TOKENS
from training.exchange import export_megatron as exporter
from training.exchange.export_megatron import export_megatron, id_type
from training.reading.delta_tokens import PartReader, open_tokens

REPOSITORY = Path(__file__).resolve().parents[3]

# Two documents of 3 and 2 tokens in uint16: header, lengths, byte offsets, first sequence of each document.
FIXTURE = (
    "4d4d4944494458000001000000000000000802000000000000000300000000000000"
    "0300000002000000"
    "00000000000000000600000000000000"
    "000000000000000001000000000000000200000000000000"
)
FIXTURE_HASH = "416ba3f8d9601192c5b0c9424ce7e61d6ac2d9d464dba8e5ee55deb8247de3aa"

READ_BACK = """
import json, sys
import numpy as np
from megatron.core.datasets.indexed_dataset import IndexedDataset
found = {}
for prefix in sys.argv[1:]:
    data = IndexedDataset(prefix, multimodal=False, mmap=True)
    documents = [data[i] for i in range(len(data))]
    found[prefix] = {
        "dtype": documents[0].dtype.name,
        "lengths": data.sequence_lengths.tolist(),
        "documents": data.document_indices.tolist(),
        "tokens": np.concatenate(documents).tolist(),
        "part": data.get(1, offset=1, length=2).tolist(),
    }
print(json.dumps(found))
"""


def small_lake(folder: Path, documents: dict[str, list[list[int]]], vocabulary_size: int = 100) -> Path:
    """Documents by source; the end of a document is id 0."""
    kind = "<u2" if vocabulary_size <= 1 << 16 else "<u4"
    rows = [
        {
            "doc_id": f"{source}-{number}",
            "source": source,
            "increment": 0,
            "shuffle_key": number,
            "weight": 1.0,
            "n_tokens": len(ids),
            "tokens": np.array(ids, kind).tobytes(),
            "tokenizer": "f" * 64,
            "text_hash": "0" * 64,
        }
        for source, texts in documents.items()
        for number, ids in enumerate(texts)
    ]
    write_deltalake(
        str(folder / "tokens"), pa.Table.from_pylist(rows, schema=TOKENS.arrow()), partition_by=TOKENS.partition_by
    )
    tokenizer = {
        "fingerprint": "f" * 64,
        "kind": "byte-level-bpe",
        "vocabulary_size": vocabulary_size,
        "end_of_document_id": 0,
        "definition": "{}",
        "sample_documents": 1,
        "sample_bytes": 1,
        **{name: [] for name in ("languages", "sample_characters", "tokens_per_word", "bytes_per_token", "held_out")},
    }
    write_deltalake(str(folder / "tokenizers"), pa.Table.from_pylist([tokenizer], schema=TOKENIZERS.arrow()))
    return folder


def test_two_documents_give_the_bytes_of_the_format(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake", {"web": [[7, 8, 0], [9, 0]]})
    export_megatron(str(lake), tmp_path / "out")
    index = (tmp_path / "out" / "web.idx").read_bytes()
    assert index.hex() == FIXTURE
    assert hashlib.sha256(index).hexdigest() == FIXTURE_HASH
    assert (tmp_path / "out" / "web.bin").read_bytes().hex() == "070008000000" + "09000000"


def test_megatron_reads_every_token_back(
    tmp_path: Path,
    two_sources: Callable[..., list[dict[str, Any]]],
    two_source_lake: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, lake = two_sources(61, 90), two_source_lake(61, 90, files=3, rows_per_group=7)
    wide = small_lake(tmp_path / "wide", {"code": [[70_000, 5, 0], [6, 7, 0]]}, vocabulary_size=80_000)
    monkeypatch.setattr(exporter, "LENGTHS_AT_ONCE", 16)
    exported = export_megatron(str(lake), tmp_path / "out")
    export_megatron(str(wide), tmp_path / "out")
    prefixes = [str(tmp_path / "out" / name) for name in ("books", "web", "code")]
    read = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_BACK, *prefixes], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout.splitlines()[-1])
    for source, prefix in zip(exported, prefixes, strict=False):
        expected = [np.frombuffer(row["tokens"], "<u2") for row in rows if row["source"] == source.source]
        back = found[prefix]
        assert back["tokens"] == np.concatenate(expected).tolist()
        assert back["lengths"] == [len(document) for document in expected]
        assert back["documents"] == list(range(len(expected) + 1))
        assert back["part"] == expected[1][1:3].tolist()
        assert back["dtype"] == "uint16"
        assert (source.documents, source.tokens) == (len(expected), sum(map(len, expected)))
    assert (found[prefixes[2]]["dtype"], found[prefixes[2]]["tokens"]) == ("int32", [70_000, 5, 0, 6, 7, 0])


def test_a_former_version_and_one_source_are_exported_alone(lake: Path, tmp_path: Path) -> None:
    whole = export_megatron(str(lake), tmp_path / "new")
    first = export_megatron(str(lake), tmp_path / "old", version=0, sources=("web",))
    table = open_tokens(str(lake), 0)
    assert first[0].tokens == table.tokens < whole[0].tokens
    ids = np.fromfile(tmp_path / "old" / "web.bin", "<u2")
    assert ids.tolist() == PartReader(table, "web", 0).read(0, table.tokens).tolist()
    manifest = json.loads((tmp_path / "old" / "manifest.json").read_text())
    assert (manifest["version"], manifest["id_type"], manifest["sources"][0]["documents"]) == (
        0,
        "uint16",
        first[0].documents,
    )
    assert sorted(path.name for path in (tmp_path / "old").iterdir()) == [
        "manifest.json",
        "tokenizer.json",
        "web.bin",
        "web.idx",
    ]


def test_a_source_with_a_name_that_is_no_file_name_gets_one(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake", {"wiki/en": [[1, 0]]})
    assert export_megatron(str(lake), tmp_path / "out")[0].prefix == "wiki%2Fen"
    assert (tmp_path / "out" / "wiki%2Fen.idx").is_file()


def test_an_export_that_failed_leaves_no_index(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake", {"web": [[1, 0]]})
    export_megatron(str(lake), tmp_path / "out")
    broken = small_lake(tmp_path / "broken", {"web": [[1, 2]]})
    with pytest.raises(ContractError):
        export_megatron(str(broken), tmp_path / "out")
    assert not (tmp_path / "out" / "web.idx").exists()


@pytest.mark.parametrize(("size", "kind"), [(65_499, "uint16"), (65_500, "int32"), (65_537, "int32")])
def test_the_type_of_ids_is_the_one_that_megatron_chooses(size: int, kind: str) -> None:
    assert id_type(size).name == kind


def test_ids_that_int32_cannot_hold_are_refused() -> None:
    with pytest.raises(UsageError, match="int32 cannot hold"):
        id_type((1 << 31) + 1)


@pytest.mark.parametrize(
    ("document", "message"),
    [([1, 2], "does not end with the id 0"), ([200, 0], "the id 200 of a vocabulary of 100")],
)
def test_what_would_be_read_as_something_else_is_refused(tmp_path: Path, document: list[int], message: str) -> None:
    lake = small_lake(tmp_path / "lake", {"web": [[1, 0], document]})
    with pytest.raises(ContractError, match=message):
        export_megatron(str(lake), tmp_path / "out")


def test_an_unknown_source_is_refused_by_name(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no source books; it has web"):
        export_megatron(str(lake), tmp_path, sources=("books",))


def test_more_sources_or_documents_than_megatron_can_number_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = small_lake(tmp_path / "lake", {"web": [[1, 0], [2, 0]], "books": [[1, 0]]})
    monkeypatch.setattr(exporter, "MOST_DOCUMENTS", 1)
    with pytest.raises(UsageError, match="source web has over 1 documents"):
        export_megatron(str(lake), tmp_path / "out", sources=("web",))
    monkeypatch.setattr(exporter, "MOST_SOURCES", 1)
    with pytest.raises(UsageError, match="has 2 sources, and Megatron blends at most 1"):
        export_megatron(str(lake), tmp_path / "out")
