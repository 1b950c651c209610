"""What another policy would keep, from the measurements that the lake holds; nothing is written, and Spark is not
started."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.plumbing.errors import NothingToDo, UsageError
from schemas.tables.tokens import TOKENS
from spark_jobs.ask.foretell import CHARACTERS, WORDS, Foretold, MeasuredLake
from spark_jobs.lake.columns import LakeColumns, join_columns
from spark_jobs.signals import SIGNALS
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.recorded_policy import recorded_policy
from spark_jobs.stages.decide.rules import BUCKETS, Flags

DOMAINS_SHOWN = 20


@dataclass(frozen=True)
class Amount:
    """Documents and what they hold; weighted words count as often as sampling weights repeat them, tokens are
    estimated."""

    documents: int
    words: int
    weighted_words: float
    characters: int
    tokens: int | None


@dataclass(frozen=True)
class RuleEffect:
    """A rule under its policy: documents that fail it, those that fail no other, and what would be kept if these
    were kept too. That those may then stand for others, or repeat them, is left out of account."""

    name: str
    fail: int
    only: int
    documents_without: int
    words_without: int


@dataclass(frozen=True)
class Outcome:
    """What a policy makes of the documents."""

    policy: str
    kept: Amount
    rejected: int
    failed: int
    buckets: dict[str, int]
    """Kept documents by bucket."""
    rules: tuple[RuleEffect, ...]
    """The rule that most documents fail comes first."""


@dataclass(frozen=True)
class Change:
    """Documents and words of a language or a domain that each policy keeps; gained are those that only the second
    does."""

    name: str
    before: int
    after: int
    gained: int
    lost: int
    words_before: int
    words_after: int


@dataclass(frozen=True)
class Comparison:
    """Two policies on the same documents."""

    lake: str
    versions: dict[str, int | None]
    """Version of each table that was looked at; None where the lake has none, which counts as empty."""
    unmeasured: tuple[str, ...]
    """Signals and columns of documents that a policy looks at and no document has a value of: what waits for them
    rejects nothing."""
    sample: float
    records: int
    with_text: int
    tokens_per_character: float | None
    compared_pairs: int
    """Pairs of texts that no run has compared, and that were compared for this answer."""
    before: Outcome
    after: Outcome
    total: Change
    languages: tuple[Change, ...]
    domains: tuple[Change, ...]


@dataclass(frozen=True)
class BucketLimits:
    """Percentiles of one language's values."""

    language: str
    limits: tuple[float, ...]
    documents: int


def compare(columns: LakeColumns, before: Policy, after: Policy) -> Comparison:
    """Decide on every document by both policies, duplicates included. Raises `NothingToDo` where the lake has no
    document."""
    lake = MeasuredLake(columns, (before, after))
    per_character = tokens_per_character(columns, lake.rows)
    # Documents of other crawls take part in deciding on duplicates, and are not shown.
    shown = lake.is_asked
    first, second = lake.foretell(before), lake.foretell(after)
    rows = lake.rows.filter(pa.array(shown))
    if not len(rows):
        raise NothingToDo(f"{columns.lake}: there is no document of crawl {columns.crawl}")
    sizes = _Sizes(rows, per_character)
    kept = first.kept[shown], second.kept[shown]
    looked_at = {
        key: column
        for policy in (before, after)
        for key, column in zip(policy.signal_keys, policy.signal_columns, strict=True)
    }
    looked_at |= {
        f"documents.{rule.column}": rule.column
        for rule in (*before.column_rules, *after.column_rules)
        if rule.missing == "pass"
    }
    return Comparison(
        lake=columns.lake,
        versions=dict(sorted(columns.versions.items())),
        unmeasured=tuple(key for key, column in looked_at.items() if rows[column].null_count == len(rows)),
        sample=columns.sample,
        records=len(rows),
        with_text=pc.sum(pc.equal(rows["extract_status"], "extracted")).as_py(),
        tokens_per_character=per_character,
        compared_pairs=max(first.compared, second.compared),
        before=_outcome(before, first, shown, sizes),
        after=_outcome(after, second, shown, sizes),
        total=changes(pa.repeat("all", len(rows)), *kept, sizes.words)[0],
        languages=changes(pc.fill_null(rows["language"], "none found"), *kept, sizes.words),
        domains=changes(pc.fill_null(rows["domain"], "none"), *kept, sizes.words, most_changed=DOMAINS_SHOWN),
    )


