import pytest

from spark_jobs.kernels.pages.rights import Rights, page_rights

BY = "https://creativecommons.org/licenses/by/4.0/"
SA = "http://creativecommons.org/licenses/by-sa/3.0/"
FILLER = "<p>Rivers run to the sea.</p>" * 50


@pytest.mark.parametrize(
    ("page", "fields", "expected"),
    [
        (f'<link rel="license" href="{BY}">', {}, ("by", "4.0", 0.95)),
        (f"<LINK HREF='{BY}' REL='copyright License'>", {}, ("by", "4.0", 0.95)),
        ("", {"link": f'<https://a.example/>; rel="next", <{BY}>; rel="license"'}, ("by", "4.0", 0.95)),
        (f'<meta name="dcterms.license" content="{SA}">', {}, ("by-sa", "3.0", 0.9)),
        (
            f'<meta name="DC.rights" content="CC0, see https://creativecommons.org/publicdomain/zero/1.0/">{FILLER}',
            {},
            ("cc0", "1.0", 0.9),
        ),
        (
            r'<script type="application/ld+json">{"license": '
            r'"https:\/\/creativecommons.org\/licenses\/by-nc-nd\/4.0\/"}</script>',
            {},
            ("by-nc-nd", "4.0", 0.9),
        ),
        (
            '{"license":{"@type":"CreativeWork","url":"https://creativecommons.org/licenses/by/2.0"}}',
            {},
            ("by", "2.0", 0.9),
        ),
        (f'<a rel="license noopener" href="{BY}">CC</a>', {}, ("by", "4.0", 0.85)),
        (f'{FILLER}<footer><a href="{BY}">CC</a></footer>{FILLER}', {}, ("by", "4.0", 0.6)),
        (f'{FILLER}<a href="https://www.creativecommons.org/licenses/by-nc/">CC</a>', {}, ("by-nc", None, 0.6)),
        (f'<p>We explain <a href="{BY}">a licence</a>.</p>{FILLER}', {}, ("by", "4.0", 0.3)),
        (
            f'<a href="https://creativecommons.org/publicdomain/mark/1.0/">PD</a>{FILLER}',
            {},
            ("publicdomain", "1.0", 0.3),
        ),
        (f'<a href="{BY}"></a> or <a href="{SA}"></a>{FILLER}', {}, ("by", "4.0", 0.15)),
        (f'<link rel=license href="{SA}">{FILLER}<footer><a href="{BY}"></a></footer>', {}, ("by-sa", "3.0", 0.95)),
        ('<a href="https://creativecommons.org/about/">about</a>', {}, (None, None, None)),
        ("creativecommons.org/licenses/xx/4.0", {}, (None, None, None)),
        ("", {}, (None, None, None)),
    ],
)
def test_a_licence_has_the_confidence_of_its_place(page, fields, expected):
    found = page_rights(f"<html>{page}</html>".encode(), fields)
    assert (found.licence, found.licence_version, found.licence_confidence) == expected


@pytest.mark.parametrize(
    ("page", "fields", "expected"),
    [
        ('<meta name="robots" content="noindex, NoAI">', {}, ("noai", "noindex")),
        ('<META CONTENT="noai noimageai" NAME=robots />', {}, ("noai", "noimageai")),
        ('<meta name="googlebot" content="noai, nosnippet">', {}, ("googlebot: noai", "googlebot: nosnippet")),
        ('<meta name="google-extended" content="noindex">', {}, ("google-extended: noindex",)),
        (
            '<meta name="robots" content="max-snippet: -1, max-image-preview:large">',
            {},
            ("max-image-preview:large", "max-snippet:-1"),
        ),
        ("", {"x-robots-tag": "noai"}, ("noai",)),
        (
            "",
            {"x-robots-tag": "otherbot: noindex, nofollow\nnoai"},
            ("noai", "otherbot: nofollow", "otherbot: noindex"),
        ),
        ("", {"x-robots-tag": "noai, gptbot: noindex"}, ("gptbot: noindex", "noai")),
        ("", {"x-robots-tag": "unavailable_after: Friday, 25-Jun-2010 15:00:00 PST"}, ("unavailable_after",)),
        ('<meta name="robots" content="all">', {"x-robots-tag": "all"}, ("all",)),
        ('<meta name="robots">', {}, None),
        ('<meta name="description" content="noai">', {}, None),
        ('<meta name="robots" content="">', {"x-robots-tag": " , "}, None),
    ],
)
def test_robots_directives_are_gathered_from_header_and_page(page, fields, expected):
    assert page_rights(page.encode(), fields).robots == expected


@pytest.mark.parametrize(
    ("page", "fields", "expected"),
    [
        (
            '<meta name="tdm-reservation" content="1"><meta name="tdm-policy" '
            'content="https://a.example/p?a=1&amp;b=2">',
            {},
            (1, "https://a.example/p?a=1&b=2"),
        ),
        ("", {"tdm-reservation": "0"}, (0, None)),
        ('<meta name="tdm-reservation" content="1">', {"tdm-reservation": "0"}, (1, None)),
        (
            '<meta name="tdm-reservation" content="0">',
            {"tdm-reservation": "1", "tdm-policy": " https://a.example/h "},
            (1, "https://a.example/h"),
        ),
        ('<meta name="tdm-reservation" content="yes">', {}, (None, None)),
    ],
)
def test_any_reservation_counts(page, fields, expected):
    found = page_rights(page.encode(), fields)
    assert (found.tdm_reservation, found.tdm_policy) == expected


def test_pages_in_utf_16_are_read_too():
    assert page_rights('\ufeff<meta name="robots" content="noai">'.encode("utf-16-le"), {}).robots == ("noai",)
    assert page_rights(b"\xfe\xff\x00", {}) == Rights()


@pytest.mark.parametrize(
    "page",
    [
        b"<meta " * 200_000,
        (b"<meta name=robots content='" + b"a:" * 2000 + b"'>") * 300,
        (b"<meta name=robots " + b"a" * 4000 + b">") * 300,
        b"<a " + b"rel=" * 1000 + b"creativecommons.org/licenses/by" * 10_000,
        b"<footer" * 100_000,
        b"\xff\xfe" + b"<" * 1_000_001,
    ],
)
@pytest.mark.timeout(60)
def test_hostile_markup_is_read_in_linear_time(page):
    page_rights(page, {"link": "<" * 100_000, "x-robots-tag": "a:" * 100_000})
