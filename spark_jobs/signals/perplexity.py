"""Perplexity under an n-gram model of the document's language, as in CCNet (Wenzek et al. 2020, arXiv:1911.00359,
section 3.3).

There are no default limits: perplexities compare only under one model. `corpus train perplexity` prints the
percentiles of a hold-out to choose from.
"""

from __future__ import annotations

from spark_jobs.signals.signal import Signal

PERPLEXITY_VALUE = Signal(
    family="perplexity",
    name="value",
    model="perplexity",
    type="double",
    description="perplexity of the text under the language model of its language: low for prose like the reference, "
    "high for lists and noise",
    source="Wenzek et al. 2020, section 3.3",
    measure=lambda score: score,
    default=None,
)

PERPLEXITY = (PERPLEXITY_VALUE,)