def parse_percentiles(text: str) -> tuple[float, float]:
    """`0.3,0.6` as two numbers; raises `UsageError` for anything else."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low, high = 0.0, 0.0
    if not 0 < low < high < 1:
        raise UsageError(f"--percentiles {text}: must be two ascending fractions of 1, such as 0.3,0.6")
    return low, high


def bucket_limits(
    columns: LakeColumns, signal: str, percentiles: tuple[float, ...], policy: Policy | None
) -> tuple[BucketLimits, ...]:
    """Percentiles (fractions of 1) of a signal by language, over the documents that the policy keeps, its buckets
    aside, or over all with text.

    Raises `UsageError` for an unknown signal and `NothingToDo` where no document has a value.
    """
    column = next((known.column.name for known in SIGNALS if known.key == signal), None)
    if column is None:
        raise UsageError(f"--signal {signal}: there is no such signal")
    lake = MeasuredLake(columns, () if policy is None else (policy.model_copy(update={"buckets": None}),), (column,))
    shown = lake.is_asked
    for known in lake.policies:
        shown = shown & lake.foretell(known).kept
    measured = lake.rows.filter(pa.array(shown))
    measured = measured.filter(pc.and_(measured[column].is_valid(), measured["language"].is_valid()))
    if not len(measured):
        raise NothingToDo(f"no document in {columns.lake} has a value of {signal}")
    values = measured[column].to_numpy().astype(np.float64)
    languages = measured["language"].combine_chunks().dictionary_encode()
    codes = languages.indices.to_numpy()
    found = [(language, values[codes == code]) for code, language in enumerate(languages.dictionary.to_pylist())]
    return tuple(
        BucketLimits(language, tuple(map(float, np.quantile(of_it, percentiles))), len(of_it))
        for language, of_it in sorted(found, key=lambda f: f[0])
    )


def policy_of_lake(columns: LakeColumns) -> tuple[Policy, tuple[str, ...]]:
    """The policy of the newest selection in the ledger, and what of it this version cannot read. Raises `UsageError`
    where there is none."""
    selection = columns.newest_settings("select_corpus")
    if selection is None:
        raise UsageError(f"{columns.lake}: no selection is in its ledger; name two policies to compare")
    return recorded_policy(selection["policy"])


def tokens_per_character(columns: LakeColumns, measured: pa.Table) -> float | None:
    """How many tokens the lake's own tokenizer makes of a character of the documents that it has seen; None before
    it has."""
    tokens = columns.read(TOKENS, ("doc_id", "n_tokens"))
    seen = join_columns(measured.select(["doc_id", CHARACTERS]), tokens, ("n_tokens",), None).drop_null()
    characters = pc.sum(seen[CHARACTERS]).as_py()
    return pc.sum(seen["n_tokens"]).as_py() / characters if characters else None


def changes(
    names: pa.Array, before: np.ndarray, after: np.ndarray, words: np.ndarray, most_changed: int | None = None
) -> tuple[Change, ...]:
    """Sums by name over documents that one of the policies keeps, the most documents first; or the names with the
    most gained and lost."""
    encoded = (names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names).dictionary_encode()
    codes, count = encoded.indices.to_numpy(), len(encoded.dictionary)

    def total(weights: np.ndarray) -> np.ndarray:
        return np.bincount(codes, weights, count).astype(np.int64)

    sums = [total(part) for part in (before, after, after & ~before, before & ~after, before * words, after * words)]
    rows = [
        Change(name, *(int(part[code]) for part in sums)) for code, name in enumerate(encoded.dictionary.to_pylist())
    ]
    if most_changed is None:
        shown = sorted(
            (row for row in rows if row.before or row.after), key=lambda row: (-row.before, -row.after, row.name)
        )
        return tuple(shown) or (Change("all", 0, 0, 0, 0, 0, 0),)
    return tuple(
        sorted((row for row in rows if row.gained or row.lost), key=lambda row: (-row.gained - row.lost, row.name))[
            :most_changed
        ]
    )


class _Sizes:
    """Words and characters of each document; 0 where nothing was measured."""

    def __init__(self, measured: pa.Table, per_character: float | None) -> None:
        self.words = pc.fill_null(measured[WORDS], 0).to_numpy().astype(np.float64)
        self.characters = pc.fill_null(measured[CHARACTERS], 0).to_numpy().astype(np.float64)
        self.per_character = per_character

    def amount(self, kept: np.ndarray, weight: np.ndarray) -> Amount:
        characters = int(self.characters[kept].sum())
        tokens = round(characters * self.per_character) if self.per_character is not None else None
        return Amount(
            int(kept.sum()), int(self.words[kept].sum()), float((self.words * weight).sum()), characters, tokens
        )


def _outcome(policy: Policy, foretold: Foretold, shown: Flags, sizes: _Sizes) -> Outcome:
    """Counts of the documents that are shown."""
    kept, against = foretold.kept[shown], foretold.against[shown]
    amount = sizes.amount(kept, foretold.weight[shown])
    alone = against & (against.sum(axis=1, keepdims=True) == 1)
    effects = np.stack([against.sum(axis=0), alone.sum(axis=0), sizes.words @ alone], axis=1)
    rules = [
        RuleEffect(name, int(fail), int(only), amount.documents + int(only), amount.words + int(words))
        for name, (fail, only, words) in zip(foretold.rules, effects, strict=True)
        # What has no text is rejected by no choice of the policy's.
        if not name.startswith("extract.")
    ]
    failed = int(foretold.failed[shown].sum())
    bucket = foretold.bucket[shown]
    buckets = np.bincount(bucket[kept & (bucket >= 0)], minlength=len(BUCKETS))
    return Outcome(
        policy=policy.name,
        kept=amount,
        rejected=len(kept) - amount.documents - failed,
        failed=failed,
        buckets=dict(zip(BUCKETS, map(int, buckets), strict=True)) if policy.buckets is not None else {},
        rules=tuple(sorted(rules, key=lambda rule: -rule.fail)),
    )
