"""Sentences with personal information at known places, and with what only looks like it; made here, from a seed.

Every value is drawn by the rules of its kind (checksums, ranges, telephone plans), not copied from any list, and
every sentence with a decoy says what a reader would know it by: an order number is called one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from spark_jobs.kernels.privacy.pii_context import Kind


class Labelled(NamedTuple):
    """A text and the (start, end, kind) of what identifies a person in it."""

    text: str
    spans: tuple[tuple[int, int, Kind], ...]


SENTENCES: dict[Kind, tuple[str, ...]] = {
    "email": (
        "Write to {} for the minutes.",
        "Contact: {}",
        "She answers at {}, mostly in the evening.",
        "Send your report (in English) to <{}>.",
        "E-mail:{}; telephone on request.",
        "Ihre Anfrage an {} wird beantwortet.",
        "The list is kept by {}.Thank you.",
    ),
    "phone": (
        "Call us at {} before noon.",
        "Phone: {}",
        "Tel. {} (mornings)",
        "Our office can be reached under {}, except on Sundays.",
        "Fax {}",
        "For the keys, ring {} and ask for the porter.",
        "Telefon: {} oder per Post",
        "12 Mill Lane, Riverton | {} | open daily",
    ),
    "us_ssn": (
        "Her SSN is {}.",
        "Social Security Number: {}",
        "The form gives {} as the number of the applicant.",
        "Employee {} was paid twice (SSN {}).",
    ),
    "credit_card": (
        "Card number {} expires in May.",
        "He paid with {} on Friday.",
        "Visa: {}",
        "The charge to {} was refused.",
        "Kreditkarte {} ist gesperrt.",
    ),
    "iban": (
        "Transfer the deposit to {} by Monday.",
        "IBAN: {}",
        "Bankverbindung {}, BIC auf Anfrage.",
        "IBAN {} (current account)",
    ),
    "ip_address": (
        "The request came from {} at night.",
        "IP address: {}",
        "Host {} did not answer.",
        "Blocked {} after five failed logins.",
        "ping {} took 12 ms",
        "Connections to {}:8080 are refused.",
    ),
}

DECOYS = (
    "Your order number {d10} has been shipped.",
    "Order no. {grouped_phone} is ready.",
    "Tracking number: {d12}",
    "ISBN 978-{d1}-{d3}-{d5}-{d1}",
    "ISBN-10: {d1}-{d4}-{d4}-X",
    "Please upgrade from version {small_ip} at once.",
    "Firmware {public_ip} fixes this.",
    "See section {small_ip} of the manual.",
    "Build {d2}.{d1}.{d4}.{d3} of the browser is affected.",
    "The router has the address {private_ip}.",
    "In examples we write {documentation_ip}.",
    "It was founded on {date} and closed on {date}.",
    "It costs ${thousands} or {thousands} euros.",
    "From 19{d2} to 20{d2}, {thousands} people lived there.",
    "Part number {ssn_like} fits all models.",
    "Invoice {d9} is due.",
    "Invoice {bad_card} is paid.",
    "The IMEI {bad_card} is on the box.",
    "The account {bad_iban} does not exist.",
    "The match ended 3-2, after 2-1, 1-1 and 0-1 at {time}.",
    "Follow @{word} and @{word}_{d2} for more.",
    "Install {word}@{d1}.{d1}.{d2} with the package manager.",
    "Clone git@{word}.org:{word}/{word}.git first.",
    "Mean 0.{d6}, deviation 1.{d5}, n = {thousands}",
    "Latitude {d2}.{d6}, longitude -{d2}.{d6}",
    "The pixels are {d4} x {d4}, the file is {word}@2x.png.",
    "Use {d2}:{d2}:{d2} as the start and {d1}:{d2}:{d2} as the end.",
    "Patent US {d1},{d3},{d3} and PMID {d8} describe it.",
    "The series runs 2 4 8 16 32 64 128 256 512 1024.",
    "ZIP {d5}-{d4}",
    "Its OID is 1.3.6.1.4.{d2}.{d3}.",
    "Serial {d4}-{d4}-{d4}-{d3}",
)

WORDS = ("river", "mill", "stone", "orchard", "lantern", "harbour", "meadow", "copper", "willow", "ferry")
NAMES = ("anna", "b.miller", "clara_v", "d-ortiz", "Eve.Long", "o'brien", "zo\u00eb", "info", "sales+web", "x99")


def labelled_texts(count: int, seed: int) -> list[Labelled]:
    """`count` texts of six sentences each, half of them with a decoy."""
    draw = random.Random(seed)
    return [_text(draw) for _ in range(count)]


def _text(draw: random.Random) -> Labelled:
    text, spans = "", []
    for _ in range(6):
        if draw.random() < 0.5:
            text += _decoy(draw)
        else:
            kind = draw.choice(list(SENTENCES))
            before, *after = draw.choice(SENTENCES[kind]).split("{}")
            text += before
            for rest in after:
                # Behind an IPv6 address a port would be one more group.
                value = public_ip(draw) if rest.startswith(":8080") else VALUES[kind](draw)
                spans.append((len(text), len(text) + len(value), kind))
                text += value + rest
        text += draw.choice((" ", "\n", "\n\n"))
    return Labelled(text, tuple(spans))


def email(draw: random.Random) -> str:
    domain = ".".join(
        [
            *draw.choice((("mail",), (), ())),
            draw.choice(("-".join(draw.sample(WORDS, 2)), draw.choice(WORDS))),
            draw.choice(("org", "com", "de", "co.uk", "edu", "io", "com.br", "travel")),
        ]
    )
    return f"{draw.choice(NAMES)}@{draw.choice((domain, domain, domain.upper()))}"


def phone(draw: random.Random) -> str:
    area, exchange, line = (
        draw.choice(("212", "415", "303", "617", "802", "971")),
        draw.randint(220, 989),
        digits(draw, 4),
    )
    uk, de, fr = digits(draw, 4), draw.randint(1000000, 9999999), [f"{draw.randint(10, 99)}" for _ in range(4)]
    number = draw.choice(
        (
            f"({area}) {exchange}-{line}",
            f"{area}-{exchange}-{line}",
            f"{area}.{exchange}.{line}",
            f"{area} {exchange} {line}",
            f"1-{area}-{exchange}-{line}",
            f"+1 {area} {exchange} {line}",
            f"+1{area}{exchange}{line}",
            f"+44 20 7946 {uk}",
            f"020 7946 {uk}",
            f"+49 30 {de}",
            f"030 {de}",
            f"+49 (0)30 {de}",
            f"01 {' '.join(fr)}",
            f"+33 1 {' '.join(fr)}",
            f"+55 11 9{digits(draw, 4)}-{digits(draw, 4)}",
            f"+91 98{digits(draw, 3)} {digits(draw, 5)}",
        )
    )
    return number + draw.choice(("", "", "", " ext. 12", " x305"))


def us_ssn(draw: random.Random) -> str:
    area = draw.choice([a for a in range(1, 900) if a != 666])
    return f"{area:03}-{draw.randint(1, 99):02}-{draw.randint(1, 9999):04}"


def credit_card(draw: random.Random) -> str:
    prefix, length = draw.choice(
        (
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("6011", 16),
            ("65", 16),
            ("34", 15),
            ("37", 15),
            ("3530", 16),
            ("62", 16),
        )
    )
    number = with_check_digit(prefix + digits(draw, length - len(prefix) - 1))
    parts = (4, 6, 5) if length == 15 else (4, 4, 4, 4)
    separator = draw.choice(("", " ", "-"))
    return separator.join(cut(number, parts))


def iban(draw: random.Random, fault: int = 0) -> str:
    country, length = draw.choice((("DE", 18), ("FR", 23), ("GB", 18), ("ES", 20), ("NL", 14), ("PL", 24), ("CH", 17)))
    account = digits(draw, length)
    if country in ("GB", "NL"):
        account = draw.choice(("NWBK", "ABNA", "BARC")) + account[4:]
    value = int("".join(str(int(character, 36)) for character in account + country) + "00")
    number = f"{country}{(98 - value % 97 - 2 + fault) % 97 + 2:02}{account}"
    return number if draw.random() < 0.5 else " ".join(number[i : i + 4] for i in range(0, len(number), 4))


def ip_address(draw: random.Random) -> str:
    if draw.random() < 0.3:
        return f"2a01:4f8:{draw.randint(1, 0xFFFF):x}:{draw.randint(1, 0xFFFF):x}::{draw.randint(1, 0xFFFF):x}"
    return public_ip(draw)


def public_ip(draw: random.Random) -> str:
    first = draw.choice((5, 34, 52, 81, 93, 141, 185, 212))
    return f"{first}.{draw.randint(64, 255)}.{draw.randint(0, 255)}.{draw.randint(1, 254)}"


def with_check_digit(number: str) -> str:
    """The number with the last digit that the Luhn formula asks for."""
    total = sum(sum(divmod(int(digit) * (2 if i % 2 == 0 else 1), 10)) for i, digit in enumerate(reversed(number)))
    return number + str(-total % 10)


def digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choice("0123456789") for _ in range(count))


def cut(number: str, lengths: tuple[int, ...]) -> Iterator[str]:
    place = 0
    for length in lengths:
        yield number[place : place + length]
        place += length


VALUES = {
    "email": email,
    "phone": phone,
    "us_ssn": us_ssn,
    "credit_card": credit_card,
    "iban": iban,
    "ip_address": ip_address,
}


def _decoy(draw: random.Random) -> str:
    sentence = draw.choice(DECOYS)
    card = credit_card(draw)
    fields = {
        f"d{count}": lambda count=count: str(draw.randint(1, 9)) + digits(draw, count - 1)
        for count in (1, 2, 3, 4, 5, 6, 8, 9, 10, 12)
    } | {
        "grouped_phone": lambda: f"{draw.randint(200, 999)}-{draw.randint(200, 999)}-{digits(draw, 4)}",
        "small_ip": lambda: ".".join(str(draw.randint(1, 12)) for _ in range(4)),
        "public_ip": lambda: public_ip(draw),
        "private_ip": lambda: (
            draw.choice(("192.168.", "10.20.", "172.16.", "127.0.")) + f"{draw.randint(0, 255)}.{draw.randint(1, 254)}"
        ),
        "documentation_ip": lambda: draw.choice(("192.0.2.", "198.51.100.", "203.0.113.")) + str(draw.randint(1, 254)),
        "date": lambda: draw.choice(
            (
                f"20{digits(draw, 1)}4-0{draw.randint(1, 9)}-1{digits(draw, 1)}",
                f"1{draw.randint(0, 9)}.0{draw.randint(1, 9)}.19{digits(draw, 2)}",
            )
        ),
        "thousands": lambda: f"{draw.randint(1, 99)},{digits(draw, 3)},{digits(draw, 3)}",
        "ssn_like": lambda: us_ssn(draw),
        "bad_card": lambda: card[:-1] + str((int(card[-1]) + 1) % 10),
        "bad_iban": lambda: iban(draw, fault=1),
        "time": lambda: f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}",
        "word": lambda: draw.choice(WORDS),
    }
    while (start := sentence.find("{")) >= 0:
        name = sentence[start + 1 : sentence.index("}", start)]
        sentence = sentence[:start] + fields[name]() + sentence[start + len(name) + 2 :]
    return sentence
