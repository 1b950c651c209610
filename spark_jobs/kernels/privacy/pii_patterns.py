"""Shapes of what identifies a person: a cheap pass over a text that says where an e-mail address, a telephone, card,
bank account or social security number, or an IP address can be.

One regular expression, which begins at `@` or a digit and so skips nearly all of a text, finds anchors. Only around
these the exact shapes are tried, then checksums and ranges, then the words before a number (`pii_context`). What
passes is counted as a signal, and is all that the slower recognisers of `pii` see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address
from typing import NamedTuple

from spark_jobs.kernels.privacy.pii_context import CLOSE, REACH, Kind, named_after, verdict

KINDS: tuple[Kind, ...] = ("email", "phone", "us_ssn", "credit_card", "iban", "ip_address")

_LONGEST_LOCAL_PART = 64
"""Characters before the `@` of an address: RFC 5321, section 4.5.3.1.1."""
_LONGEST_DOMAIN = 255
"""Characters after it: RFC 5321, section 4.5.3.1.2."""
_NO_MAILBOX = ("git", "hg", "svn")
"""Users that version control servers give to everybody."""
_CARD: Kind = "credit_card"
_ADDRESS: Kind = "ip_address"
_SSN: Kind = "us_ssn"
_PHONE: Kind = "phone"


class Candidate(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text that have the shape of `kind`."""

    start: int
    end: int
    kind: Kind


def candidates(text: str) -> list[Candidate]:
    """What is plausible in `text`, in order, without overlaps; of two that overlap, the kind with the stronger
    evidence stays."""
    found: list[Candidate] = []
    for anchor in _anchors().finditer(text):
        for candidate in _SEARCHES[anchor.lastgroup or ""](text, anchor.start(), anchor.end()):
            if not found or candidate.start >= found[-1].end:
                found.append(candidate)
    return found


def counts(text: str) -> dict[Kind, int]:
    """How many of each kind are plausible in `text`."""
    totals = dict.fromkeys(KINDS, 0)
    for candidate in candidates(text):
        totals[candidate.kind] += 1
    return totals


def _emails(text: str, start: int, end: int) -> Iterator[Candidate]:
    local = _local_part().search(text, max(0, start - _LONGEST_LOCAL_PART), start)
    domain = _domain().match(text, start + 1, start + 1 + _LONGEST_DOMAIN)
    if local is None or domain is None or local[0].lower() in _NO_MAILBOX:
        return
    # A password, or an identifier with an @, within a URL is no mailbox; one in its query is.
    if not _within_url().search(text, max(0, local.start() - _LONGEST_DOMAIN), local.start()):
        yield Candidate(local.start(), domain.end(), "email")


def _ibans(text: str, start: int, end: int) -> Iterator[Candidate]:
    account = _iban().match(text, start - 2)
    # White space may part the groups, so what follows may look like one more: the longest run of groups with the right
    # checksum counts.
    while account:
        if iban_checksum_holds(account[0]):
            yield Candidate(account.start(), account.end(), "iban")
            return
        shorter = max(text.rfind(" ", start, account.end()), text.rfind("-", start, account.end()))
        account = _iban().match(text, start - 2, shorter) if shorter - start > 12 else None


def _ipv6(text: str, start: int, end: int) -> Iterator[Candidate]:
    stop = end - 1 if text[end - 1] == ":" and text[end - 2] != ":" else end
    if is_public_address(text[start:stop]):
        yield Candidate(start, stop, "ip_address")


def _numbers(text: str, start: int, end: int) -> Iterator[Candidate]:
    taken: list[Candidate] = []
    # What has a checksum or a fixed form goes before telephone numbers, which can look like anything.
    for kind, pattern, is_one in (
        (_CARD, card_shape, _is_card),
        (_ADDRESS, _ipv4, _is_address),
        (_SSN, _ssn, _is_ssn),
        (_PHONE, _phone, _is_phone),
    ):
        for match in pattern().finditer(text, max(0, start - 3), end):
            apart = all(match.end() <= other.start or other.end <= match.start() for other in taken)
            if apart and is_one(text, match):
                taken.append(
                    Candidate(
                        match.start(), _with_extension(text, match.end()) if kind == _PHONE else match.end(), kind
                    )
                )
    yield from sorted(taken)


