"""The cheap pass over what may identify a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.privacy.pii_patterns import KINDS, candidates, counts, iban_checksum_holds, luhn_holds
from tests.spark_jobs.kernels.labelled_pii import labelled_texts


def found(text: str) -> list[tuple[str, str]]:
    return [(candidate.kind, text[candidate.start : candidate.end]) for candidate in candidates(text)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_in_labelled_text(kind):
    right = wrong = missed = 0
    for text, spans in labelled_texts(400, seed=3):
        here = {tuple(candidate) for candidate in candidates(text) if candidate.kind == kind}
        expected = {span for span in spans if span[2] == kind}
        right, wrong, missed = right + len(here & expected), wrong + len(here - expected), missed + len(expected - here)
    assert 2 * right / (2 * right + wrong + missed) >= 0.95, (right, wrong, missed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mailto:ada@example.org.Then", [("email", "ada@example.org")]),
        ("https://user:secret@example.org/ git@example.org:a/b logo@2x.png ada@localhost", []),
        ("https://example.org/?to=ada@example.org", [("email", "ada@example.org")]),
        ("Order 4155552671 or call 4155552671", [("phone", "4155552671")]),
        ("1784 5348469 (WhatsApp)", [("phone", "1784 5348469")]),
        ("On 2024-05-17 14 and 17.05.2024 2000-2010", []),
        ("ISBN 978-0-306-40615-7, $1,234,567.89, 10:30:22", []),
        ("SSN 123 45 6789 but part 123-45-6789 and 000-12-3456", [("us_ssn", "123 45 6789")]),
        ("4111 1111 1111 1111 12/25 and 4111 1111 1111 1112", [("credit_card", "4111 1111 1111 1111")]),
        ("DE89 3704 0044 0532 0130 00 BIC DEUT", [("iban", "DE89 3704 0044 0532 0130 00")]),
        ("version 52.95.110.1, 1.2.3.4, 1.2.3.4.5, 10.0.0.1, 203.0.113.9", []),
        ("from 52.95.110.1:80, server 1.2.3.4", [("ip_address", "52.95.110.1"), ("ip_address", "1.2.3.4")]),
        ("2001:4860:4860::8888 2001:db8::1 12:30:45", [("ip_address", "2001:4860:4860::8888")]),
    ],
)
def test_what_a_value_is_called_decides_what_it_is(text, expected):
    assert found(text) == expected


@given(st.text(alphabet="0123456789 .-()+@:ABab\n/", max_size=300))
def test_candidates_are_in_order_apart_and_within_the_text(text):
    place = 0
    for candidate in candidates(text):
        assert place <= candidate.start < candidate.end <= len(text)
        place = candidate.end
    assert sum(counts(text).values()) == len(candidates(text))


@pytest.mark.parametrize(
    "hostile",
    [
        "0" * 50_000,
        "0 " * 25_000,
        "1.1" * 20_000 + "x",
        "a@" * 25_000,
        "a.a@a." * 10_000,
        "2a01:" * 10_000,
        "DE89 " * 10_000,
        "(" * 50_000,
    ],
)
def test_hostile_texts_end_in_time(hostile):
    assert len(candidates(hostile)) <= len(hostile)


def test_checksums_are_those_of_known_numbers():
    assert luhn_holds("79927398713") and not luhn_holds("79927398710")
    assert iban_checksum_holds("GB82 WEST 1234 5698 7654 32") and not iban_checksum_holds("GB82 WEST 1234 5698 7654 33")
