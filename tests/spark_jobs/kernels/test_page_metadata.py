import pytest

from spark_jobs.kernels.pages.page_metadata import PageMetadata, page_metadata

LINKED = """<script type="application/ld+json">{"@context": "https://schema.org", "@graph": [
  {"@type": "WebSite", "name": "Example"},
  {"@type": ["NewsArticle"], "headline": "H", "datePublished": "2024-02-29T23:30:00+01:00",
   "author": [{"@type": "Person", "name": "Ada L."}, "Bo  M."],
   "articleBody": "The river rose.
 It fell."}]}</script>"""


def test_linked_data_is_believed_before_meta_elements():
    page = f'<meta name="author" content="Nobody"><meta property="article:published_time" content="2001-01-01">{LINKED}'
    found = page_metadata(page)
    assert (found.author, found.date, found.body) == ("Ada L.; Bo M.", "2024-02-29", "The river rose. It fell.")
    assert found.kinds >= {"newsarticle", "website"}


def test_meta_elements_count_in_any_order_of_attributes_and_quotes():
    page = (
        "<meta content='A &amp; B' property='og:title'><meta name=author content=Ada>"
        '<meta content="20240131" name=date>'
    )
    assert page_metadata(page) == PageMetadata(title="A & B", author="Ada", date="2024-01-31")


def test_a_title_loses_the_name_of_its_site():
    assert (
        page_metadata("<title>Rivers of the north | Example</title><h1><span>Rivers</span> of the north</h1>").title
        == "Rivers of the north"
    )
    assert (
        page_metadata("<title>Rivers - Example</title><meta property=og:site_name content=Example>").title == "Rivers"
    )
    assert page_metadata("<title>Rivers - a history</title><h1>Menu</h1>").title == "Rivers - a history"


@pytest.mark.parametrize("day", ["2024-02-30", "0000-00-00", "yesterday", "20240230", "99999999999"])
def test_days_that_no_calendar_has_are_none(day):
    assert page_metadata(f'<meta name="date" content="{day}">').date is None


def test_addresses_are_no_authors():
    assert page_metadata('<meta name="author" content="https://example.org/ada">').author is None


@pytest.mark.parametrize(
    "page",
    [
        "",
        '<script type="application/ld+json">{"@type": "Article", "author": {"name": ["A", 5, null]}, "datePublished": '
        "5}</script>",
        '<script type="application/ld+json">[[[1]]]</script>',
        '<script type="application/ld+json">' + "[" * 100_000 + "</script>",
        '<script type="application/ld+json">' * 20_000,
        "<meta " * 100_000,
        "<h1>" * 100_000,
    ],
)
def test_metadata_of_any_page_are_found_without_an_error(page):
    assert page_metadata(page).date is None
