"""Rules on columns of documents: what they reject, and what is said of faulty ones."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pyspark.sql import Row

from schemas.plumbing.configuration import config_json
from schemas.plumbing.errors import UsageError
from schemas.tables.documents import DOCUMENTS
from spark_jobs.ask.explain import column_verdict
from spark_jobs.stages.decide.column_rules import KIND_OF_COLUMN, NOT_FOR_RULES
from spark_jobs.stages.decide.decide import eligibility, sources
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.recorded_policy import recorded_policy
from spark_jobs.stages.decide.requirements import require_languages

TYPES = {field.name: field.type for field in DOCUMENTS.arrow()}
BÜCHER, 例え = "xn--bcher-kva.example.de", "xn--r8jz45g.jp"


def policy_of(*rules: object, **keys: object) -> Policy:
    quiet = {"duplicates": {"exact": False, "near": False}, "training": {"suspects": False}}
    return Policy.model_validate({"name": "test", "rules": rules, **quiet, **keys})


def batch_of(policy: Policy, rows: list[dict[str, object]]) -> pa.RecordBatch:
    """Rows of `documents` with text, as joined for the policy; what a row does not state is null."""
    page = {"extract_status": "extracted", "language": "en", "is_measured": True}
    columns = ["doc_id", *(name for source in sources(policy) for name in (*source.columns, source.flag) if name)]
    stated = [{"doc_id": str(i), **page, **row} for i, row in enumerate(rows)]
    arrays = [pa.array([row.get(name) for row in stated], TYPES.get(name, pa.bool_())) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, names=columns)


def rejected(policy: Policy, *rows: dict[str, object]) -> list[list[str]]:
    return [row["rejected_by"] for row in eligibility(policy, batch_of(policy, list(rows))).to_pylist()]


def passing(rule: dict[str, object], *values: object) -> list[bool]:
    """Which values of the rule's column pass."""
    return [not names for names in rejected(policy_of(rule), *({str(rule["column"]): value} for value in values))]


def test_numbers_pass_at_their_limits():
    assert passing({"column": "http_status", "min": 200, "max": 203}, 199, 200, 203, 204, None) == [
        False, True, True, False, True
    ]  # fmt: skip
    assert passing({"column": "language_score", "min": 0.5}, 0.49, 0.5, 1.0) == [False, True, True]
    assert passing({"column": "tdm_reservation", "max": 0}, 0, 1, None) == [True, False, True]
    assert passing({"column": "warc_length", "max": 2**40}, 2**40, 2**40 + 1) == [True, False]


def test_days_pass_at_their_limits_and_what_is_no_whole_day_is_missing():
    values = ("2014-12-31", "2015-01-01", "2020-06-30", "2020-07-01", "2020-06-30T23:00:00", "2021", "", None)
    assert passing({"column": "date", "min": date(2015, 1, 1), "max": "2020-06-30"}, *values) == [
        False, True, True, False, True, True, True, True
    ]  # fmt: skip
    assert passing({"column": "date", "missing": "reject"}, *values) == [True] * 5 + [False] * 3


def test_a_day_among_times_begins_at_midnight_utc_and_is_allowed_to_its_end():
    last, first = datetime(2026, 1, 31, 23, 59, 59, 999_999, UTC), datetime(2026, 1, 1, tzinfo=UTC)
    times = (first - timedelta(microseconds=1), first, last, last + timedelta(microseconds=1), None)
    expected = [False, True, True, False, True]
    assert passing({"column": "fetched_at", "min": "2026-01-01", "max": date(2026, 1, 31)}, *times) == expected
    zone = timezone(timedelta(hours=2))
    limits = {"min": datetime(2026, 1, 1), "max": datetime(2026, 2, 1, 1, 59, 59, 999_999, zone)}
    assert passing({"column": "fetched_at", **limits}, *times) == expected


def test_text_is_compared_whole():
    pages = ("article", "forum", None)
    assert passing({"column": "page_type", "any_of": ["article", "other"]}, *pages) == [True, False, True]
    assert passing({"column": "page_type", "none_of": ["article"]}, *pages) == [False, True, True]
    assert passing({"column": "page_type", "any_of": ["article"], "missing": "reject"}, *pages) == [True, False, False]
    authors = ("Ада Лавлейс", "آدا لوفلايس", "艾达", "艾达·洛夫莱斯", "ada", "Ada")
    assert passing({"column": "author", "none_of": ["Ада Лавлейс", "آدا لوفلايس", "艾达", "Ada"]}, *authors) == [
        False, False, False, True, True, False
    ]  # fmt: skip


