from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.duplicates.union_find import smallest_reachable

EDGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


def test_a_chain_is_one_component_named_by_its_smallest():
    assert smallest_reachable([("d", "c"), ("c", "b"), ("b", "a"), ("y", "z")]) == {
        "a": "a",
        "b": "a",
        "c": "a",
        "d": "a",
        "y": "y",
        "z": "y",
    }


@given(EDGES)
def test_components_equal_those_of_a_search_from_each_node(edges):
    neighbours: dict[int, set[int]] = {}
    for one, other in edges:
        neighbours.setdefault(one, set()).add(other)
        neighbours.setdefault(other, set()).add(one)

    def reachable(start: int) -> set[int]:
        seen, todo = {start}, [start]
        while todo:
            new = neighbours[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    assert smallest_reachable(edges) == {node: min(reachable(node)) for node in neighbours}
