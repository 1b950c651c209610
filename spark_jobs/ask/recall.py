"""What share of near-duplicates a number of bands and rows can find, before any run."""

from __future__ import annotations

SIMILARITIES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def expected_recall(similarity: float, bands: int, rows: int) -> float:
    """Probability that two sets of that Jaccard similarity share a bucket (Leskovec et al., Mining of Massive
    Datasets, section 3.4.2)."""
    return 1 - (1 - similarity**rows) ** bands


def steepest_similarity(bands: int, rows: int) -> float:
    """Where the curve rises most steeply, approximately; below it most pairs are missed, above it most are found
    (ibid.)."""
    return (1 / bands) ** (1 / rows)


def recall_table(bands: int, rows: int) -> str:
    """The curve as lines of text."""
    lines = [
        f"{bands} bands x {rows} rows = {bands * rows} hashes; the curve is steepest near similarity "
        f"{steepest_similarity(bands, rows):.3f}",
        "similarity  found",
    ]
    lines += [f"{similarity:>10.2f}  {expected_recall(similarity, bands, rows):>5.3f}" for similarity in SIMILARITIES]
    return "\n".join(lines)
