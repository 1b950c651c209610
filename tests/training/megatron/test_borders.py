"""Documents in the stretches that ranks share sequences by: the borders that kernels get say the same as the mask,
and both what whole sequences say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.megatron.borders import borders_between, document_borders, same_document

DOCUMENTS = [[0, 0, 0, 1, 1, 1, 1, 2], [0, 1, 1, 1, 1, 1, 1, 1]]
lists_of_documents = st.integers(1, 3).flatmap(
    lambda rows: st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=rows, max_size=rows)
)


def allowed_by_kernel(own: torch.Tensor, seen: torch.Tensor, causal: bool) -> torch.Tensor:
    """What a kernel for stretches of any length lets the queries of all sequences see of all keys; the last query of
    a document sees its last key."""
    allowed = torch.zeros(int(own[-1]), int(seen[-1]), dtype=torch.bool)
    for (first, last), (first_key, last_key) in zip(
        own.unfold(0, 2, 1).tolist(), seen.unfold(0, 2, 1).tolist(), strict=True
    ):
        block = torch.ones(last - first, last_key - first_key, dtype=torch.bool)
        allowed[first:last, first_key:last_key] = block.tril(block.shape[1] - block.shape[0]) if causal else block
    return allowed


def test_borders_of_a_stretch_keep_documents_that_are_elsewhere_without_length() -> None:
    borders = torch.from_numpy(document_borders(np.array(DOCUMENTS)))
    assert borders.tolist() == [0, 3, 7, 8, 9, 16]
    assert borders_between(borders, 8, range(2, 4)).tolist() == [0, 1, 2, 2, 2, 4]
    assert borders_between(borders, 8, range(4)).tolist() == [0, 3, 4, 4, 5, 8]
    assert borders_between(borders, 8, range(8)) is borders


@settings(max_examples=20)
@pytest.mark.parametrize("causal", [True, False])
@given(changes=lists_of_documents, stretch=st.integers(0, 5))
def test_a_stretch_sees_by_kernel_and_by_mask_what_it_sees_of_whole_sequences(
    causal: bool, changes: list[list[bool]], stretch: int
) -> None:
    borders = torch.from_numpy(document_borders(np.cumsum(np.array(changes), axis=1)))
    queries = range(2 * stretch, 2 * stretch + 2)
    keys = range(queries.stop if causal else 12)
    found = same_document(borders, 12, queries, keys, causal)
    whole = allowed_by_kernel(borders, borders, causal)
    expected = torch.stack(
        [whole[12 * row :, 12 * row :][queries.start : queries.stop, : keys.stop] for row in range(len(changes))]
    )
    assert torch.equal(found, expected)
    by_kernel = allowed_by_kernel(borders_between(borders, 12, queries), borders_between(borders, 12, keys), causal)
    assert torch.equal(by_kernel, torch.block_diag(*found.int()).bool())
