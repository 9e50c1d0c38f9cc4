"""What hangs together by pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def lowest(left: NDArray[np.integer], right: NDArray[np.integer], size: int) -> Ints:
    """By node 0..size-1, the lowest node that it hangs together with by the edges left-right."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(size, size))
    count, labels = connected_components(graph, directed=False)
    first = np.empty(count, dtype=np.int64)
    first[labels[::-1]] = np.arange(size)[::-1]  # of several, the last one written stays: the lowest
    return first[labels]


def components(left: Ints, right: Ints) -> Ints:
    """The connected component of each pair of a left and a right record, called by the lowest left position in it."""
    lefts, a = np.unique(left, return_inverse=True)
    rights, b = np.unique(right, return_inverse=True)
    return np.asarray(lefts[lowest(a, b + len(lefts), len(lefts) + len(rights))[a]])
