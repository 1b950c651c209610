"""What a policy would make of a lake: judged, duplicates and all, from a few columns of its tables and without
Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import Table
from schemas.plumbing.errors import NothingToDo
from schemas.tables.crawls import CRAWLS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import SIMILARITIES
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.lake.columns import LakeColumns, join_columns, lists_by_document
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.signals.basic import CHARACTER_COUNT
from spark_jobs.signals.gopher_quality import WORD_COUNT
from spark_jobs.stages.decide.decide import DUPLICATE_RULES, Source, cluster_factor, judge, sources
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.rules import Buckets, Flags, Numbers
from spark_jobs.stages.deduplicate.in_memory import Measured, decide_duplicates
from spark_jobs.stages.deduplicate.settings import Config, Settings

BATCH = 1 << 17
"""Documents judged at once; it bounds the memory of what is looked at."""
CHARACTERS = CHARACTER_COUNT.column.name
WORDS = WORD_COUNT.column.name


@dataclass(frozen=True)
class Foretold:
    """What a policy makes of n documents."""

    rules: tuple[str, ...]
    """Names of k rules: those on single documents in the policy's order, then those on duplicates."""
    against: npt.NDArray[np.bool_]
    """(n, k): which rules reject which document."""
    failed: Flags
    """Documents whose extraction failed; no rule looks at them."""
    kept: Flags
    weight: Numbers
    """Sampling weight; 0 unless kept."""
    bucket: Buckets
    """Number of the bucket, -1 for none."""
    compared: int
    """Pairs of texts that no run has compared, and that were compared for this."""


class MeasuredLake:
    """The columns that policies look at, of all crawls: a document may repeat one of another crawl."""

    def __init__(self, columns: LakeColumns, policies: Sequence[Policy], signals: Iterable[str] = ()) -> None:
        self.policies = tuple(policies)
        self._asked = columns.crawl
        self._columns = replace(columns, crawl=None, versions=columns.versions)
        self._settings = recorded_settings(self._columns)
        newest = self._settings.keep == "newest"
        needs_url = any(policy.duplicates.url for policy in policies)
        own = ("crawl", "extract_status", "language", "domain", "text_hash")
        documents = (*own, *(["url"] if needs_url else []), *(["fetched_at"] if newest else []))
        quality = () if newest else (self._settings.quality,)
        wanted = [source for policy in policies for source in sources(policy)]
        wanted += [
            Source(DOCUMENTS, documents),
            Source(SIGNALS_TABLE, tuple(dict.fromkeys((CHARACTERS, WORDS, *quality, *signals)))),
        ]
        self.rows = gather(self._columns, wanted)

    @property
    def is_asked(self) -> Flags:
        """Which rows are of the crawl that was asked for."""
        if self._asked is None:
            return np.ones(len(self.rows), bool)
        return pc.equal(self.rows["crawl"], self._asked).to_numpy()

    def foretell(self, policy: Policy) -> Foretold:
        """What the policy makes of the rows: what `corpus decide` would decide."""
        judged = [judge(policy, batch) for batch in self.rows.to_batches(max_chunksize=BATCH)]
        rules = tuple(dict.fromkeys(rule for part in judged for rule in part.rules))
        against = np.zeros((len(self.rows), len(rules) + len(DUPLICATE_RULES)), bool)
        start = 0
        for part in judged:
            places = [rules.index(rule) for rule in part.rules]
            against[start : start + len(part.failed), places] = part.against
            start += len(part.failed)
        failed, weight, bucket = (
            np.concatenate([getattr(part, name) for part in judged]) for name in ("failed", "weight", "bucket")
        )
        eligible = np.concatenate([part.eligible for part in judged])
        kinds = policy.duplicates
        settings = self._settings.model_copy(update={"exact": kinds.exact, "near": kinds.near, "url": kinds.url})
        measured = self._likeness if kinds.near or policy.rehydration else NOTHING_ALIKE
        likeness = decide_duplicates(self._documents, eligible, measured, settings)
        for row, names in likeness.kinds.items():
            against[row, [len(rules) + DUPLICATE_RULES.index(f"duplicate.{name}") for name in names]] = True
        kept = eligible & ~against[:, len(rules) :].any(axis=1)
        weight = np.where(kept, weight * cluster_factor(policy, likeness.cluster_size), 0.0)
        wanted = [place for place, rule in enumerate((*rules, *DUPLICATE_RULES)) if is_asked(policy, rule)]
        names = (*rules, *DUPLICATE_RULES)
        return Foretold(
            tuple(names[place] for place in wanted),
            against[:, wanted],
            failed,
            kept,
            weight,
            bucket,
            likeness.compared,
        )

    @cached_property
    def _documents(self) -> pa.Table:
        """The columns by which duplicates are decided."""
        ordinals = crawl_ordinals(self._columns)
        ordinal = pa.array([ordinals.get(crawl, len(ordinals)) for crawl in self.rows["crawl"].to_pylist()], pa.int32())
        if self._settings.keep == "newest":
            quality = pc.cast(self.rows["fetched_at"], pa.int64())
        else:
            quality = self.rows[self._settings.quality]
        url = self.rows["url"] if "url" in self.rows.column_names else pa.nulls(len(self.rows), pa.string())
        columns = {name: self.rows[name] for name in ("doc_id", "crawl", "text_hash")}
        return pa.table(columns | {"ordinal": ordinal, "quality": quality, "url": url})

    @cached_property
    def _likeness(self) -> Measured:
        similar = self._columns.read(SIMILARITIES, ("text", "other", "similarity", "scheme"))
        similar = similar.filter(pc.equal(similar["scheme"], self._settings.scheme))
        pairs = zip(similar["text"].to_pylist(), similar["other"].to_pylist(), strict=True)
        return Measured(
            bands=self._columns.read(BAND_INDEX, ("band", "band_key", "doc_id")),
            similarities=dict(zip(pairs, similar["similarity"].to_pylist(), strict=True)),
            shingles=self._shingles,
        )

    def _shingles(self, doc_ids: set[str]) -> Mapping[str, npt.NDArray[np.int32]]:
        signatures = self._columns.read(SIGNATURES, ("doc_id", "shingles"))
        wanted = pc.is_in(signatures["doc_id"], value_set=pa.array(sorted(doc_ids), pa.string()))
        found = signatures.filter(wanted)
        return {
            doc_id: shingles.values.to_numpy()
            for doc_id, shingles in zip(found["doc_id"].to_pylist(), found["shingles"], strict=True)
        }


