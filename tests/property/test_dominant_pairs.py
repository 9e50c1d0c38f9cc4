"""Pairs that outweigh all their rivals: in every best assignment, and enough to make large components solvable."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recon_engine.matching.assignment import LARGEST_COMPONENT, settle
from recon_engine.matching.best_assignments import dominant

matrices = st.integers(1, 4).flatmap(
    lambda n: st.integers(1, 4).flatmap(
        lambda m: st.lists(st.lists(st.integers(0, 9), min_size=m, max_size=m), min_size=n, max_size=n)
    )
)


def assignments(weights: np.ndarray) -> list[tuple[int, frozenset[tuple[int, int]]]]:
    """Every assignment with its total weight."""
    found = []
    for chosen in product(*([None, *np.flatnonzero(row).tolist()] for row in weights)):
        used = [j for j in chosen if j is not None]
        if len(used) == len(set(used)):
            pairs = frozenset((i, j) for i, j in enumerate(chosen) if j is not None)
            found.append((int(sum(weights[p] for p in pairs)), pairs))
    return found


@given(matrices)
def test_they_are_in_every_best_assignment(matrix: list[list[int]]) -> None:
    """And the total falls by no less than is said without them; what is left has none of their records."""
    weights = np.array(matrix, dtype=np.int64)
    left, right = np.nonzero(weights)
    chosen, least, is_open = dominant(left, right, weights[left, right])
    every = assignments(weights)
    best = max(total for total, _ in every)
    for pair, by in zip(zip(left[chosen].tolist(), right[chosen].tolist(), strict=True), least[chosen], strict=True):
        assert all(pair in pairs for total, pairs in every if total == best)
        assert best - max(total for total, pairs in every if pair not in pairs) >= by > 0
    assert not set(left[chosen]) & set(left[is_open])
    assert not set(right[chosen]) & set(right[is_open])


def test_a_large_component_falls_apart() -> None:
    """A chain of thousands in which every record has a weak rival, and one place where two are equally good."""
    size = 5 * LARGEST_COMPONENT
    i = np.arange(size)
    left, right = np.r_[i, i[:-1], 7], np.r_[i, i[1:], size]
    weight = np.r_[np.full(size, 10), np.full(size - 1, 4), 10]
    settled = settle(left, right, weight, i.astype(np.uint64), np.arange(size + 1).astype(np.uint64))
    assert not settled.ties["capped"].any()
    tied = settled.ties.select("side", "i").rows()
    assert sorted(tied) == [(0, 7), (1, 7), (1, size)]
    assert set(settled.pairs.select("l", "r").rows()) == {(k, k) for k in range(size) if k != 7}
    assert (settled.pairs["margin"] > 0).all()
