"""Records that must be neither kept nor shown: those that match lists of hashes or keywords of illegal material.

A match says which list it was, and never what matched. Lists come from the organisations that keep them; none is
part of this package.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.plumbing import configuration
from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import Versions, file_versions
from spark_jobs.kernels.gates.entry_lists import list_digests, read_entries
from spark_jobs.kernels.gates.keyword_search import KeywordSearch, url_words

_HEX_BYTES = {"sha256": 32, "md5": 16, "pdq": 32}


class Config(configuration.Config):
    """What the safety gate looks for. It is always on; a policy cannot turn it off. Workers need the files at the
    same paths."""

    keyword_lists: tuple[Path, ...] = ()
    """Lists of words and phrases, compared with whole words of text, title and URL."""
    min_keywords: int = Field(default=1, ge=1)
    """A document with this many different ones of them is withheld."""
    sha256_lists: tuple[Path, ...] = ()
    """Lists of SHA-256 digests of payloads, in hex."""
    md5_lists: tuple[Path, ...] = ()
    """Lists of MD5 digests of payloads, in hex."""
    pdq_lists: tuple[Path, ...] = ()
    """Lists of PDQ hashes of images, in hex."""
    pdq_max_distance: int = Field(default=31, ge=0, le=127)
    """Bits, of 256, in which an image may differ from a listed one. The default is the threshold that the PDQ README
    recommends."""
    pdq_min_quality: int = Field(default=50, ge=0, le=100)
    """Images with a lower quality, by PDQ's own measure, have hashes that say little, and are not compared. The
    default is the PDQ README's."""
    off: str | None = Field(default=None, min_length=10)
    """Switches the gate off. The reason, in words, stays in the ledger, and reports show it in red."""

    def files(self) -> tuple[Path, ...]:
        return () if self.off else (*self.sha256_lists, *self.md5_lists, *self.pdq_lists, *self.keyword_lists)


@dataclass(frozen=True, slots=True)
class Match:
    """A list that a record matched; `distance`, in bits, for images."""

    evidence: str
    list: str
    distance: int | None = None


class SafetyGate:
    """The lists of a configuration in memory."""

    def __init__(self, config: Config) -> None:
        lists = Config(off=config.off) if config.off else config
        self._sha256 = {path.name: _sorted_digests("sha256", path) for path in lists.sha256_lists}
        self._md5 = {path.name: _sorted_digests("md5", path) for path in lists.md5_lists}
        self._pdq = {path.name: _pdq_rows(path) for path in lists.pdq_lists}
        self._keywords = KeywordSearch({path.name: read_entries(path) for path in lists.keyword_lists})
        self._config = config

    @property
    def examines_payloads(self) -> bool:
        return bool(self._sha256 or self._md5 or self._pdq)

    def payload_matches(self, payload: bytes, mime: str | None) -> tuple[Match, ...]:
        """Lists of hashes that hold the payload, or an image like it."""
        matches = []
        for kind, lists in (("sha256", self._sha256), ("md5", self._md5)):
            if lists:
                digest = hashlib.new(kind, payload, usedforsecurity=False).digest()
                matches += [Match(kind, name) for name, digests in lists.items() if _holds(digests, digest)]
        return (*matches, *(self._image_matches(payload, mime) if self._pdq else ()))

    def _image_matches(self, payload: bytes, mime: str | None) -> Iterator[Match]:
        from spark_jobs.kernels.gates.image_hash import is_image, nearest_distance, pdq_hash

        hashed = pdq_hash(payload) if is_image(payload, mime) else None
        if hashed is None or hashed[1] < self._config.pdq_min_quality:
            return
        for name, rows in self._pdq.items():
            distance = nearest_distance(hashed[0], rows)
            if distance <= self._config.pdq_max_distance:
                yield Match("pdq", name, distance)

    def keyword_matches(self, url: str | None, texts: Iterable[str | None]) -> tuple[Match, ...]:
        """Lists of the keywords in URL and texts, where there are enough of them."""
        if not len(self._keywords):
            return ()
        found = self._keywords.find(url_words(url)) if url else {}
        for text in texts:
            found |= self._keywords.find(text) if text else {}
        if len(found) < self._config.min_keywords:
            return ()
        return tuple(Match("keyword", name) for name in sorted(set().union(*found.values())))


def evidence_json(matches: Iterable[Match], payload: bytes | None) -> str:
    """What `documents` keeps of a match and `screen_safety` makes rows of `quarantine` from: `{"payload_sha256":
    ..., "matches": [...]}`."""
    digest = hashlib.sha256(payload).hexdigest() if payload is not None else None
    return json.dumps({"payload_sha256": digest, "matches": [asdict(match) for match in dict.fromkeys(matches)]})


def load_safety_gate(config: Config) -> SafetyGate:
    """The gate of a configuration, its lists read once in the life of a worker and again when they change."""
    return _read_gate(config, file_versions(config.files()))


@lru_cache(maxsize=1)
def _read_gate(config: Config, versions: Versions) -> SafetyGate:
    """`versions` are those of the lists."""
    return SafetyGate(config)


def safety_lists(config: Config) -> dict[str, str]:
    """Path of each list to its SHA-256; `UsageError` in one line for one that is missing, empty, or of the same name
    as another of its kind."""
    for kind in ("keyword_lists", "sha256_lists", "md5_lists", "pdq_lists"):
        names = [path.name for path in getattr(config, kind)]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(
                f"safety.{kind}: several files are named {repeated[0]}; evidence names lists by their file's name"
            )
    return list_digests(config.files())


def _digests(kind: str, path: Path) -> Iterator[bytes]:
    """The first word of each line, which some lists follow with a file name or a quality."""
    width = 2 * _HEX_BYTES[kind]
    for number, entry in enumerate(read_entries(path), 1):
        word = re.split(r"[,;\s]", entry, maxsplit=1)[0]
        try:
            if len(word) != width:
                raise ValueError
            yield bytes.fromhex(word)
        except ValueError:
            raise UsageError(f"{path}: entry {number} is not {width} hexadecimal digits") from None


def _sorted_digests(kind: str, path: Path) -> NDArray[np.bytes_]:
    # Beside Python's own sets this takes a quarter of the memory, and lists have millions of entries.
    return np.sort(np.frombuffer(b"".join(_digests(kind, path)), dtype=f"S{_HEX_BYTES[kind]}"))


def _holds(digests: NDArray[np.bytes_], digest: bytes) -> bool:
    # NumPy takes zero bytes at the end for padding, on both sides alike; as all digests have one length, comparison
    # stays exact.
    wanted = np.array([digest], dtype=digests.dtype)
    place = int(np.searchsorted(digests, wanted)[0])
    return place < len(digests) and bool(digests[place] == wanted[0])


def _pdq_rows(path: Path) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(_digests("pdq", path)), dtype=np.uint64).reshape(-1, 4)
