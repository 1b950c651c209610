"""From gathered numbers to the page. Page texts are hostile: everything is escaped, and the page's own policy
forbids whatever would load or run."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from schemas.tables.reasons import reason_in_words
from spark_jobs.report import charts
from spark_jobs.report.duplicates import Bin, Duplicates
from spark_jobs.report.edits import Edits
from spark_jobs.report.ledger import SelectingPolicy, StageRun
from spark_jobs.report.models import Models
from spark_jobs.report.outcomes import Outcomes
from spark_jobs.report.safety import Safety
from spark_jobs.report.samples import Samples
from spark_jobs.report.signal_histograms import Histogram
from spark_jobs.report.tokens import Tokens
from spark_jobs.report.training_curve import Curve
from spark_jobs.report.training_results import Results
from spark_jobs.report.words import allowed, meaning

# Control characters are not allowed in HTML, and those that turn the direction of text could disguise what stands
# around them.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def render(
    *,
    lake: str,
    crawl: str | None,
    selecting: SelectingPolicy,
    outcomes: Outcomes,
    safety: Safety,
    histograms: tuple[Histogram, ...],
    duplicates: Duplicates,
    edits: Edits,
    samples: Samples,
    tokens: Tokens,
    models: Models,
    curve: Curve | None,
    results: Results | None,
    runs: list[StageRun],
) -> str:
    """The whole page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=showable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": "{:,}".format, "percent": percent, "duration": duration, "breakable": breakable}
    environment.globals |= {
        "allowed": allowed,
        "meaning": meaning,
        "reason_in_words": reason_in_words,
        "signal_chart": signal_chart,
        "size_chart": size_chart,
        "similarity_chart": similarity_chart,
        "line": charts.line,
        "math": math,
    }
    return environment.get_template("report.html.j2").render(
        lake=lake,
        crawl=crawl,
        selecting=selecting,
        policy=selecting.policy,
        outcomes=outcomes,
        safety=safety,
        histograms=histograms,
        duplicates=duplicates,
        edits=edits,
        samples=samples,
        tokens=tokens,
        models=models,
        curve=curve,
        results=results,
        runs=runs,
        written_at=datetime.now(UTC),
    )


def showable(value: Any) -> Any:
    return _UNSHOWABLE.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def breakable(name: str) -> Markup:
    """A name with places where a narrow screen may break it, so that it is not cut within a word."""
    return Markup(escape(showable(name)).replace("_", Markup("_<wbr>")).replace(".", Markup(".<wbr>")))


def percent(part: int, whole: int) -> str:
    """`12.3 %`; an empty whole has no shares."""
    if not whole:
        return "-"
    share = 100 * part / whole
    return "< 0.1 %" if 0 < share < 0.1 else f"{share:.1f} %"


def duration(seconds: float) -> str:
    """`0.4 s`, `1 min 5 s` or `2 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def signal_chart(histogram: Histogram) -> Markup:
    edges, rule = histogram.edges, histogram.rule
    ends = [*edges[1:], math.inf]
    labels = [
        f"from {low:.4g} to below {high:.4g}" if math.isfinite(high) else f"from {low:.4g}"
        for low, high in zip(edges, ends, strict=True)
    ]
    marks = []
    if rule.min is not None:
        marks.append((sum(edge < rule.min for edge in edges), f"min {charts.short_number(rule.min)}"))
    if rule.max is not None:
        marks.append((sum(edge <= rule.max for edge in edges), f"max {charts.short_number(rule.max)}"))
    ticks = [(i, charts.short_number(float(f"{edges[i]:.2g}"))) for i in sorted({0, len(edges) // 2, len(edges) - 1})]
    return charts.histogram(histogram.counts, labels, histogram.passes, marks, ticks)


def size_chart(bins: tuple[Bin, ...]) -> Markup:
    labels = [f"{b.low:.0f} to {b.high - 1:.0f}" for b in bins]
    shown = range(0, len(bins), max(1, len(bins) // 4))
    return charts.histogram(
        [b.count for b in bins], labels, [True] * len(bins), [], [(i, f"{bins[i].low:.0f}") for i in shown]
    )


def similarity_chart(bins: tuple[Bin, ...]) -> Markup:
    labels = [f"{b.low:.2f} to {b.high:.2f}" for b in bins]
    ticks = (
        [(0, f"{bins[0].low:.2f}"), (len(bins) // 2, f"{bins[len(bins) // 2].low:.2f}"), (len(bins), "1")]
        if len(bins) > 1
        else [(0, labels[0])]
    )
    return charts.histogram([b.count for b in bins], labels, [True] * len(bins), [], ticks)
