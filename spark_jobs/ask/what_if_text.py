"""A comparison of two policies as tables of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spark_jobs.ask.terminal import printable
from spark_jobs.ask.what_if import Amount, BucketLimits, Change, Comparison, Outcome

LANGUAGES_SHOWN = 30


def comparison_text(comparison: Comparison) -> str:
    return "\n".join(_comparison_lines(comparison))


def bucket_limits_yaml(signal: str, percentiles: str, found: Sequence[BucketLimits]) -> str:
    """The key `buckets` of a policy, to paste; languages whose percentiles coincide stay comments."""
    lines = [f"# percentiles {percentiles}", "buckets:", f"  signal: {signal}", "  limits:"]
    for language in found:
        numbers = [f"{limit:.6g}" for limit in language.limits]
        usable = 0 < float(numbers[0]) < float(numbers[-1])
        lines.append(
            f"    {'' if usable else '# '}{language.language}: [{', '.join(numbers)}]  # {language.documents:,} "
            f"documents"
        )
    return "\n".join(lines)


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    before, after = comparison.before, comparison.after
    versions = ", ".join(f"{table} {version}" for table, version in comparison.versions.items() if version is not None)
    yield f"lake {comparison.lake} at versions {versions}"
    missing = [table for table, version in comparison.versions.items() if version is None]
    if missing:
        yield f"not in this lake, and taken for empty: {', '.join(missing)}"
    if comparison.unmeasured:
        yield f"measured on no document, so that no rule on it rejects: {', '.join(comparison.unmeasured)}"
    if comparison.compared_pairs:
        yield f"pairs of texts that no run has compared, and that were compared for this: {comparison.compared_pairs:,}"
    if comparison.sample < 1:
        yield "a document counts as a duplicate only of others in the sample"
    part = f", a sample of {comparison.sample:g}" if comparison.sample < 1 else ""
    yield f"records {comparison.records:,}{part}; with text {comparison.with_text:,}"
    yield ""
    yield from _table(("kept", before.policy, after.policy, "change"), list(_amounts(before.kept, after.kept)))
    yield f"gained {comparison.total.gained:,} documents, lost {comparison.total.lost:,}"
    if comparison.tokens_per_character is not None:
        yield f"tokens: by the {comparison.tokens_per_character:.3f} that this lake's tokenizer makes of a character"
    yield ""
    yield from _changes("language", comparison.languages[:LANGUAGES_SHOWN])
    if len(comparison.languages) > LANGUAGES_SHOWN:
        yield f"and {len(comparison.languages) - LANGUAGES_SHOWN:,} languages with fewer documents"
    yield ""
    yield from _changes("domain, most changed first", comparison.domains)
    # A policy compared with itself needs its rules once.
    for outcome in (before, after) if before != after else (before,):
        yield ""
        yield from _rules(outcome)


def _amounts(before: Amount, after: Amount) -> Iterator[tuple[str, ...]]:
    for name in ("documents", "words", "weighted_words", "characters", "tokens"):
        first, second = getattr(before, name), getattr(after, name)
        if first is not None and second is not None:
            share = f" ({100 * (second - first) / first:+.1f} %)" if first else ""
            yield name.replace("_", " "), f"{first:,.0f}", f"{second:,.0f}", f"{second - first:+,.0f}{share}"


def _changes(title: str, rows: Sequence[Change]) -> Iterator[str]:
    cells = [
        (
            row.name,
            f"{row.before:,}",
            f"{row.after:,}",
            f"{row.gained:,}",
            f"{row.lost:,}",
            f"{row.words_before:,}",
            f"{row.words_after:,}",
        )
        for row in rows
    ]
    yield from _table((title, "before", "after", "gained", "lost", "words before", "after"), cells)


def _rules(outcome: Outcome) -> Iterator[str]:
    if outcome.buckets:
        counts = ", ".join(f"{name} {count:,}" for name, count in outcome.buckets.items())
        yield f"{outcome.policy}: kept by bucket: {counts}"
    title = (f"rules of {outcome.policy}", "fail", "only this", "kept without it", "words without it")
    cells = [
        (rule.name, f"{rule.fail:,}", f"{rule.only:,}", f"{rule.documents_without:,}", f"{rule.words_without:,}")
        for rule in outcome.rules
    ]
    yield from _table(title, cells)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Names to the left, numbers to the right."""
    widths = [max(len(printable(row[i])) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        name, *numbers = map(printable, row)
        yield "  ".join(
            [f"{name:<{widths[0]}}", *(f"{number:>{width}}" for number, width in zip(numbers, widths[1:], strict=True))]
        ).rstrip()
    if not rows:
        yield "none"
