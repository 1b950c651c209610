import pytest
from pydantic import ValidationError

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.gates.hashed_keys import HashedKeys
from spark_jobs.kernels.gates.url_gate import Config, UrlGate, load_url_gate, url_lists
from spark_jobs.kernels.gates.url_keys import bare_url


@pytest.fixture
def lists(tmp_path):
    """A UT1 folder, plain lists, a table and word lists, in a folder of their own."""
    files = {
        "ut1/adult/domains": "bad.example\nxn--mnchen-3ya.example\n10.0.0.1\n",
        "ut1/adult/urls": "mixed.example/bad\nwww.shop.example/item?id=7\n",
        "ut1/gambling/domains": "casino.example\nbad.example\n",
        "plain.txt": "# domains and "
        "URLs\n\nHTTPS://Listed.Example:443/\nhttp://www.paths.example/a/b/\nb\u00fccher.example\n",
        "reputation.csv": "domain,score\npoor.example,0.1\ngood.poor.example,0.9\n",
        "reputation.tsv": "poor.example\t0.1\n",
        "words.txt": "forbidden\n\u0437\u0430\u043f\u0440\u0435\u0442\n",
        "subwords.txt": "xyzzy\n",
        "soft.txt": "free\nhot\nwin\n",
        "empty.txt": "# nothing\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://bad.example/", ("url.category", "category adult")),
        ("https://WWW.deep.bad.example:8080/x?y", ("url.category", "category adult")),
        ("http://notbad.example/", None),
        ("http://bad.example.org/", None),
        ("http://m\u00fcnchen.example/", ("url.category", "category adult")),
        ("http://10.0.0.1/", ("url.category", "category adult")),
        ("http://casino.example/", ("url.category", "category gambling")),
        ("http://mixed.example/", None),
        ("http://mixed.example/bad", ("url.category", "category adult")),
        ("http://www.mixed.example/bad/page?q=1#part", ("url.category", "category adult")),
        ("http://mixed.example/badly", None),
        ("http://shop.example/item?id=7", ("url.category", "category adult")),
        ("http://shop.example/item?id=77", None),
        ("http://sub.listed.example/", ("url.list", "list plain.txt")),
        ("http://paths.example/a/b/c/d", ("url.list", "list plain.txt")),
        ("http://paths.example/a", None),
        ("http://xn--bcher-kva.example/", ("url.list", "list plain.txt")),
        ("http://poor.example/", ("url.reputation", "poor.example has 0.1")),
        ("http://a.good.poor.example/", None),
        ("http://unknown.example/", None),
        ("http://a.example/forbidden-things", ("url.word", "word forbidden")),
        ("http://a.example/unforbidden", None),
        (
            "http://a.example/%D0%B7%D0%B0%D0%BF%D1%80%D0%B5%D1%82",
            ("url.word", "word \u0437\u0430\u043f\u0440\u0435\u0442"),
        ),
        ("http://a.example/x-y_z/zy", ("url.subword", "sub-word xyzzy")),
        ("http://a.example/free", None),
        ("http://a.example/free/free", None),
        ("http://a.example/win/FREE", ("url.soft_words", "words free, win")),
        ("", None),
        ("http://", None),
        ("http://[::1", None),
        ("http://" + "a" * 70 + "\u00fc.example/", None),
    ],
)
def test_a_url_is_refused_by_the_first_list_that_names_it(lists, url, expected):
    gate = UrlGate(
        Config(
            category_folder=lists / "ut1",
            lists=(lists / "plain.txt",),
            reputation=lists / "reputation.csv",
            min_reputation=0.5,
            banned_words=(lists / "words.txt",),
            banned_subwords=(lists / "subwords.txt",),
            soft_words=(lists / "soft.txt",),
        )
    )
    refusal = gate.refusal(url)
    assert (refusal and (refusal.reason, refusal.detail)) == expected