NOTHING_ALIKE = Measured(
    BAND_INDEX.arrow().empty_table(),
    {},
    lambda doc_ids: {},
)
"""For policies under which similar texts make no difference."""


def is_asked(policy: Policy, rule: str) -> bool:
    """Whether the policy has the rule: those on duplicates may be off."""
    if rule not in DUPLICATE_RULES:
        return True
    return bool(getattr(policy.duplicates, rule.removeprefix("duplicate.")))


def recorded_settings(columns: LakeColumns) -> Settings:
    """How the lake's duplicates were decided last; the defaults where none were."""
    recorded = columns.newest_settings("deduplicate") or {}
    known = {key: value for key, value in recorded.items() if key in Settings.model_fields}
    kinds = {"exact": True, "near": True, "url": True, "words_per_shingle": 5}
    return Settings(**Config().model_dump() | kinds | known)


def crawl_ordinals(columns: LakeColumns) -> dict[str, int]:
    crawls = columns.read(CRAWLS, ("crawl", "ordinal"))
    return dict(zip(crawls["crawl"].to_pylist(), crawls["ordinal"].to_pylist(), strict=True))


def gather(columns: LakeColumns, wanted: Iterable[Source]) -> pa.Table:
    """One row a document, with what all sources name; one of them is `documents`."""
    merged: dict[Table, Source] = {}
    for source in wanted:
        known = merged.get(source.table, source)
        merged[source.table] = Source(
            source.table,
            tuple(dict.fromkeys((*known.columns, *source.columns))),
            known.flag or source.flag,
            source.many,
        )
    documents = merged.pop(DOCUMENTS)
    rows = columns.read(DOCUMENTS, ("doc_id", *documents.columns))
    if not len(rows):
        raise NothingToDo(f"{columns.lake}: there is no document{' in the sample' if columns.sample < 1 else ''}")
    for source in merged.values():
        found = columns.read(source.table, ("doc_id", *source.columns))
        rows = join_columns(
            rows,
            lists_by_document(found, source.columns) if source.many else found,
            source.columns,
            source.flag,
        )
    return rows.combine_chunks()
