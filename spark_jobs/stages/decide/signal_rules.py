"""Rules on what was measured: limits on signals, and weights and buckets by their values."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import near_names
from spark_jobs.signals import SIGNALS
from spark_jobs.stages.decide.limits import require_firing, require_order

SIGNAL_OF_KEY = {signal.key: signal for signal in SIGNALS}


class SignalRule(Config):
    """Limits on one signal. A limit that is not given is the signal's default; `null` switches it off. A signal that
    was not measured rejects nothing."""

    signal: str
    """Key of the signal, such as `gopher_quality.word_count`."""
    min: float | None = None
    """A document with a lower value is rejected."""
    max: float | None = None
    """A document with a higher value is rejected."""
    name: str = ""
    """Name in `rejected_by`; the signal's key unless given."""

    @model_validator(mode="before")
    @classmethod
    def fill_from_the_signal(cls, values: Any) -> Any:
        """A rule may be written as the bare key of its signal; what is not given comes from the signal's
        declaration."""
        if isinstance(values, str):
            values = {"signal": values}
        if not isinstance(values, dict):
            return values
        signal = SIGNAL_OF_KEY.get(str(values.get("signal")))
        if signal is None:
            return values
        limits = {"min": signal.default.min, "max": signal.default.max} if signal.default is not None else {}
        return {"name": signal.key, **limits, **values}

    @field_validator("signal")
    @classmethod
    def is_a_signal(cls, key: str) -> str:
        return _known_signal(key)

    @field_validator("min", "max")
    @classmethod
    def can_fire(cls, limit: float | None, info: ValidationInfo) -> float | None:
        signal = SIGNAL_OF_KEY.get(info.data.get("signal", ""))
        if limit is not None and signal is not None and info.field_name is not None:
            require_firing(signal.key, signal.at_most, info.field_name, limit)
        return limit

    @model_validator(mode="after")
    def has_a_limit(self) -> SignalRule:
        if self.min is None and self.max is None:
            has_default = SIGNAL_OF_KEY[self.signal].default is not None
            raise ValueError(
                f"both limits of {self.signal} are off: leave the rule out"
                if has_default
                else f"{self.signal} has no default limit: give min or max"
            )
        require_order(self.min, self.max)
        return self

    @property
    def column(self) -> str:
        """Its column in the table of signals."""
        return SIGNAL_OF_KEY[self.signal].column.name

    @property
    def at_most(self) -> float | None:
        """The largest value of the signal, if there is one."""
        return SIGNAL_OF_KEY[self.signal].at_most


class WeightRule(Config):
    """Documents beyond a limit on one signal stay, with a lower (or higher) weight."""

    signal: str
    """Key of the signal, such as `toxicity.max_sentence`."""
    above: float | None = None
    """Applies to documents with a higher value."""
    below: float | None = None
    """Applies to documents with a lower value."""
    factor: float = Field(gt=0, allow_inf_nan=False)
    """What their weight is multiplied by; factors of several such rules multiply."""

    @field_validator("signal")
    @classmethod
    def is_a_signal(cls, key: str) -> str:
        return _known_signal(key)

    @model_validator(mode="after")
    def can_fire(self) -> WeightRule:
        if self.above is None and self.below is None:
            raise ValueError("give above or below")
        for name, limit, side in (("below", self.below, "min"), ("above", self.above, "max")):
            if limit is not None:
                require_firing(self.signal, SIGNAL_OF_KEY[self.signal].at_most, side, limit, called=name)
        return self

    @property
    def column(self) -> str:
        """Its column in the table of signals."""
        return SIGNAL_OF_KEY[self.signal].column.name


class BucketWeights(Config):
    """What the weight of each bucket's documents is multiplied by; 0 rejects them, as `bucket.head`, `bucket.middle`
    or `bucket.tail`."""

    head: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Below the first limit."""
    middle: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """From the first limit to below the second."""
    tail: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """From the second limit on."""


class BucketRule(Config):
    """Three buckets by the value of one signal, as CCNet makes them of perplexity (Wenzek et al. 2020,
    arXiv:1911.00359, section 3.3)."""

    signal: str = "perplexity.value"
    """Key of the signal."""
    limits: dict[str, tuple[float, float]]
    """By language, where `middle` and where `tail` begins. Documents of other languages, and those without a value,
    are in no bucket."""
    weights: BucketWeights = BucketWeights()
    """What becomes of each bucket."""

    @field_validator("signal")
    @classmethod
    def is_a_signal(cls, key: str) -> str:
        return _known_signal(key)

    @field_validator("limits")
    @classmethod
    def ascend(cls, limits: dict[str, tuple[float, float]], info: ValidationInfo) -> dict[str, tuple[float, float]]:
        signal = SIGNAL_OF_KEY.get(info.data.get("signal", ""))
        for language, (middle, tail) in limits.items():
            if not 0 < middle < tail < math.inf:
                raise ValueError(f"of {language} must be two ascending numbers above 0")
            if signal is not None and signal.at_most is not None and tail > signal.at_most:
                raise ValueError(f"of {language} must be <= {signal.at_most:g}, the largest value of {signal.key}")
        return limits

    @property
    def column(self) -> str:
        """Its column in the table of signals."""
        return SIGNAL_OF_KEY[self.signal].column.name


def _known_signal(key: str) -> str:
    if key not in SIGNAL_OF_KEY:
        raise ValueError(f"must be the key of a signal{near_names(key, SIGNAL_OF_KEY)}")
    return key