_SEARCHES = {"at": _emails, "iban": _ibans, "ipv6": _ipv6, "number": _numbers}


def _is_card(text: str, card: re.Match[str]) -> bool:
    digits = _digits(card[0])
    # 14 and 19 digits without groups are more often something else.
    is_usual = len(digits) in (15, 16) or len(card[0]) > len(digits)
    return (
        len(set(digits)) > 1
        and luhn_holds(digits)
        and verdict("credit_card", text, card.start()) >= (0 if is_usual else 1)
    )


def _is_ssn(text: str, number: re.Match[str]) -> bool:
    return verdict("us_ssn", text, number.start()) >= (0 if "-" in number[0] else 1)


def _is_address(text: str, address: re.Match[str]) -> bool:
    # Sections and releases count from 1: four small numbers are an address only where they are called one.
    looks_like_a_release = max(map(int, address[0].split("."))) < 32
    return is_public_address(address[0]) and verdict("ip_address", text, address.start()) >= (
        1 if looks_like_a_release else 0
    )


def _is_phone(text: str, phone: re.Match[str]) -> bool:
    digits = len(_digits(phone[0]))
    if not 7 <= digits <= 15 or _date().match(phone[0]) or _ipv4().match(phone[0]):
        return False
    is_formatted = bool(phone["grouped"] or phone["international"] or (phone["national"] and digits >= 9))
    said = verdict("phone", text, phone.start(), REACH if is_formatted else CLOSE)
    return said >= (0 if is_formatted else 1) or (said == 0 and named_after(text, phone.end()))


def _with_extension(text: str, end: int) -> int:
    extension = _extension().match(text, end)
    return extension.end() if extension else end


