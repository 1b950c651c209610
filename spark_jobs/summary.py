"""What became of the records, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.tables.emptied import LEFT_EMPTY


@dataclass(frozen=True)
class Outcome:
    """What became of the records of a crawl, or of several. records = kept + rejected + failed, always; `left_empty`
    of the kept ones are in no corpus."""

    records: int
    kept: int
    rejected: int
    failed: int
    left_empty: int

    def line(self) -> str:
        return f"records in {self.records:,} = kept {self.kept:,} + rejected {self.rejected:,} + failed {self.failed:,}"


@dataclass(frozen=True)
class Summary:
    """The outcome of the crawls that a command was about, and of the lake."""

    lake: str
    crawls: dict[str, Outcome]
    rejects_by_rule: tuple[tuple[str, int], ...]
    lake_crawls: int
    lake_kept: int
    tokens: int

    @property
    def outcome(self) -> Outcome:
        """Of all of `crawls` together."""
        sums = zip(*(astuple(outcome) for outcome in self.crawls.values()), strict=True)
        return Outcome(*map(sum, sums))

    def lines(self) -> list[str]:
        rules = [f"  {rule:<44} {count:>9,}" for rule, count in self.rejects_by_rule]
        count = dict(self.rejects_by_rule)
        kinds = ", ".join(f"{count.get(f'duplicate.{kind}', 0):,} {kind}" for kind in ("exact", "near", "url"))
        by_crawl = [f"  crawl {name}: {outcome.line()}" for name, outcome in self.crawls.items()]
        return [
            self.outcome.line(),
            *(by_crawl if len(by_crawl) > 1 else []),
            f"rejects by rule (a document may fail several){'' if rules else ': none'}",
            *rules,
            f"left empty by their edits, of the kept ({LEFT_EMPTY}): {self.outcome.left_empty:,}",
            f"duplicates: {kinds}",
            f"tokens: {self.tokens:,}",
            f"lake: {self.lake}, crawls {self.lake_crawls:,}, kept documents {self.lake_kept:,}",
        ]

    def nothing_kept(self) -> str:
        outcome = self.outcome
        if outcome.records == 0:
            return "the WARC files hold no record that could have text: no response, revisit or resource"
        often = ", ".join(f"{rule} ({count:,})" for rule, count in self.rejects_by_rule[:3])
        return (
            f"no document is kept: of {outcome.records:,} records {outcome.rejected:,} were rejected and "
            f"{outcome.failed:,} failed{'; most often by ' + often if often else ''}; "
            f"the lake at {self.lake} says why for each"
        )


def rejects_by_rule(decisions: DataFrame, crawls: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """How many documents of the crawls each rule rejects, the most frequent first."""
    rules = (
        decisions.where(F.col("crawl").isin(list(crawls)))
        .select(F.explode("rejected_by").alias("rule"))
        .groupBy("rule")
        .count()
        .orderBy(F.col("count").desc(), "rule")
    )
    return tuple((row["rule"], row["count"]) for row in rules.collect())
