"""Connected components in one process, by union with path halving (Tarjan and van Leeuwen 1984)."""

from __future__ import annotations

from collections.abc import Iterable


def smallest_reachable[Node: (int, str)](edges: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """Each node of an edge to the smallest node of its component."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in edges:
        smaller, larger = sorted((root(one), root(other)))
        parent[larger] = smaller
    return {node: root(node) for node in list(parent)}
