"""What agreement is worth, learnt without labels: Fellegi and Sunter's model by expectation maximisation.

`u` is how often a level occurs among pairs that do not belong together: counted on pairs of all records against all.
`m` is how often it occurs among pairs that do: learnt, together with the number of such pairs, from how often each
combination of levels occurs among the candidates. Of candidates, only those that are the best of one of their records
may belong together. Combinations are counted first, so that a step costs the same for a thousand pairs and a billion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recon_engine.matching.linkage_compare import MISSING, Levels

Floats = NDArray[np.float64]
# Iterations stop when no probability of the model moves more than this.
_STILL = 1e-6
_MOST_ITERATIONS = 200


@dataclass
class Model:
    """m and u per field and level, the share of all pairs that belong together, and how long learning took."""

    m: list[Floats]
    u: list[Floats]
    prior: float
    iterations: int = 0

    def weights(self) -> list[Floats]:
        """log2 m/u per field and level."""
        return [np.log2(m / u) for m, u in zip(self.m, self.u, strict=True)]


def share_of_levels(levels: Levels, size: int, weight: Floats | None = None, *, smooth: float = 0.5) -> Floats:
    """How often each level occurs, missing left out; levels never seen get a little."""
    known = levels != MISSING
    counts = np.bincount(levels[known], None if weight is None else weight[known], minlength=size)
    counts = counts + smooth / size
    return np.asarray(counts / counts.sum())


def patterns(levels: list[Levels], fixed: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.uint8], Floats]:
    """Distinct combinations of levels and how often each occurs."""
    frame = pl.DataFrame({str(f): v for f, v in enumerate(levels)})
    if fixed is not None:
        frame = frame.filter(pl.Series(fixed))
    counted = frame.group_by(frame.columns).len().sort(frame.columns)
    return counted.drop("len").to_numpy(), counted["len"].to_numpy().astype(np.float64)


def learn(combinations: NDArray[np.uint8], count: Floats, model: Model, all_pairs: float, most_matches: float) -> Model:
    """Expectation maximisation of m and of the prior; u stays."""
    m, prior = [x.copy() for x in model.m], model.prior
    sizes = [len(x) for x in m]
    iteration = 0
    for iteration in range(1, _MOST_ITERATIONS + 1):
        weight = total_weight(combinations, [np.log2(a / b) for a, b in zip(m, model.u, strict=True)], prior)
        expected = count / (1 + np.exp2(-weight))
        found = expected.sum()
        new_prior = min(max(found, 1.0), most_matches) / all_pairs
        new_m = [share_of_levels(combinations[:, f], size, expected, smooth=0.5) for f, size in enumerate(sizes)]
        moved = max(np.abs(a - b).max() for a, b in zip(m, new_m, strict=True)) + abs(np.log(new_prior / prior))
        m, prior = new_m, new_prior
        if moved < _STILL:
            break
    return Model(m, model.u, prior, model.iterations + iteration)


def total_weight(levels: NDArray[np.uint8], weights: list[Floats], prior: float) -> Floats:
    """log2 odds of each combination of levels."""
    total = np.full(len(levels), np.log2(prior / (1 - prior)))
    for f, weight in enumerate(weights):
        total += np.append(weight, np.zeros(MISSING + 1 - len(weight)))[levels[:, f]]
    return total
