import pytest

from spark_jobs.kernels.pages.page_blocks import page_blocks, parse_page
from spark_jobs.kernels.pages.page_metadata import page_metadata
from spark_jobs.kernels.pages.page_type import PAGE_TYPES, likeliest_type, type_probabilities

ARTICLE = """<meta property="og:type" content="article">
<meta property="og:url" content="https://example.org/blog/2024/rivers-of-the-north">
<script type="application/ld+json">
{"@type": "NewsArticle", "datePublished": "2024-01-31", "author": {"name": "Ada"}}</script><h1>Rivers</h1>""" + (
    "<p>The river rose in the night, and in the morning the mill stood in it up to the second floor.</p>" * 12
)
FORUM = """<link rel="canonical" href="https://forum.example.org/t/pump-does-not-start/4711">
<script type="application/ld+json">{"@type": "DiscussionForumPosting"}</script><h1>Pump does not start</h1>""" + (
    "<div class=post><p>I tried it all, and it does not start.</p><button>Reply</button></div>" * 9
)
PRODUCT = """<meta property="og:type" content="product">
<meta property="og:url" content="https://shop.example.org/products/pump-5">
<script type="application/ld+json">{"@type": "Product", "offers": {"@type": "Offer"}}</script>
<h1>Pump 5</h1><p>$ 99.00</p>
<form><button>Add to cart</button></form><p>Shipping in two days.</p>"""


def _probabilities(page):
    return type_probabilities(page_blocks(parse_page(page)), page_metadata(page))


@pytest.mark.parametrize(("page", "expected"), [(ARTICLE, "article"), (FORUM, "forum"), (PRODUCT, "product")])
def test_pages_that_say_what_they_are_are_believed(page, expected):
    assert likeliest_type(_probabilities(page)) == expected


def test_probabilities_are_one_for_each_type_and_sum_to_one():
    likely = _probabilities("<p>a")
    assert len(likely) == len(PAGE_TYPES) - 1
    assert sum(likely) == pytest.approx(1)


def test_a_page_of_no_likely_type_is_other():
    assert likeliest_type([1 / 7] * 7) == "other"
