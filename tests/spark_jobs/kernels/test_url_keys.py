"""Which URLs are of the same page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.gates.url_keys import same_page_key


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://example.org", "example.org/"),
        ("HTTPS://WWW.Example.ORG:443/#top", "example.org/"),
        ("http://example.org:8080/a", "example.org:8080/a"),
        ("https://example.org/a/./b/../%7Eada?b=2&utm_source=x&a=1&gclid=9", "example.org/a/~ada?a=1&b=2"),
        ("https://example.org/a/..", "example.org/"),
        ("https://example.org/shop;jsessionid=0A1?PHPSESSID=7&q=caf%C3%A9", "example.org/shop?q=caf%C3%A9"),
        ("https://example.org/caf\u00e9?q=caf\u00e9", "example.org/caf%C3%A9?q=caf%C3%A9"),
        ("https://example.org/app#!/page/2", "example.org/app#!/page/2"),
        ("https://example.org/Case?Q=", "example.org/Case?Q="),
        ("https://example.org/a%2fb", "example.org/a%2Fb"),
        ("dns:example.org", None),
        ("https://[half/open", None),
        ("https://example.org:port/", None),
        ("", None),
    ],
)
def test_urls_and_their_keys(url, key):
    assert same_page_key(url) == key


@pytest.mark.parametrize(
    "other",
    ["https://example.org/b", "https://example.org/a/", "https://example.org/a?page=2", "https://m.example.org/a"],
)
def test_other_pages_have_other_keys(other):
    assert same_page_key("https://example.org/a") != same_page_key(other)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_url_is_an_error_and_a_key_is_its_own(path, query):
    key = same_page_key(f"http://example.org/{path}?{query}")
    assert key is not None
    assert same_page_key(f"http://{key}") == key
