import pytest

from spark_jobs.kernels.pages.extraction_sandbox import ExtractionSandbox
from spark_jobs.kernels.pages.main_content import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    fast_text_first,
    load_extractor,
    load_reader,
    page_size,
)
from spark_jobs.kernels.pages.page_type import PAGE_TYPES

SENTENCES = [
    f"This is paragraph {i} of an article about rivers, their sources and the mills along their banks."
    for i in range(8)
]
ARTICLE = f"""<html><head><title>Rivers | Example</title>
<meta property="og:type" content="article"><meta name="author" content="Ada">
<meta property="article:published_time" content="2024-02-29T10:00:00Z"></head>
<body><nav><a href="/">Home</a> <a href="/news">News</a></nav>
<article><h1>Rivers</h1>{"".join(f"<p>{sentence}</p>" for sentence in SENTENCES)}<pre>def flow():
    return  1</pre><ul><li>the mill, which is old</li><li>the weir, which is older</li></ul></article>
<div class="comments"><p>I like this article about rivers, and my mother does so too, she says.</p></div>
<footer>Imprint and terms of use</footer></body></html>"""
_POST = """<div class="post"><div class="username">user{0}</div>
<div class="cooked"><p>My pump number {0} does not start when it is cold, and I tried all.</p></div></div>"""
THREAD = (
    "<html><head><title>Pump does not start</title></head><body><div class=topic>"
    + "".join(_POST.format(i) for i in range(9))
    + '</div><div class="footer"><a href="/">Terms</a></div></body></html>'
)
_STEP = """<h2>Step {0}: how to start it</h2>
<p>Before you start pump number {0}, look at the table below, and then run the command that follows it.</p>
<table><tr><th>Part</th><th>Turns of the valve</th></tr>
<tr><td>Inlet valve</td><td>{0} turns to the left</td></tr></table>
<p>The command is the same for all the pumps, and it prints what it does while it does it.</p>
<pre><code>def start(pump):
    return  pump</code></pre>
<ul><li>It should make a low sound, not a high one.</li><li>It should stop by itself after a while.</li></ul>"""
MANUAL = (
    "<html><head><title>Manual of the pump</title></head><body><nav><ul><li><a href=/>Home</a></li><li><a "
    "href=/docs>Docs</a></li></ul></nav><main>"
    + "".join(_STEP.format(i) for i in range(1, 5))
    + "</main><footer>Imprint</footer></body></html>"
)
HOSTILE = {
    "nothing": "",
    "no elements": "only words, and nothing else to see",
    "deep": "<p>first words of the page</p>" + "<div>" * 100_000 + "x",
    "rows": "<table>" + "<tr><td>1</td><td>a b c</td></tr>" * 50_000 + "</table>",
    "span of columns": "<table><tr><td colspan=9007199254740991>a cell with some words</td></tr></table>",
    "one line": "<p>" + "word " * 200_000,
    "entities": "<p>" + "&amp;&lt;" * 200_000,
    "open tags": "<a href=" * 10_000,
    "NULs": "<p>a\0b</p>" * 1000,
}


def test_the_article_is_kept_without_navigation_comments_and_footer():
    found = load_reader("headwater")(ARTICLE)
    assert all(sentence in found.text for sentence in SENTENCES)
    assert not any(words in found.text for words in ("Home", "my mother", "Imprint"))
    assert (found.metadata.title, found.metadata.author, found.metadata.date, found.page_type) == (
        "Rivers",
        "Ada",
        "2024-02-29",
        "article",
    )


def test_markdown_keeps_headings_tables_code_and_lists():
    text = load_extractor("headwater-markdown")(MANUAL)
    assert "## Step 2: how to start it\n\nBefore you start pump number 2" in text
    assert "| Part | Turns of the valve |\n| --- | --- |\n| Inlet valve | 2 turns to the left |" in text
    assert "```\ndef start(pump):\n    return  pump\n```" in text
    assert "- It should make a low sound, not a high one.\n- It should stop" in text
    assert "Home" not in text


def test_all_posts_of_a_thread_are_kept():
    found = load_reader("headwater")(THREAD)
    assert all(f"My pump number {i} does" in found.text for i in range(9))
    assert found.page_type in PAGE_TYPES


@pytest.mark.parametrize(
    "extractor", ["headwater", "headwater-markdown", "trafilatura", "trafilatura-fast", "resiliparse"]
)
def test_a_page_has_the_same_text_whatever_came_before_it(extractor):
    pages = [ARTICLE, THREAD, ARTICLE.replace("rivers", "lakes"), HOSTILE["one line"][:5000]]
    extract = load_extractor(extractor)
    forwards = [extract(page) for page in pages]
    backwards = [extract(page) for page in reversed(pages)]
    assert forwards == backwards[::-1] == [load_extractor(extractor)(page) for page in pages]


@pytest.mark.parametrize("name", HOSTILE)
def test_every_hostile_page_has_an_answer(name):
    assert isinstance(load_reader("headwater")(HOSTILE[name]).text, str)
    assert isinstance(load_reader("headwater-markdown")(HOSTILE[name]).text, str)


def test_pages_over_the_limits_spare_the_slow_extractor():
    extract, fast = load_extractor("trafilatura"), load_extractor("resiliparse")
    long = "<p>a word or two</p>" * (MAX_ELEMENTS // 2 + 1)
    assert page_size(long) == (MAX_ELEMENTS + 2, 0)
    assert extract(long) == fast(long)
    deep = "<div>" * (MAX_DEPTH + 1) + "<p>a few words" + "</div>" * (MAX_DEPTH + 1)
    assert page_size(deep)[1] == MAX_DEPTH + 1
    assert extract(deep) == fast(deep)
    assert page_size(ARTICLE)[1] < 10


def test_only_pages_with_enough_words_reach_the_slow_extractor():
    seen = []
    extract = fast_text_first(lambda page: seen.append(page) or "slow", min_words=50)
    assert extract(ARTICLE) == "slow"
    assert "short page" in extract("<p>A short page of words.</p><script>" + "word " * 100 + "</script>")
    assert seen == [ARTICLE]


def test_the_sandbox_answers_with_the_facts_of_the_page():
    with ExtractionSandbox("headwater", max_seconds=60.0, max_memory_mib=2048, pages_per_child=10) as sandbox:
        found = sandbox.extract(ARTICLE.encode(), "utf-8")
        assert (found.title, found.author, found.date, found.page_type, found.charset) == (
            "Rivers",
            "Ada",
            "2024-02-29",
            "article",
            "utf-8",
        )
        assert sandbox.extract(THREAD.encode(), None).author is None
        assert found == sandbox.extract(ARTICLE.encode(), "utf-8")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="unknown extractor 'nope'"):
        load_extractor("nope")
