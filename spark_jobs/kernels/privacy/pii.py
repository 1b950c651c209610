"""Personal information in a text: presidio's recognisers, on the few characters where the cheap pass of
`pii_patterns` finds something plausible.

With all its recognisers presidio takes some 39 ms for 10,000 characters, the cheap pass 0.2 ms, and most pages have
nothing that passes it. What both agree on is found: the pass knows shapes, checksums and the words before a number,
presidio the public suffixes, the telephone plans of the world and the formats of bank accounts by country. No value
leaves this module: what is found is a place and a kind. Presidio is imported when a detector is made, not before.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from spark_jobs.kernels.privacy.pii_context import Kind
from spark_jobs.kernels.privacy.pii_patterns import KINDS, Candidate, candidates, card_shape

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer

DEFAULT_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "IN", "AU", "BR", "JP")
"""Countries whose telephone numbers are recognised as they are written at home; with a `+` those of all countries
are."""

_FORMATTED_PHONE = re.compile(r"(?:1.)?\(?[2-9][0-9]{2}\)?\D{1,2}[0-9]{3}\D?[0-9]{4}(?![0-9])")
"""The North American grouping tells enough: numbers of fiction and of examples have no valid area code."""


class Found(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text that identify a person, and how; `kind` is one of `KINDS` or
    what a model of names finds."""

    start: int
    end: int
    kind: str


class PiiDetector:
    """Presidio's recognisers of the given kinds, made once."""

    def __init__(self, kinds: Sequence[Kind] = KINDS, regions: tuple[str, ...] = DEFAULT_REGIONS) -> None:
        self._recognizers = {kind: _recognizers(kind, regions) for kind in kinds}

    def find(self, text: str) -> list[Found]:
        """What identifies a person in `text`, in order, without overlaps."""
        return [
            Found(*candidate)
            for candidate in candidates(text)
            if candidate.kind in self._recognizers and self._confirms(text, candidate)
        ]

    def _confirms(self, text: str, candidate: Candidate) -> bool:
        value = text[candidate.start : candidate.end]
        if candidate.kind == "phone" and _FORMATTED_PHONE.match(value):
            return True
        international = candidate.kind == "phone" and value.startswith("+")
        recognizers = self._recognizers[candidate.kind][:1] if international else self._recognizers[candidate.kind][-1:]
        return any(_covers(recognizer, value) for recognizer in recognizers)


def _covers(recognizer: EntityRecognizer, value: str) -> bool:
    """Whether the recogniser finds the value from its beginning, and at least most of it."""
    found = recognizer.analyze(value, recognizer.supported_entities, None)  # type: ignore[arg-type]
    return any(result.start == 0 and 2 * result.end > len(value) for result in found)


@cache
def _recognizers(kind: Kind, regions: tuple[str, ...]) -> tuple[EntityRecognizer, ...]:
    """Presidio's recognisers of a kind; of telephone numbers one for numbers with a `+`, which may be reserved ones,
    and one for the plans of the regions."""
    from presidio_analyzer import Pattern
    from presidio_analyzer.predefined_recognizers import (
        CreditCardRecognizer,
        IbanRecognizer,
        IpRecognizer,
        PhoneRecognizer,
    )

    if kind == "email":
        return (_email_recognizer(),)
    if kind == "phone":
        # Leniency 0 asks for a possible number, 1 for one that the plan of its country has.
        return PhoneRecognizer(supported_regions=regions[:1], leniency=0), PhoneRecognizer(
            supported_regions=regions, leniency=1
        )
    if kind == "us_ssn":
        return (_ssn_recognizer(),)
    if kind == "credit_card":
        # Presidio's own shape lacks the range of Mastercard that begins with 2.
        return (CreditCardRecognizer(patterns=[Pattern("card", card_shape().pattern, 0.3)]),)
    others = {"iban": IbanRecognizer, "ip_address": IpRecognizer}
    return (others[kind](),)


def _email_recognizer() -> EntityRecognizer:
    """Presidio's, with the public suffix list that tldextract carries: by default it would be fetched, or its
    absence logged, on every worker."""
    from presidio_analyzer.predefined_recognizers import EmailRecognizer
    from tldextract import TLDExtract

    suffixes = TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(EmailRecognizer):
        """Whether the domain has a public suffix, asked offline."""

        def validate_result(self, pattern_text: str) -> bool:
            return bool(suffixes(pattern_text.rpartition("@")[2]).fqdn)

    return OfflineEmailRecognizer()


def _ssn_recognizer() -> EntityRecognizer:
    """Presidio's, but for its list of well-known samples such as 123-45-6789: what is written as a social security
    number leaves the corpus."""
    from presidio_analyzer.predefined_recognizers import UsSsnRecognizer

    class AnySsnRecognizer(UsSsnRecognizer):
        """Which areas, groups and serials are never issued is checked before."""

        def invalidate_result(self, pattern_text: str) -> bool:
            return False

    return AnySsnRecognizer()


def placeholders(text: str, found: Iterable[Found], *, numbered: bool) -> list[str]:
    """What takes the place of each item: `<EMAIL>`, or `<EMAIL_2>` for the second different one of its kind in the
    text; equal values get equal numbers."""
    numbers: dict[str, dict[str, int]] = {}
    names = []
    for item in found:
        of_kind = numbers.setdefault(item.kind, {})
        number = of_kind.setdefault(_same(text[item.start : item.end], item.kind), len(of_kind) + 1)
        names.append(f"<{item.kind.upper()}_{number}>" if numbered else f"<{item.kind.upper()}>")
    return names


def _same(value: str, kind: str) -> str:
    """The value without what differs between two ways to write it."""
    if kind in ("phone", "us_ssn", "credit_card"):
        return "".join(filter(str.isdigit, value))
    return "".join(unicodedata.normalize("NFKC", value).casefold().split())