def luhn_holds(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def iban_checksum_holds(account: str) -> bool:
    """Whether the two check digits fit the account number (ISO 13616-1: the number modulo 97 is 1)."""
    plain = re.sub("[ -]", "", account)
    return (
        15 <= len(plain) <= 34
        and int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1
    )


def is_public_address(address: str) -> bool:
    """Whether the text is an IP address that is reachable from anywhere: not private, not reserved, not for
    documentation."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


@cache
def _anchors() -> re.Pattern[str]:
    between = r"[ \t.()/\u00a0\u2010-\u2015-]{1,3}"
    return re.compile(
        r"[@0-9](?:"
        r"(?P<at>(?<=[^\s@<>(){}\[\],;:\"]@)(?=[^\W_]|[^\x00-\x7f]))"
        r"|(?P<ipv6>(?<![\w:.][23])(?<=[23])[0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,7}(?:[0-9A-Fa-f]{1,4})?)(?![\w:])"
        r"|(?P<iban>(?<=[A-Z]{2}[0-9])(?<![^\W_][A-Z]{2}[0-9])[0-9][ -]?[0-9A-Z]{4}[ -]?[0-9A-Z]{4})"
        rf"|(?P<number>(?<=[0-9])(?<![\w$\u20ac\u00a3][0-9])(?:[0-9]*(?:{between}[0-9]+)+|[0-9]{{6,}})(?![\w%]))"
        r")",
        re.ASCII,
    )


@cache
def _local_part() -> re.Pattern[str]:
    letter = r"0-9A-Za-z_\u00c0-\u024f"
    return re.compile(rf"(?<![{letter}.+%-])[{letter}](?:[{letter}.+'%-]*[{letter}+-])?\Z")


@cache
def _domain() -> re.Pattern[str]:
    # A top-level domain is of one case, so that `example.org` ends before the sentence that a lost space joins to it.
    # File names have none.
    top = (
        r"(?:xn--[a-z0-9-]{2,59}"
        r"|(?!(?:png|jpe?g|gif|svg|webp|js|css)\b)[a-z]{2,24}(?![a-z0-9_-])|[A-Z]{2,24}(?![A-Za-z0-9_-]))"
    )
    return re.compile(rf"(?:[^\W_](?:(?:[^\W_]|-){{0,61}}[^\W_])?\.)+{top}")


@cache
def _within_url() -> re.Pattern[str]:
    return re.compile(r"://[^\s?=]*\Z")


@cache
def _iban() -> re.Pattern[str]:
    return re.compile(r"[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]{4}){2,7}(?:[ -]?[0-9A-Z]{1,3})?(?![0-9A-Za-z])")


@cache
def card_shape() -> re.Pattern[str]:
    """Numbers of the ranges that card schemes use (ISO/IEC 7812-1; ranges as published by the schemes), in their
    lengths and groupings."""
    mastercard = "5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720"
    others = "6011|64[4-9][0-9]|65[0-9]{2}|62[0-9]{2}|35(?:2[89]|[3-8][0-9])|50[0-9]{2}"
    sixteen = rf"(?:4[0-9]{{3}}|{mastercard}|{others})([ -]?)[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}(?:\1[0-9]{{3}})?"
    fifteen = r"3[47][0-9]{2}([ -]?)[0-9]{6}\2[0-9]{5}"
    fourteen = r"3(?:0[0-5]|[68][0-9])[0-9]([ -]?)[0-9]{6}\3[0-9]{4}"
    return re.compile(rf"(?<![0-9A-Za-z.-])(?:{sixteen}|{fifteen}|{fourteen})(?![0-9A-Za-z]|[.-][0-9])")


@cache
def _ssn() -> re.Pattern[str]:
    """Numbers that can be issued: no area 000, 666 or 9xx, no group 00, no serial 0000 (US Social Security
    Administration, randomisation rules of 2011)."""
    return re.compile(
        r"(?<![0-9A-Za-z.-])(?!000|666|9)[0-9]{3}([ -]?)(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![0-9A-Za-z]|[.-][0-9])"
    )


@cache
def _ipv4() -> re.Pattern[str]:
    number = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    return re.compile(rf"(?<![0-9A-Za-z.-])(?<![A-Za-z]/){number}(?:\.{number}){{3}}(?![0-9A-Za-z]|[.-][0-9])")


@cache
def _phone() -> re.Pattern[str]:
    dash = r"[.\u2010-\u2015-]"
    gap = r"[ \t.\u00a0\u2010-\u2015-]"
    some = rf"(?:{gap}|[/()]){{0,3}}"
    area = r"\([2-9][0-9]{2}\)"
    north_american = "|".join(
        (
            rf"{area}[ \u00a0-]?[0-9]{{3}}{gap}?[0-9]{{4}}",
            rf"[2-9][0-9]{{2}}(?:{dash}|/)[0-9]{{3}}{dash}[0-9]{{4}}",
            r"(?<![0-9][ \t])[2-9][0-9]{2}[ \u00a0][2-9][0-9]{2}[ \u00a0-][0-9]{4}(?![ \t][0-9])",
        )
    )
    # Every repetition is bounded: a page of digits is searched in linear time.
    return re.compile(
        rf"(?<![\w.@#$/=-])(?:"
        rf"(?P<international>\+[ \u00a0]?[1-9](?:{some}[0-9]){{7,14}})"
        rf"|(?P<grouped>(?:1{gap})?(?:{north_american}))"
        rf"|(?P<national>(?<![0-9][ "
        rf"\t])\(?0[1-9][0-9]{{0,4}}\)?(?:{gap}|/){{1,2}}[0-9]{{2,8}}(?:{gap}?[0-9]{{2,4}}){{1,4}})"
        rf"|(?P<bare>\(?[0-9](?:{some}[0-9]){{6,11}})"
        rf")(?![0-9A-Za-z%]|[.,][0-9])"
    )


@cache
def _date() -> re.Pattern[str]:
    """A day, or a span of years, before anything that may follow."""
    year = "(?:19|20)[0-9]{2}"
    return re.compile(
        rf"{year}([-./ ])[01]?[0-9]\1[0-3]?[0-9](?![0-9])|[0-3]?[0-9]([-./ ])[0-3]?[0-9]\2{year}(?![0-9])|{year} "
        rf"?[-\u2013] ?{year}(?![0-9])"
    )


@cache
def _extension() -> re.Pattern[str]:
    return re.compile(r"[ ,;]{0,2}(?:x|ext\.?|extension) ?[0-9]{1,6}(?![0-9A-Za-z])", re.IGNORECASE)
