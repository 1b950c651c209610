"""Probabilities of fastText classifiers (Joulin et al. 2017, arXiv:1607.01759).

There are no default limits: they belong to a model, and its card names them.
"""

from __future__ import annotations

from spark_jobs.signals.signal import Signal

_SENTENCES = "Soldaini et al. 2024, arXiv:2402.00159, section 3.1.3"

QUALITY_PROBABILITY = Signal(
    family="quality",
    name="probability",
    model="quality",
    type="double",
    description="probability that the text is like the reference texts rather than like random pages",
    source="Li et al. 2024, arXiv:2406.11794, section 4.4",
    measure=lambda score: score,
    default=None,
    at_most=1,
)


def _worst_sentence(kind: str) -> Signal:
    return Signal(
        family=kind,
        name="max_sentence",
        model=kind,
        type="double",
        description=f"probability of {kind} of the worst sentence",
        source=_SENTENCES,
        measure=lambda scores: scores.maximum,
        default=None,
        at_most=1,
    )


def _sentence_fraction(kind: str) -> Signal:
    return Signal(
        family=kind,
        name="sentence_fraction",
        model=kind,
        type="double",
        description=f"fraction of sentences whose probability of {kind} is above the threshold of score_signals",
        source=_SENTENCES,
        measure=lambda scores: scores.fraction,
        default=None,
        at_most=1,
    )


TOPIC_CONFIDENCE = Signal(
    family="topic",
    name="confidence",
    model="topic",
    type="double",
    description="probability of the most probable topic",
    source="Joulin et al. 2017",
    measure=lambda topic: topic.confidence,
    default=None,
    at_most=1,
)

CLASSIFIERS = (
    QUALITY_PROBABILITY,
    _worst_sentence("toxicity"),
    _sentence_fraction("toxicity"),
    _worst_sentence("nsfw"),
    _sentence_fraction("nsfw"),
    TOPIC_CONFIDENCE,
)
