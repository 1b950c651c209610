"""Charts as inline SVG. Colours are classes of the page's style sheet, so that a chart follows light, dark and
print; drawn without a plotting library, whose output would bring its own fonts, colours and ids into the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 320, 132
_TOP, _BOTTOM = 34, 18


def histogram(
    counts: Sequence[int],
    labels: Sequence[str],
    passes: Sequence[bool],
    marks: Sequence[tuple[int, str]],
    ticks: Sequence[tuple[int, str]],
) -> Markup:
    """Bars of equal width; `marks` are limits as (bin that begins there, words), `ticks` labels below in the same form.

    A bar's height is the square root of its count, so that few stay visible beside many; each bar tells its count
    when pointed at.
    """
    width, floor = _WIDTH / max(1, len(counts)), _HEIGHT - _BOTTOM
    tallest = math.sqrt(max(counts, default=0)) or 1
    parts = []
    for i, (count, label, passing) in enumerate(zip(counts, labels, passes, strict=True)):
        if count:
            height = max(1.5, (floor - _TOP) * math.sqrt(count) / tallest)
            style = "pass" if passing else "reject"
            parts.append(_rectangle(i * width + 0.5, floor - height, width - 1, height, style, f"{label}: {count:,}"))
    parts.append(f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{floor}" y2="{floor}"/>')
    for row, (place, words) in enumerate(marks):
        x, y = place * width, 11 + 13 * row
        anchor, shift = ("end", -4) if x > _WIDTH / 2 else ("start", 4)
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 9}" y2="{floor}"/>')
        parts.append(
            f'<text class="limit-words" x="{x + shift:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
        )
    for place, words in ticks:
        x = place * width
        anchor = "start" if x < _WIDTH * 0.1 else "end" if x > _WIDTH * 0.9 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{escape(words)}</text>')
    return _svg(_WIDTH, _HEIGHT, parts, f"histogram of {sum(counts):,} in {len(counts)} bins")


def line(points: Sequence[tuple[float, float]], name: str, *, wide: bool = False) -> Markup:
    """Values over steps, with a vertical scale of round numbers that need not begin at 0; values that are no numbers
    leave a gap."""
    width, height, left, bottom = (560, 240, 46, 22) if wide else (320, 150, 46, 20)
    finite = [y for _, y in points if math.isfinite(y)]
    if not finite:
        return Markup("")
    ticks = round_ticks(min(finite), max(finite), 5 if wide else 3)
    low, high = ticks[0], ticks[-1]
    first, last = points[0][0], points[-1][0]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        return left + across * (width - left - 6), 8 + (high - y) / (high - low) * (height - bottom - 8)

    parts = []
    for tick in ticks:
        _, y = place(first, tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{short_number(tick)}</text>')
    for run in _runs_of_finite(points):
        coordinates = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in run)
        parts.append(f'<polyline class="curve" points="{coordinates}"/>')
        if len(run) == 1:
            parts.append('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="2.5"/>'.format(*place(*run[0])))
    parts.append(f'<text x="{left}" y="{height - 4}">step {short_number(first)}</text>')
    parts.append(f'<text x="{width - 4}" y="{height - 4}" text-anchor="end">{short_number(last)}</text>')
    return _svg(
        width,
        height,
        parts,
        f"{name} over {len(points)} points, from {short_number(points[0][1])} to {short_number(points[-1][1])}",
    )


def round_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` multiples of 1, 2 or 5 times a power of ten that enclose [low, high]; at least two."""
    # Values that differ by less are equal to the eye, and ticks between them soon equal in floating point.
    size = max(abs(low), abs(high))
    if size < 1e-100:
        size = 1.0
    span = high - low if high - low > 1e-6 * size else size
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / count)
    begin, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(begin, max(end, begin + 1) + 1)]


def short_number(value: float) -> str:
    """At most four digits and a unit: 1250 is `1.25k`, 0.0003 is `3e-4`."""
    if not math.isfinite(value):
        return str(value)
    if value and abs(value) < 1e-3:
        digits, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(digits):g}e{int(exponent)}"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _runs_of_finite(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _rectangle(x: float, y: float, width: float, height: float, style: str, title: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}"'
    return f'<rect class="{style}" {place}><title>{escape(title)}</title></rect>'


def _svg(width: int, height: int, parts: list[str], label: str) -> Markup:
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>')