@pytest.mark.parametrize("column", ["host", "domain"])
def test_a_star_stands_for_all_names_below_a_host_but_not_for_itself(column):
    hosts = ("example.com", "a.example.com", "b.a.example.com", "notexample.com", "com", None)
    assert passing({"column": column, "any_of": ["*.example.com"]}, *hosts) == [False, True, True, False, False, True]
    assert passing({"column": column, "none_of": ["Example.COM"]}, *hosts) == [False, True, True, True, True, True]
    assert passing({"column": column, "none_of": ["*.com"]}, *hosts) == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("bücher.example.de", BÜCHER),
        ("BÜCHER.example.de", "bücher.example.de"),
        (BÜCHER, "bücher.example.de"),
        ("*.de", "bücher.example.de"),
        ("*.bücher.example.de", f"www.{BÜCHER}"),
        ("例え.jp", 例え),
        (例え, "例え.jp"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("*.рф", "xn--e1afmkfd.xn--p1ai"),
        ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
        ("www.example.com", "www。example。com"),
        ("::1", "::1"),
    ],
)
def test_a_host_is_the_same_in_unicode_and_in_punycode(entry, host):
    assert passing({"column": "host", "any_of": [entry]}, host, "other.example") == [True, False]
    assert passing({"column": "host", "none_of": [entry]}, host, "other.example") == [False, True]


@pytest.mark.parametrize("host", ["", "a..bücher.de", "é" * 64 + ".de", ".", "*.de"])
def test_what_is_no_valid_name_of_a_host_is_none_of_any_entries(host):
    assert passing({"column": "host", "any_of": ["bücher.de", "example.com"]}, host) == [False]
    assert passing({"column": "host", "none_of": ["bücher.de", "example.com"]}, host) == [True]


def test_of_a_list_one_element_decides():
    robots = (["noai"], ["noarchive", "noindex"], ["all"], [], None)
    assert passing({"column": "robots", "none_of": ["noai", "noindex"]}, *robots) == [False, False, True, True, True]
    assert passing({"column": "robots", "any_of": ["all", "noarchive"]}, *robots) == [False, True, True, True, True]
    assert passing({"column": "robots", "none_of": ["noai"], "missing": "reject"}, *robots) == [
        False, True, True, False, False
    ]  # fmt: skip


def test_a_language_may_have_limits_of_its_own_on_a_number_and_may_switch_any_rule_off():
    limits = {"documents.language_score": {"min": 0.2}, "documents.domain": None, "documents.date": None}
    policy = policy_of(
        {"column": "language_score", "min": 0.8},
        {"column": "domain", "none_of": ["a.example"]},
        {"column": "date", "missing": "reject"},
        languages=[{"language": "en"}, {"language": "de", "limits": limits}],
    )
    page = {"language_score": 0.5, "domain": "a.example"}
    all_three = ["documents.language_score", "documents.domain", "documents.date"]
    assert rejected(policy, page, page | {"language": "de"}, page | {"language": "de", "language_score": 0.1}) == [
        all_three,
        [],
        ["documents.language_score"],
    ]


def test_only_the_columns_that_rules_name_are_read_and_each_once():
    policy = policy_of({"column": "domain", "none_of": ["a.b"]}, {"column": "language", "none_of": ["de"]})
    (documents, *_) = sources(policy)
    assert documents.columns == (
        "crawl", "extract_status", "extract_reason", "language", "language_score", "domain"
    )  # fmt: skip


