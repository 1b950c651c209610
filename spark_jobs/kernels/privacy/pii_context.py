"""The words before a number that say what it is: `phone`, `SSN` and `IP` speak for it, `order`, `ISBN` and `version`
against it.

A number alone is ambiguous: ten digits are a telephone number or an order, four small ones with dots an address or a
release. People name their numbers, so the words shortly before one on its line decide, the nearest word first.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

type Kind = Literal["email", "phone", "us_ssn", "credit_card", "iban", "ip_address"]

REACH = 48
"""Characters before a number in which its name is looked for; a label such as `Toll-free customer service number:`
fits."""
CLOSE = 24
"""The same for digits without the form of what they may be."""

_FOR: dict[Kind, tuple[str, ...]] = {
    "phone": (
        r"t[e\u00e9]l\.?|t[e\u00e9]l[e\u00e9](?:ph|f)on[eio]?|telefoon|telefax|fax|fono|puhelin|handy|m[o\u00f3]vil|celular",
        r"(?:cell|mobile|smart)?phones?|ph|mobile?|mobil|cell|call(?:ing)?|dial(?:ing)?|ring|text|sms|hotline"
        r"|helpline|whatsapp|toll[ -]free",
        r"(?:my|his|her|our|your|their) (?:new |old |direct |home |work |office )?numbers?|reach "
        r"(?:me|us|him|her|them)(?: at| on)?",
        r"\u0442\u0435\u043b(?:\u0435\u0444\u043e\u043d)?|\u7535\u8bdd|\u96fb\u8a71",
    ),
    "us_ssn": (r"ssn|social security|social|ss ?#|tax(?:payer)? id|tin|itin",),
    "credit_card": (
        r"cards?|visa|mastercard|amex|american "
        r"express|discover|diners|maestro|unionpay|jcb|cc|karte|kreditkarte|carte|tarjeta",
    ),
    "ip_address": (
        r"ips?|ipv[46]|address(?:es)?|dns|servers?|hosts?|hosted "
        r"at|ping(?:ed|ing)?|gateway|router|client|proxy|subnet|netmask|resolver|nameserver",
        r"(?:connections?|requests?|visits?|traffic|access(?:ed)?|log(?:ged)? ?in|login|attacks?|calls?|hits?|mail) "
        r"from|connect(?:ed)? to|resolve[sd]? to",
        r"network|vpn|whois|traceroute|nmap|ssh|block(?:ed)?|ban(?:ned)?|visitor",
    ),
}

_AGAINST = (
    r"orders?|order "
    r"(?:no|number|id)|invoice|isbn(?:-1[03])?|issn|ean|upc|gtin|asin|sku|part|model|serial|s/n|imei|tracking|shipment|parcel|waybill",
    r"reference|ref|tickets?|case|item|article|product|batch|lot|doi|pmid|oclc|patent|barcode|catalog(?:ue)?|figure|fig|table|pages?|pp|score",
    r"bestellung|bestellnummer|artikelnummer|rechnung|commande|pedido",
    r"versions?|ver|v|releases?|build|firmware|driver|kernel|sdk|update|upgraded?|sections?|sec|chapter|paragraph|clause|oid|rule",
    r"account|konto|zip|postcode|coordinates|lat|lon|price|total|population|since|transaction|confirmation|booking|registration|licen[cs]e|permit|docket",
    r"company|charity|vat|ein|hrb|siren|siret|abn|acn|nif|cif|cnpj|id",
)


def verdict(kind: Kind, text: str, start: int, reach: int = REACH) -> int:
    """1 where the nearest telling word before `text[start]` in its sentence names the kind, -1 where it names
    something else, 0 where there is none."""
    # A word that the limit cuts in two is none.
    line = text.rfind("\n", max(0, start - reach - 1), start) + 1
    named = 0
    for telling in _telling_words(kind).finditer(text, max(line, start - reach), start):
        named = _MEANING[telling.lastgroup or ""]
    return named


_MEANING = {"named": 1, "other": -1, "sentence": 0}


def named_after(text: str, end: int) -> bool:
    """Whether what follows says that a telephone number ends at `end`, as in `1784 5348469 (WhatsApp)`."""
    return _named_after().match(text, end) is not None


@cache
def _named_after() -> re.Pattern[str]:
    return re.compile(
        r"[ \t]?[(,/-]? ?(?:phone|tel|telephone|fax|mobile|cell|whatsapp|toll[ -]free|home|work|office)\b",
        re.IGNORECASE,
    )


@cache
def _telling_words(kind: Kind) -> re.Pattern[str]:
    # No alternative can be relied on to come before a shorter one, so each is bounded on both sides.
    words = rf"(?<![^\W_])(?:(?P<named>{'|'.join(_FOR[kind])})|(?P<other>{'|'.join(_AGAINST)}))(?![^\W\d_])"
    # What one sentence is about says nothing of the numbers of the next.
    return re.compile(rf"{words}|(?P<sentence>[.!?][\"')]*\s+(?=(?-i:[A-Z])))", re.IGNORECASE)
