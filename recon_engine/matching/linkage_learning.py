"""What agreement is worth, learnt without labels: Fellegi and Sunter's model by expectation maximisation.

`u` is how often a level occurs among pairs that do not belong together: counted on pairs of all records against all.
`m` is how often it occurs among pairs that do: learnt, together with the number of such pairs, from how often each
combination of levels occurs among the candidates. Of candidates, only those that are the best of one of their records
may belong together. Combinations are counted first, so that a step costs the same for a thousand pairs and a billion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recon_engine.matching.linkage_compare import MISSING, Levels

Floats = NDArray[np.float64]
# Iterations stop when no probability of the model moves more than this.
_STILL = 1e-6
_MOST_ITERATIONS = 200
# What labels say of a pair: 1 belongs together, 0 does not, or nothing.
UNKNOWN = -1
# However many records match, one more is never taken for granted.
_MOST_MATCHED = 0.98


@dataclass
class Model:
    """m and u per field and level, how many pairs belong together, of how many records, and how long learning took."""

    m: list[Floats]
    u: list[Floats]
    matches: float
    rows: tuple[int, int]
    ladders: list[list[list[int]]]
    iterations: int = 0

    @property
    def prior(self) -> float:
        """The probability that a pair belongs together, if its records belong to no other.

        A record of the larger table belongs to at most one of the smaller: where most do, little speaks for none.
        """
        share = min(self.matches / max(self.rows), _MOST_MATCHED)
        return share / (share + max(1, min(self.rows)) * (1 - share))

    @property
    def prior_weight(self) -> float:
        """log2 odds of the prior."""
        return float(np.log2(self.prior / (1 - self.prior)))

    def weights(self) -> list[Floats]:
        """log2 m/u per field and level; on a ladder of levels a higher one never says less."""
        found = []
        for m, u, ladders in zip(self.m, self.u, self.ladders, strict=True):
            weight = np.log2(m / u)
            for run in ladders:
                risen = np.log2(_rising(m[run], u[run]))
                weight[run[:-1]] = risen[:-1]
                weight[run[-1]] = max(weight[run[-1]], risen[-1])
            found.append(weight)
        return found


def _rising(m: Floats, u: Floats) -> Floats:
    """m/u, neighbours that fall pooled until none does."""
    pools: list[list[float]] = []
    for a, b in zip(m, u, strict=True):
        pools.append([float(a), float(b), 1.0])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [x + y for x, y in zip(pools[-1], last, strict=True)]
    return np.concatenate([np.full(int(n), a / b) for a, b, n in pools])


def pair_weights(levels: Sequence[Levels], weights: Sequence[Floats]) -> Floats:
    """The sum of the fields' weights of every pair; missing counts nothing."""
    total = np.zeros(len(levels[0]) if levels else 0)
    for level, weight in zip(levels, weights, strict=True):
        total += np.append(weight, np.zeros(MISSING + 1 - len(weight)))[level]
    return total


def share_of_levels(levels: Levels, size: int, weight: Floats | None = None, *, smooth: float = 0.5) -> Floats:
    """How often each level occurs, missing left out; levels never seen get a little."""
    known = levels != MISSING
    weights = None if weight is None else weight[known]
    counts = np.bincount(levels[known], weights, minlength=size).astype(np.float64) + smooth / size
    return np.asarray(counts / counts.sum())


def patterns(
    levels: list[Levels], less: Floats, known: NDArray[np.int8], may: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], Floats, NDArray[np.int8], Floats]:
    """Distinct combinations of levels among the pairs that may match, what to take from their weight (in half bits),
    what labels say, and how often each occurs.
    """
    frame = pl.DataFrame({"less": np.round(less * 2) / 2, "known": known, **{str(f): v for f, v in enumerate(levels)}})
    frame = frame.filter(pl.Series(may))
    counted = frame.group_by(frame.columns).len().sort(frame.columns)
    combinations = counted.drop("len", "less", "known").to_numpy()
    return (
        combinations,
        counted["less"].to_numpy(),
        counted["known"].to_numpy(),
        counted["len"].to_numpy().astype(np.float64),
    )


def learn(combinations: NDArray[np.uint8], less: Floats, known: NDArray[np.int8], count: Floats, model: Model) -> Model:
    """Expectation maximisation of m and of how many pairs match; u stays."""
    model = replace(model, m=list(model.m))
    for _ in range(_MOST_ITERATIONS):
        weight = model.prior_weight + pair_weights(list(combinations.T), model.weights()) - less
        expected = count * np.where(known == UNKNOWN, 1 / (1 + np.exp2(-weight)), known)
        m = [share_of_levels(combinations[:, f], len(old), expected) for f, old in enumerate(model.m)]
        matches = min(max(float(expected.sum()), 1.0), float(max(model.rows)))
        moved = max(np.abs(a - b).max() for a, b in zip(m, model.m, strict=True)) + abs(np.log(matches / model.matches))
        model = replace(model, m=m, matches=matches, iterations=model.iterations + 1)
        if moved < _STILL:
            break
    return model
