"""The best assignments of one component of candidates: one of them, and which pairs are in any of them.

SciPy is loaded when a component needs it, so that whoever imports the engine only to read plans starts fast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
# Chains in which each pair waits for the one before are followed so far and no further.
_ROUNDS = 100


def in_some_best(weights: Ints) -> Bools:
    """Which pairs (weight above 0) are in at least one best assignment.

    A pair can be exchanged into the best one at no loss when it lies on a cycle of length 0 in the graph of what
    could be given up and gained: from left to right for a pair that is not in it, back for one that is.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse.csgraph import csgraph_from_dense, floyd_warshall

    n, m = weights.shape
    inside = np.zeros(weights.shape, dtype=np.bool_)
    inside[linear_sum_assignment(weights.astype(np.float64), maximize=True)] = True
    inside &= weights > 0
    loose = n + m  # where records that are left open come from and go to
    lengths = np.full((n + m + 1, n + m + 1), np.inf)
    lengths[:n, n : n + m][(weights > 0) & ~inside] = -weights[(weights > 0) & ~inside]
    lengths[n : n + m, :n][inside.T] = weights.T[inside.T]
    free_l, free_r = ~inside.any(axis=1), ~inside.any(axis=0)
    lengths[loose, :n][free_l], lengths[:n, loose][~free_l] = 0.0, 0.0
    lengths[n : n + m, loose][free_r], lengths[loose, n : n + m][~free_r] = 0.0, 0.0
    graph = csgraph_from_dense(lengths, null_value=np.inf)  # an edge of length 0 is one
    back = floyd_warshall(graph)[n : n + m, :n].T
    return np.asarray((weights > 0) & (inside | (back - weights <= 0)))


def dominant(left: Ints, right: Ints, weight: Ints) -> tuple[Bools, Ints, Bools]:
    """The pairs that outweigh the best other pair of their left record and that of their right record together.

    They are in every best assignment: one without such a pair would gain by taking it for at most two others. With
    their records gone others may become dominant, for so many rounds as _ROUNDS allows. Returns which pairs are, by how
    much at least, and which pairs are left between records that have none. Pairs are sorted once; a round is linear.
    """
    chosen, least = np.zeros(len(left), dtype=np.bool_), np.zeros(len(left), dtype=np.int64)
    is_open = np.ones(len(left), dtype=np.bool_)
    orders = [np.lexsort((-weight, ends)) for ends in (left, right)]
    for _ in range(_ROUNDS):
        other = np.zeros((2, len(left)), dtype=np.int64)
        for side, ends in enumerate((left, right)):
            order = orders[side] = orders[side][is_open[orders[side]]]
            start = np.flatnonzero(np.r_[True, ends[order][1:] != ends[order][:-1]])[: len(order)]
            size = np.diff(np.r_[start, len(order)])
            first, second = order[start], order[np.minimum(start + 1, len(order) - 1)]
            other[side, order] = np.repeat(weight[first], size)
            other[side, first] = np.where(size > 1, weight[second], 0)
        lead = weight - other.sum(axis=0)
        new = is_open & (lead > 0)
        if not new.any():
            break
        chosen |= new
        least[new] = lead[new]
        for ends in (left, right):
            taken = np.zeros(int(ends.max()) + 1, dtype=np.bool_)
            taken[ends[new]] = True
            is_open &= ~taken[ends]
    return chosen, least, is_open


def best_flow(cost: Ints, weights: Ints, c: Ints, d: Ints) -> tuple[Ints, int]:
    """A best assignment by `cost` as counts per pair of classes (pairs with `weights` 0 do not exist), and its total.

    Totals stay below 2^53, so the solver's floating point is exact on these integers.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost.astype(np.float64), maximize=True)
    real = weights[rows, columns] > 0
    rows, columns = rows[real], columns[real]
    flow = np.zeros((c.max() + 1, d.max() + 1), dtype=np.int64)
    np.add.at(flow, (c[rows], d[columns]), 1)
    return flow, int(cost[rows, columns].sum())
