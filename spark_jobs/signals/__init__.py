"""All signals. A new one is declared in a file of its family and listed here; column, policy key, reference and
tests follow."""

from __future__ import annotations

from collections.abc import Callable

from schemas.contract import Check, Column
from schemas.tables.signals import signals_table
from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.kernels.measures.words import split_words
from spark_jobs.kernels.models.model_scores import NO_SCORES, ModelScores
from spark_jobs.signals.basic import BASIC
from spark_jobs.signals.c4 import BAD_WORDS, C4
from spark_jobs.signals.classifiers import CLASSIFIERS
from spark_jobs.signals.curator import CURATOR
from spark_jobs.signals.dolma import DOLMA
from spark_jobs.signals.fineweb import FINEWEB, FINEWEB_AFTER_C4
from spark_jobs.signals.fineweb2 import FINEWEB2
from spark_jobs.signals.gopher_quality import GOPHER_QUALITY
from spark_jobs.signals.gopher_repetition import GOPHER_REPETITION
from spark_jobs.signals.perplexity import PERPLEXITY
from spark_jobs.signals.pii import PII
from spark_jobs.signals.refinedweb import REFINEDWEB
from spark_jobs.signals.signal import Limits, Signal, Value

TEXT_SIGNALS: tuple[Signal, ...] = (
    *BASIC,
    *GOPHER_QUALITY,
    *GOPHER_REPETITION,
    *C4,
    *FINEWEB,
    *FINEWEB_AFTER_C4,
    *FINEWEB2,
    *REFINEDWEB,
    *DOLMA,
    *CURATOR,
    *PII,
)
"""Counted on the text alone; never null."""

MODEL_SIGNALS: tuple[Signal, ...] = (*PERPLEXITY, *CLASSIFIERS, BAD_WORDS)
"""What a model says; null where it is not given."""

SIGNALS = (*TEXT_SIGNALS, *MODEL_SIGNALS)

# One check for all: each check is a commit of its own when the table is created, and the row that breaks it is shown
# with its values.
_IN_RANGE = Check(name="values_in_range", condition=" AND ".join(signal.range_condition for signal in SIGNALS))

TOPIC_LABEL = Column(
    name="topic_label",
    type="string",
    description="most probable topic, as the model names it; null without a topic model",
    nullable=True,
)

SIGNALS_TABLE = signals_table((*(signal.column for signal in SIGNALS), TOPIC_LABEL), (_IN_RANGE,))


def measure(
    text: str, scores: ModelScores = NO_SCORES, split: Callable[[str], list[str]] = split_words
) -> tuple[Value | str | None, ...]:
    """The values of all signals on one text, in the order of `SIGNALS`, and the topic's label; `split` makes its
    words."""
    view = TextView(text, split)
    counted = (signal.measure(view) for signal in TEXT_SIGNALS)
    return (
        *counted,
        *(_of_model(signal, scores) for signal in MODEL_SIGNALS),
        scores.topic.label if scores.topic else None,
    )


def _of_model(signal: Signal, scores: ModelScores) -> Value | None:
    score = getattr(scores, signal.model or "")
    return None if score is None else signal.measure(score)


__all__ = ["MODEL_SIGNALS", "SIGNALS", "SIGNALS_TABLE", "TEXT_SIGNALS", "Limits", "Signal", "Value", "measure"]