def test_every_column_is_for_rules_or_is_named_as_one_that_is_not():
    assert sorted([*KIND_OF_COLUMN, *NOT_FOR_RULES]) == sorted(DOCUMENTS.column_names)
    assert not set(KIND_OF_COLUMN) & NOT_FOR_RULES


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"column": "domian", "none_of": ["a.b"]}, "column: must be a column of documents (perhaps domain"),
        ({"column": "text", "none_of": ["a"]}, "column: is no column that a rule may look at"),
        ({"column": "doc_id", "any_of": ["a"]}, "column: is no column that a rule may look at"),
        ({"column": "extract_status", "any_of": ["a"]}, "column: is no column that a rule may look at"),
        ({"column": "date", "signal": "c4.sentence_count", "min": 1}, "give signal or column, not both"),
        ({"column": "date"}, "give min or max"),
        ({"column": "domain"}, "give any_of or none_of"),
        ({"column": "domain", "any_of": []}, "give any_of or none_of"),
        ({"column": "domain", "min": 3}, "min: domain is a host's name: give any_of or none_of"),
        ({"column": "robots", "max": 3}, "max: robots is a list of texts: give any_of or none_of"),
        ({"column": "date", "any_of": ["2015-01-01"]}, "any_of: date is a day: give min or max"),
        ({"column": "http_status", "none_of": [200]}, "none_of: http_status is a number: give min or max"),
        ({"column": "date", "min": 2015}, "min: must be a day such as 2015-01-31"),
        ({"column": "date", "min": "2015-02-30"}, "min: must be a day such as 2015-01-31"),
        ({"column": "fetched_at", "min": "yesterday"}, "min: must be a time such as 2026-01-31T18:00:00Z, or a day"),
        ({"column": "http_status", "min": "ok"}, "min: must be a number"),
        ({"column": "http_status", "min": True}, "min: must be a number"),
        ({"column": "http_status", "min": float("nan")}, "min: must be >= 0 and finite"),
        ({"column": "http_status", "min": 0}, "min: can never fire: http_status is never below 0"),
        ({"column": "language_score", "max": 1}, "max: can never fire: language_score is never above 1"),
        ({"column": "licence_confidence", "min": 1.5}, "min: must be <= 1, the largest value of licence_confidence"),
        ({"column": "crawl", "missing": "reject"}, "missing: reject can never fire: crawl is never missing"),
        ({"column": "date", "min": "2020-01-01", "max": "2019-01-01"}, "min 2020-01-01 is above max 2019-01-01"),
        ({"column": "http_status", "min": 300, "max": 200}, "min 300 is above max 200"),
        ({"column": "language", "any_of": [False]}, "any_of: False must be text, in quotes where YAML takes it"),
        ({"column": "language", "any_of": "en"}, "any_of: must be a list"),
        ({"column": "language", "any_of": [""]}, "any_of: holds an empty text"),
        ({"column": "language", "any_of": ["en"], "none_of": ["en"]}, "en is in any_of and in none_of"),
        ({"column": "domain", "any_of": ["https://a.example/"]}, "https://a.example/ is no host: it must look like"),
        ({"column": "domain", "any_of": ["a.*.example"]}, "a.*.example is no host"),
        ({"column": "domain", "any_of": ["*."]}, "*. is no host"),
        ({"column": "page_type", "any_of": ["artcle"]}, "artcle is no page type (perhaps article)"),
        ({"column": "mime", "any_of": ["text/HTML"]}, "text/HTML can never be found: mime is in lower case"),
        ({"column": "domain", "any_of": ["a.b"], "name": "rights.mine"}, "rights.mine: names that begin so"),
        ({"column": "domain", "above": 3}, "above: Extra inputs are not permitted"),
        ({"signal": "c4.sentence_count", "name": "documents.x"}, "documents.x: names that begin so"),
    ],
)
def test_a_faulty_rule_is_told_in_one_line(rule, message):
    with pytest.raises(ValidationError) as raised:
        policy_of(rule)
    (fault,) = raised.value.errors()
    assert message in f"{fault['loc'][-1] if fault['loc'] else 'rules'}: {fault['msg'].removeprefix('Value error, ')}"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"documents.domain": {"min": 1}}, "documents.domain: domain is no number: null switches the rule off"),
        ({"documents.http_status": {"min": 0}}, "documents.http_status: min can never fire: http_status"),
        ({"documents.domian": None}, "documents.domian: replaces no rule of the policy (perhaps documents.domain"),
    ],
)
def test_faulty_limits_of_a_language_are_told(limits, message):
    rules = ({"column": "domain", "none_of": ["a.b"]}, {"column": "http_status", "min": 200})
    with pytest.raises(ValidationError) as raised:
        policy_of(*rules, languages=[{"language": "de", "limits": limits}])
    assert message in str(raised.value)


def test_two_rules_on_a_column_need_names():
    rules = [{"column": "domain", "none_of": ["a.b"]}, {"column": "domain", "none_of": ["*.a.b"]}]
    with pytest.raises(ValidationError, match=r"rules of the same name: documents\.domain; give each a name"):
        policy_of(*rules)
    named = policy_of(rules[0], rules[1] | {"name": "documents.below"})
    assert rejected(named, {"domain": "a.b"}, {"domain": "x.a.b"}) == [["documents.domain"], ["documents.below"]]


def test_a_language_that_the_model_does_not_know_is_an_error_in_a_rule_too():
    policy = policy_of({"column": "language", "none_of": ["deu_Latn"]})
    with pytest.raises(UsageError, match=r"policy test names language deu_Latn, .*\(perhaps de\)"):
        require_languages(policy, ["en", "de"])


