import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.pages.block_features import block_features, feature_names
from spark_jobs.kernels.pages.block_model import BlockModel, block_model
from spark_jobs.kernels.pages.page_blocks import page_blocks, parse_page
from spark_jobs.kernels.pages.page_metadata import PageMetadata

ALL = 0xFFFFFFFF
# Tree 1: a <= 0.5 -> (b <= 2 -> 1.0, else 2.0), else 4.0. Tree 2: b <= 1 -> -1.0, else -3.0.
TWO_TREES = BlockModel(
    names=("a", "b"),
    columns=np.array([0, 1, 1]),
    thresholds=np.array([0.5, 2.0, 1.0], dtype=np.float32),
    splits=np.array([[0, 1], [2, 2]]),
    survivors=np.array([[ALL ^ 0b011, ALL ^ 0b001], [ALL ^ 0b001, ALL]], dtype=np.uint32),
    values=np.array([[1.0, 2.0, 4.0], [-1.0, -3.0, 0.0]]),
    bias=0.25,
)


def _walk(a, b):
    first = (1.0 if b <= 2 else 2.0) if a <= 0.5 else 4.0
    return 1 / (1 + np.exp(-(first + (-1.0 if b <= 1 else -3.0) + 0.25)))


@given(st.lists(st.tuples(st.floats(-3, 3, width=32), st.floats(-3, 3, width=32)), max_size=40))
def test_all_comparisons_at_once_give_what_a_walk_down_each_tree_gives(rows):
    features = np.array(rows, dtype=np.float32).reshape(-1, 2)
    assert TWO_TREES.probabilities(features) == pytest.approx([_walk(a, b) for a, b in rows])


def test_the_shipped_model_looks_at_the_features_that_are_measured():
    model = block_model()
    assert list(model.names) == feature_names()
    assert model.columns.max() < len(model.names)


@pytest.mark.parametrize(
    "page",
    [
        "<p>a",
        "<table><tr><td>1</td></tr></table>",
        "<h1>A</h1><p>b, c.</p><ul><li><a href=x>d</a></li></ul>",
        "<p>" * 600 + "x",
    ],
)
def test_features_are_finite_numbers_a_row_a_block(page):
    blocks = page_blocks(parse_page(page))
    features = block_features(blocks, PageMetadata(title="A", body="b, c."), [1 / 7] * 7)
    assert features.shape == (len(blocks.texts), len(feature_names()))
    assert np.isfinite(features).all()
