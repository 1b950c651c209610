"""The vocabulary of reasons: why a record has no text, which rules can reject a document, and what becomes of it.

Contracts, report, `corpus explain` and the reference read it. The sources write reasons as plain strings; a test holds
both to each other, so a new reason is entered here with its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a record has no text: a value of `documents.extract_reason`."""

    name: str
    meaning: str
    status: str
    """`skipped`: it is no page with text, and counts as rejected by `extract.NAME`; `failed`: it should have had
    text."""
    given_by: tuple[str, ...]
    """Files under `spark_jobs/` that give it."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of a family whose rules are all known: a value in `decisions.rejected_by`."""

    name: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """The first part of a rule's name, and what its rules have in common."""

    name: str
    meaning: str
    given_by: str
    """The stage that measures what the family looks at."""
    rules: tuple[Rule, ...] = ()
    """All its rules; empty where the second part of the name is open: a language, an evaluation set, a signal."""


_PAGE_GATE = "kernels/pages/page_gate.py"
_URL_GATE = "kernels/gates/url_gate.py"
_HTTP_BODY = "kernels/archives/http_body.py"
_SANDBOX = "kernels/pages/extraction_sandbox.py"
_EXTRACT_TEXT = "stages/read/extract_text.py"


def _skipped(name: str, meaning: str, *given_by: str) -> Reason:
    return Reason(name=name, meaning=meaning, status="skipped", given_by=given_by)


def _failed(name: str, meaning: str, *given_by: str) -> Reason:
    return Reason(name=name, meaning=meaning, status="failed", given_by=given_by)


EXTRACT_REASONS: tuple[Reason, ...] = (
    _skipped("revisit", "the record only says that the page is stored with an earlier capture", _PAGE_GATE),
    _skipped(
        "quarantined", "the safety gate withheld it: a list of hashes or keywords matched", _PAGE_GATE, _EXTRACT_TEXT
    ),
    _skipped("http_status", "the server answered with another status than 200", _PAGE_GATE),
    _skipped("mime", "it is no HTML, by the declared media type or, without one, by its first bytes", _PAGE_GATE),
    _skipped("url.category", "its host or URL is in a refused category of the blocklists", _URL_GATE),
    _skipped("url.list", "its host or URL is on a list of domains and URLs", _URL_GATE),
    _skipped("url.reputation", "its domain has a lower score than the table of reputations must give", _URL_GATE),
    _skipped("url.word", "its URL holds a banned word", _URL_GATE),
    _skipped("url.soft_words", "its URL holds several words that are suspect together", _URL_GATE),
    _skipped("url.subword", "its URL, reduced to letters and digits, holds a banned string", _URL_GATE),
    _skipped("too_large", "its body is larger than a page may be", _PAGE_GATE, _HTTP_BODY),
    _skipped("empty_body", "its body is empty, or white space", _PAGE_GATE),
    _skipped("no_text", "the extractor read the page and found no text in it", _EXTRACT_TEXT),
    _failed("unreadable", "a stretch of the file is no record", _PAGE_GATE),
    _failed("truncated", "the record is cut off or damaged, and it could have been a page", _PAGE_GATE),
    _failed("bad_http", "the record should hold an HTTP response, and does not", _HTTP_BODY),
    _failed("bad_encoding", "the body's transfer or content coding cannot be undone", _HTTP_BODY),
    _failed("timeout", "extraction took longer than a page may take", _SANDBOX),
    _failed("out_of_memory", "extraction needed more memory than a page may have", _SANDBOX),
    _failed("crashed", "the extracting process ended while it read the page", _SANDBOX),
    _failed("extractor_error", "the extractor raised an error on the page", _SANDBOX),
)

OUTCOMES: dict[str, str] = {
    "kept": "no rule rejects it",
    "rejected": "at least one rule rejects it; `rejected_by` names all that do",
    "failed": "it should have had text and could not be read; no rule has looked at it",
}
"""Values of `decisions.outcome`. Every record of a crawl has exactly one of them."""

BUCKETS = ("head", "middle", "tail")
"""Values of `decisions.bucket`, from the lowest values of the policy's signal to the highest (CCNet's names)."""

OWN_FAMILIES: tuple[Family, ...] = (
    Family(
        name="extract",
        meaning="the record has no text",
        given_by="extract_text",
        rules=tuple(
            Rule(name=f"extract.{reason.name}", meaning=reason.meaning)
            for reason in EXTRACT_REASONS
            if reason.status == "skipped"
        ),
    ),
    Family(name="language", meaning="it is in none of the policy's languages, or not surely", given_by="extract_text"),
    Family(
        name="documents",
        meaning="a limit on a column of `documents`, such as its domain, date or page type",
        given_by="extract_text",
    ),
    Family(
        name="bucket",
        meaning="it is in a bucket of quality whose weight is 0",
        given_by="score_signals",
        rules=tuple(
            Rule(name=f"bucket.{bucket}", meaning=f"its value is {where}")
            for bucket, where in zip(
                BUCKETS, ("below the first limit", "between the limits", "above the second limit"), strict=True
            )
        ),
    ),
    Family(
        name="rights",
        meaning="its owner does not allow the use",
        given_by="extract_text",
        rules=(
            Rule(name="rights.robots", meaning="X-Robots-Tag or meta robots hold a directive that the policy obeys"),
            Rule(name="rights.tdm_reservation", meaning="text and data mining is reserved (TDMRep)"),
            Rule(name="rights.licence", meaning="it states none of the licences that the policy asks for"),
            Rule(name="rights.opt_out", meaning="its host or URL is on a list of those who opted out"),
        ),
    ),
    Family(
        name="decontamination",
        meaning="it holds too much of an item of the evaluation set of that name",
        given_by="decontaminate",
    ),
    Family(
        name="training",
        meaning="a training run came to harm by it",
        given_by="pretrain quarantine",
        rules=(Rule(name="training.suspect", meaning="it is held responsible for an incident of a training run"),),
    ),
    Family(
        name="duplicate",
        meaning="a document that is kept stands for it",
        given_by="the stages of stages/deduplicate",
        rules=(
            Rule(name="duplicate.url", meaning="another capture of the same page stands for it"),
            Rule(name="duplicate.exact", meaning="another document has the same text"),
            Rule(name="duplicate.near", meaning="another document has a similar text, by verified similarity"),
        ),
    ),
    Family(
        name="edit",
        meaning="what the edits leave of its text is not enough",
        given_by="assemble_corpus",
        rules=(Rule(name="edit.left_empty", meaning="the edits leave nothing of its text"),),
    ),
)
"""Families of rules that a policy has of itself, in the order of a document's way."""