def test_a_recorded_policy_with_rules_on_columns_reads_back_as_itself():
    policy = policy_of(
        {"column": "date", "min": date(2015, 1, 1)},
        {"column": "fetched_at", "max": date(2026, 1, 31), "missing": "reject"},
        {"column": "host", "any_of": ["bücher.example.de", "*.example.com"]},
        {"column": "http_status", "max": 299},
        "c4.sentence_count",
    )
    recorded = json.loads(config_json(policy))
    assert recorded_policy(recorded) == (policy, ())
    recorded["rules"][0]["column"] = "gone"
    read, lost = recorded_policy(recorded)
    assert (read.rules, lost) == (policy.rules[1:], ("rules: documents.date",))


def test_explain_tells_the_value_and_what_is_allowed():
    policy = policy_of(
        {"column": "date", "min": date(2015, 1, 1), "missing": "reject"},
        {"column": "robots", "none_of": ["noai", "noindex"]},
        {"column": "language_score", "min": 0.8, "name": "sure"},
        {"column": "host", "any_of": ["*.example.com"]},
        languages=[{"language": "de", "limits": {"sure": {"max": 0.5}, "documents.host": None}}],
    )
    document = Row(language="en", date=None, robots=["noai", "x"], language_score=0.5, host="a.example.com")
    german = Row(**(document.asDict() | {"language": "de", "robots": None}))
    told = [[column_verdict(policy, rule, row) for rule in policy.column_rules] for row in (document, german)]
    assert told == [
        [
            "missing  BREAKS documents.date: at least 2015-01-01 and not missing",
            "noai, x  BREAKS documents.robots: none of noai, noindex",
            "0.5  BREAKS sure: at least 0.8",
            "a.example.com  passes: one of *.example.com",
        ],
        [
            "missing  BREAKS documents.date: at least 2015-01-01 and not missing",
            "missing  passes: none of noai, noindex",
            "0.5  passes: at most 0.5",
            "a.example.com  passes: anything",
        ],
    ]


ROWS = st.fixed_dictionaries(
    {
        "host": st.sampled_from([None, "example.com", "www.example.com", "a.www.example.com", "bücher.de", "q.org"]),
        "date": st.one_of(st.none(), st.sampled_from(["", "2015", "x"]), st.dates().map(str)),
        "robots": st.one_of(st.none(), st.lists(st.sampled_from(["noai", "noindex", "all"]))),
        "language": st.sampled_from(["en", "de", None]),
        "warc_length": st.one_of(st.none(), st.integers(0, 10)),
    }
)


@given(
    st.lists(ROWS, max_size=12),
    st.sampled_from([("a.www.example.com",), ("*.www.example.com", "xn--bcher-kva.de")]),
    st.dates(),
    st.booleans(),
    st.integers(0, 12),
)
def test_rules_on_columns_decide_as_one_document_after_the_other_would(rows, entries, day, rejects_missing, cut):
    missing, wanted = "reject" if rejects_missing else "pass", ["*.com", "bücher.de", "q.org"][: cut % 4 or 3]
    policy = policy_of(
        {"column": "host", "none_of": entries, "any_of": wanted,
         "missing": missing},
        {"column": "date", "max": day, "missing": missing},
        {"column": "robots", "any_of": ["all", "noindex"], "missing": missing},
        {"column": "warc_length", "min": 3, "max": 7, "missing": missing},
        languages=[{"language": "en"}, {"language": "de", "limits": {"documents.warc_length": {"max": 2}}}],
    )  # fmt: skip

    def expected(row: dict) -> list[str]:
        host = row["host"] and row["host"].encode("idna").decode()

        def is_one(names) -> bool:
            names = [name.encode("idna").decode() for name in names]
            return any(host.endswith(name[1:]) if name.startswith("*") else host == name for name in names)

        try:
            published = date.fromisoformat(row["date"] or "") if row["date"] != "2015" else None
        except ValueError:
            published = None
        length, low, high = row["warc_length"], *((0, 2) if row["language"] == "de" else (3, 7))
        broken = {
            "documents.host": rejects_missing if host is None else is_one(entries) or not is_one(wanted),
            "documents.date": rejects_missing if published is None else published > day,
            "documents.robots": {"all", "noindex"}.isdisjoint(row["robots"]) if row["robots"] else rejects_missing,
            "documents.warc_length": rejects_missing if length is None else not low <= length <= high,
        }
        language = [] if row["language"] else ["language.any"]
        return language + [name for name, breaks in broken.items() if breaks]

    whole = batch_of(policy, [{"language_score": 0.9, **row} for row in rows])
    parts = (whole.slice(0, cut), whole.slice(cut))
    found = [row["rejected_by"] for part in parts for row in eligibility(policy, part).to_pylist()]
    assert found == [expected(row) for row in rows]