def test_only_the_categories_that_are_named_count(lists):
    gate = UrlGate(Config(category_folder=lists / "ut1", categories=("gambling",)))
    assert gate.refusal("http://bad.example/").detail == "category gambling"
    assert gate.refusal("http://10.0.0.1/") is None


def test_a_table_with_tabs_and_no_header_is_read(lists):
    gate = UrlGate(Config(reputation=lists / "reputation.tsv", min_reputation=0.5))
    assert gate.refusal("http://poor.example/a").reason == "url.reputation"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lists": ("missing.txt",)}, r"missing\.txt: no list can be read there: No such file or directory"),
        ({"lists": ("empty.txt",)}, r"empty\.txt: the list holds no entry"),
        ({"category_folder": "."}, r"ut1/.*|no lists of categories are there"),
        ({"category_folder": "nowhere"}, r"nowhere: no lists of categories are there"),
        (
            {"category_folder": "ut1", "categories": ("adult", "adverts")},
            r"ut1: there is no category adverts; there are adult, gambling",
        ),
    ],
)
def test_a_missing_or_empty_list_is_an_error_of_one_line(lists, settings, message):
    def located(value):
        return tuple(lists / part for part in value) if isinstance(value, tuple) else lists / value

    config = Config(**{key: value if key == "categories" else located(value) for key, value in settings.items()})
    with pytest.raises(UsageError, match=message) as error:
        url_lists(config)
    assert "\n" not in str(error.value)


def test_a_broken_row_of_a_table_is_named(lists):
    (lists / "broken.csv").write_text("a.example,0.5\nb.example\n")
    with pytest.raises(UsageError, match=r"broken\.csv: row 2 is not a domain and a score"):
        UrlGate(Config(reputation=lists / "broken.csv", min_reputation=0.5))


def test_keys_that_need_each_other_are_given_together(lists):
    for settings in ({"min_reputation": 0.5}, {"reputation": lists / "reputation.csv"}, {"categories": ("adult",)}):
        with pytest.raises(ValidationError, match="need"):
            Config(**settings)


def test_the_ledger_gets_a_digest_of_every_list(lists):
    config = Config(category_folder=lists / "ut1", categories=("adult",), lists=(lists / "plain.txt",))
    found = url_lists(config)
    assert [path.removeprefix(f"{lists}/") for path in found] == ["ut1/adult/domains", "ut1/adult/urls", "plain.txt"]
    assert all(len(digest) == 64 for digest in found.values())
    assert url_lists(Config()) == {}


def test_a_configuration_without_lists_has_no_gate():
    assert load_url_gate(Config()) is None


def test_a_list_that_changes_is_read_again(tmp_path):
    opt_outs = tmp_path / "opt-outs.txt"
    opt_outs.write_text("one.example\n", encoding="utf-8")
    first = load_url_gate(Config(lists=(opt_outs,)))
    assert load_url_gate(Config(lists=(opt_outs,))) is first
    opt_outs.write_text("one.example\ntwo.example\n", encoding="utf-8")
    assert [
        gate.refusal("http://two.example/") is None for gate in (first, load_url_gate(Config(lists=(opt_outs,))))
    ] == [True, False]


def test_forms_of_one_url_are_one():
    forms = [
        "http://user:word@Example.com:8080/A/?q=1#part",
        "//example.com/a/?Q=1",
        "EXAMPLE.com./a/?q=1",
        "https://example.com/a/?q=1",
    ]
    assert {bare_url(form) for form in forms} == {"example.com/a/?q=1"}


def test_hashed_keys_find_what_they_hold_and_keep_the_first_number():
    keys = [f"host-{i}.example" for i in range(20_000)]
    table = HashedKeys([*((key, i) for i, key in enumerate(keys)), (keys[7], 9.0)])
    assert all(table.first([key]) == (key, i) for i, key in enumerate(keys[:2000]))
    assert table.first(["none", keys[7], keys[8]]) == (keys[7], 7.0)
    assert table.first(["none"]) is None
    assert HashedKeys([]).first(["none"]) is None
