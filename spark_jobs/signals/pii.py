"""Personal information, counted by form alone (see `kernels/privacy/pii_patterns.py`): cheap enough for every
document, and close to what `redact_pii` takes out.

Dolma rejects documents with more than five items (Soldaini et al. 2024, arXiv:2402.00159, section 5.4): `{signal:
pii.total, max: 5}`. It is no default here, because pages of contacts are kept and redacted instead.
"""

from __future__ import annotations

from spark_jobs.kernels.privacy.pii_context import Kind
from spark_jobs.signals.signal import Signal

_SOURCE = "Headwater, after Soldaini et al. 2024, section 5.4"
_EXAMPLE = "Write to ada@example.org or call (212) 555-0142."


def _count(name: str, kind: Kind, description: str, *examples: tuple[str, int]) -> Signal:
    return Signal(
        family="pii",
        name=name,
        type="long",
        description=description,
        source=_SOURCE,
        measure=lambda view: view.pii[kind],
        default=None,
        examples=(("", 0), *examples),
    )


TOTAL = Signal(
    family="pii",
    name="total",
    type="long",
    description="items of all kinds of personal information",
    source=_SOURCE,
    measure=lambda view: sum(view.pii.values()),
    default=None,
    examples=(("", 0), (_EXAMPLE, 2)),
)

PII = (
    _count("emails", "email", "e-mail addresses", (_EXAMPLE, 1), ("git@example.org and @ada", 0)),
    _count("phones", "phone", "telephone numbers", (_EXAMPLE, 1), ("Order 2125550142 of 2024-05-17", 0)),
    _count("us_ssns", "us_ssn", "US social security numbers", ("SSN 219-09-9999", 1), ("Part 219-09-9999", 0)),
    _count(
        "credit_cards",
        "credit_card",
        "credit card numbers with a right check digit",
        ("4111 1111 1111 1111", 1),
        ("4111 1111 1111 1112", 0),
    ),
    _count(
        "ibans",
        "iban",
        "international bank account numbers with right check digits",
        ("DE89 3704 0044 0532 0130 00", 1),
        ("DE88 3704 0044 0532 0130 00", 0),
    ),
    _count(
        "ip_addresses",
        "ip_address",
        "public IP addresses",
        ("from 52.95.110.1", 1),
        ("from 192.168.0.1, version 52.95.110.1", 0),
    ),
    TOTAL,
)
