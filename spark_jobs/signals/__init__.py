"""All signals. A new one is declared in a file of its family and listed here; column, policy key, reference and tests follow."""

from __future__ import annotations

from schemas.contract import Check
from schemas.signals import signals_table
from spark_jobs.signals.basic import BASIC
from spark_jobs.signals.c4 import C4
from spark_jobs.signals.fineweb import FINEWEB
from spark_jobs.signals.gopher_quality import GOPHER_QUALITY
from spark_jobs.signals.gopher_repetition import GOPHER_REPETITION
from spark_jobs.signals.signal import Limits, Signal, Value
from spark_jobs.text.text_view import TextView

SIGNALS: tuple[Signal, ...] = (*BASIC, *GOPHER_QUALITY, *GOPHER_REPETITION, *C4, *FINEWEB)

# One check for all: each check is a commit of its own when the table is created, and the row that breaks it is shown with its values.
_IN_RANGE = Check(name="values_in_range", condition=" AND ".join(signal.range_condition for signal in SIGNALS))

SIGNALS_TABLE = signals_table(tuple(signal.column for signal in SIGNALS), (_IN_RANGE,))


def measure(text: str) -> tuple[Value, ...]:
    """The values of all signals on one text, in the order of `SIGNALS`."""
    view = TextView(text)
    return tuple(signal.measure(view) for signal in SIGNALS)


__all__ = ["SIGNALS", "SIGNALS_TABLE", "Limits", "Signal", "Value", "measure"]
