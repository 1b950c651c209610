from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.pages.main_content_blocks import most_likely_content, select_blocks
from spark_jobs.kernels.pages.page_blocks import page_blocks, parse_page


def _expected_f1(kept, likely, words):
    content = sum(likely[place] * words[place] for place in kept)
    return 2 * content / (sum(words[place] for place in kept) + sum(likely * words))


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(1, 50)), min_size=1, max_size=7))
def test_no_other_selection_has_a_higher_expected_f1(blocks):
    likely, words = np.array([one for one, _ in blocks]), np.array([count for _, count in blocks])
    chosen = np.flatnonzero(most_likely_content(likely, words))
    others = (one for size in range(1, len(blocks) + 1) for one in combinations(range(len(blocks)), size))
    assert _expected_f1(chosen, likely, words) == pytest.approx(
        max(_expected_f1(one, likely, words) for one in others), rel=1e-6
    )


def test_where_nothing_is_likely_the_likeliest_is_kept():
    assert most_likely_content(np.array([0.01, 0.04, 0.02]), np.array([5, 5, 5])).any()


PAGE = page_blocks(
    parse_page(
        "<main><p>one of the text</p><p>two of the text</p></main><div class=comments><p>a comment on "
        "it</p></div><div><p>a teaser of more</p></div>"
    )
)


@pytest.mark.parametrize(
    ("article", "kept"),
    [
        (None, [0, 1, 2, 3]),
        ("one of the text two of the text a comment on it", [0, 1]),
        ("", [0, 1]),
    ],
)
def test_comments_and_teasers_beside_an_article_go_and_stay_on_other_pages(article, kept):
    assert select_blocks(PAGE, np.array([0.9, 0.9, 0.8, 0.8]), article) == kept


def test_comments_are_kept_where_they_are_all_there_is():
    assert select_blocks(PAGE, np.array([0.01, 0.01, 0.95, 0.01]), "") == [2]
