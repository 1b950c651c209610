import pytest

from spark_jobs.kernels.pages.page_blocks import GROUPS, name_bits, page_blocks, parse_page


def _blocks(page, **limits):
    return page_blocks(parse_page(page), **limits)


def test_block_boundaries_part_the_text_and_inline_elements_do_not():
    page = "<body><div>One <b>bold</b>\n  line<p>Two</p>three</div><script>no</script><ul><li>Four</li></ul>"
    blocks = _blocks(page)
    assert blocks.texts == ["One bold line", "Two", "three", "Four"]
    assert [blocks.tags[element] for element in blocks.inside] == ["div", "p", "div", "li"]


def test_linked_characters_and_links_are_counted_by_block():
    blocks = _blocks("<p>See <a href=a>the mill</a> and <a href=b>dam</a>.</p><p>None</p>")
    assert (blocks.texts, blocks.linked, blocks.links) == (["See the mill and dam.", "None"], [11, 0], [2, 0])


def test_links_side_by_side_stay_apart():
    assert _blocks("<div><a>Home</a><a>News</a></div>").texts == ["Home News"]


def test_a_line_break_stays_and_code_keeps_its_white_space():
    page = "<p>a<br>b</p><pre>if x:\n    y\n</pre><pre><code>a  b</code></pre>"
    assert _blocks(page).texts == ["a\nb", "if x:\n    y", "a  b"]


def test_blocks_without_a_letter_or_digit_are_none():
    assert _blocks("<p>|</p><p> \u2022 </p><p>a</p>").texts == ["a"]


def test_forum_pages_have_their_posts_in_noscript():
    assert _blocks("<body><noscript><div>A post</div></noscript>").texts == ["A post"]


def test_words_of_names_are_found_in_any_spelling():
    bits = {name: 1 << place for place, name in enumerate(GROUPS)}
    assert name_bits("site-footer") == bits["footer"]
    assert name_bits("relatedPosts") & bits["related"]
    assert name_bits("x7f2") == 0


@pytest.mark.parametrize("page", ["", " ", "\0", "<", "<!-- -->"])
def test_pages_of_nothing_have_no_blocks(page):
    root = parse_page(page)
    assert root is None or page_blocks(root).texts == []


def test_a_page_is_read_up_to_its_limit_of_elements():
    blocks = _blocks("<p>a</p>" * 100, max_elements=50)
    assert blocks.cut
    assert 40 < len(blocks.texts) < 50


def test_deep_nesting_and_nul_bytes_are_read_as_far_as_the_parser_goes():
    assert _blocks("<p>first</p>" + "<div>" * 100_000 + "x").texts[0] == "first"
    assert _blocks("<p>a\0b</p><p>c</p>").texts == ["ab", "c"]
