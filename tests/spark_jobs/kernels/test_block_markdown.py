from spark_jobs.kernels.pages.block_markdown import markdown
from spark_jobs.kernels.pages.page_blocks import page_blocks, parse_page


def _markdown(page):
    blocks = page_blocks(parse_page(page), code_marks=True)
    return markdown(blocks, list(range(len(blocks.texts))))


def test_headings_and_paragraphs_are_apart():
    assert (
        _markdown("<h1>Rivers</h1><p>One.</p><h3><span>Mills</span></h3><div>Two<br>three.</div>")
        == "# Rivers\n\nOne.\n\n### Mills\n\nTwo  \nthree."
    )


def test_lists_keep_their_marks_numbers_and_depth():
    page = "<ul><li>a</li><li>b<ol><li>one</li><li><p>two</p><p>more</p></li></ol></li><li>c</li></ul><p>end</p>"
    assert _markdown(page) == "- a\n- b\n    1. one\n    2. two\n       more\n- c\n\nend"


def test_code_keeps_every_space_and_gets_a_fence_longer_than_its_own():
    assert _markdown("<pre><code>def f():\n    return  1\n</code></pre>") == "```\ndef f():\n    return  1\n```"
    assert _markdown("<pre>```\nx\n```</pre>") == "````\n```\nx\n```\n````"
    assert _markdown("<p>Call <code>f(x)</code> now</p>") == "Call `f(x)` now"


def test_tables_have_pipes_a_head_and_their_empty_cells():
    body = "<tbody><tr><td></td><td>x|y</td></tr><tr><td>1</td></tr></tbody>"
    page = f"<table><thead><tr><th>a</th><th>b</th></tr></thead>{body}</table>"
    assert _markdown(page) == "| a | b |\n| --- | --- |\n|  | x\\|y |\n| 1 |  |"


def test_quotes_are_marked_line_by_line():
    assert _markdown("<blockquote><p>a<br>b</p></blockquote>") == "> a  \n> b"


def test_lists_inside_the_cells_of_a_layout_table_stay_lists():
    assert _markdown("<table><tr><td><h2>Head</h2><ul><li>a</li></ul></td></tr></table>") == "## Head\n\n- a"


def test_no_block_gives_no_text():
    assert _markdown("<p></p>") == ""