SIGNAL_FAMILIES: tuple[Family, ...] = tuple(
    Family(name=name, meaning=meaning, given_by="score_signals")
    for name, meaning in (
        ("basic", "plain counts of characters, words and lines"),
        ("gopher_quality", "Gopher's rules of quality (Rae et al. 2021, appendix A.1)"),
        ("gopher_repetition", "Gopher's rules on repetition (Rae et al. 2021, table A1)"),
        ("c4", "C4's rules on lines and pages (Raffel et al. 2020)"),
        ("fineweb", "FineWeb's own rules (Penedo et al. 2024, section 3.6)"),
        ("fineweb_after_c4", "FineWeb's own rules, on what C4's line rules leave of the text"),
        ("fineweb2", "FineWeb2's rules for many languages (Penedo et al. 2025)"),
        ("refinedweb", "RefinedWeb's rules on lines (Penedo et al. 2023, section 3.2)"),
        ("dolma", "Gopher's rules as Dolma v1.5 counts them"),
        ("curator", "NeMo Curator's heuristic filters"),
        ("pii", "counts of personal information"),
        ("perplexity", "perplexity under a language model (Wenzek et al. 2020)"),
        ("quality", "a classifier of quality"),
        ("toxicity", "a classifier of toxic language"),
        ("nsfw", "a classifier of sexual content"),
        ("topic", "a classifier of topics"),
    )
)
"""Families of signals. A limit on a signal has the signal's key for a name, unless the policy gives it another."""

_RULES = {rule.name: rule.meaning for family in OWN_FAMILIES for rule in family.rules}
_FAMILIES = {family.name: family.meaning for family in (*OWN_FAMILIES, *SIGNAL_FAMILIES)}
_REASONS = {reason.name: reason.meaning for reason in EXTRACT_REASONS}


def reason_in_words(name: str) -> str:
    """What an `extract_reason` means; empty for one that an older version gave."""
    return _REASONS.get(name, "")


def rule_in_words(name: str) -> str:
    """What a rule in `rejected_by` means, or what its family does where the rest of the name is open; empty for a rule
    that a policy has named itself."""
    return _RULES.get(name) or _FAMILIES.get(name.partition(".")[0], "")


def known_reason() -> str:
    """The SQL condition that `extract_reason` is of this vocabulary."""
    return f"extract_reason IN ({_quoted(reason.name for reason in EXTRACT_REASONS)})"


def known_rules() -> str:
    """The SQL condition that each rule in `rejected_by` is known, if its family's rules are. Others are open: a policy
    may name a limit as it likes."""
    closed = [family for family in OWN_FAMILIES if family.rules]
    families = _quoted(family.name for family in closed)
    rules = _quoted(rule.name for family in closed for rule in family.rules)
    return f"forall(rejected_by, rule -> split_part(rule, '.', 1) NOT IN ({families}) OR rule IN ({rules}))"


def known_outcome() -> str:
    """The SQL condition that `outcome` is of this vocabulary."""
    return f"outcome IN ({_quoted(OUTCOMES)})"


def known_bucket() -> str:
    """The SQL condition that `bucket` is of this vocabulary; documents without one pass."""
    return f"bucket IN ({_quoted(BUCKETS)})"


def markdown() -> str:
    """The reference page."""
    lines = ["## Outcomes", "", "What becomes of a record, in `decisions.outcome`.", ""]
    lines += _rows("| outcome | meaning |", ((f"`{name}`", meaning) for name, meaning in OUTCOMES.items()))
    lines += ["## Reasons without text", "", "Values of `documents.extract_reason`; `extract_text` gives them.", ""]
    lines += _rows(
        "| reason | status | meaning | given in `spark_jobs/` by |",
        (
            (f"`{one.name}`", one.status, one.meaning, ", ".join(f"`{file}`" for file in one.given_by))
            for one in EXTRACT_REASONS
        ),
    )
    lines += ["## Families of rules", "", "The first part of a rule's name in `decisions.rejected_by`.", ""]
    lines += _rows(
        "| family | meaning | looks at what is given by |",
        ((f"`{one.name}`", one.meaning, one.given_by) for one in (*OWN_FAMILIES, *SIGNAL_FAMILIES)),
    )
    lines += [
        "## Rules of families that are complete",
        "",
        "`extract.REASON` is a rule for each reason of status `skipped`. A limit on a signal has the signal's key for "
        "a name, or the one that a policy gives it.",
        "",
    ]
    lines += _rows(
        "| rule | meaning |",
        (
            (f"`{rule.name}`", rule.meaning)
            for family in OWN_FAMILIES
            if family.name != "extract"
            for rule in family.rules
        ),
    )
    return "\n".join(lines)


def _rows(header: str, rows: Iterable[tuple[str, ...]]) -> list[str]:
    dashes = "| " + " | ".join(["---"] * (header.count("|") - 1)) + " |"
    return [header, dashes, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
