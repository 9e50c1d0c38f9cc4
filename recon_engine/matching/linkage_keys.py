"""Which fields' equality finds the matches at least cost: blocking keys chosen from the data.

How often a field agrees in a match is read from pairs that agree in so many other fields that chance is out of the
question. From that follows, for fields that fail one by one, how many matches a set of keys misses; keys are added,
the most matches per pair compared first, until next to none is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl

from recon_engine.matching.linkage_compare import Prepared, by_content
from recon_engine.matching.linkage_learning import Floats

# Fields that keys are made of (the most telling), fields in one key, keys at most.
_FIELDS, _TOGETHER, _MOST_KEYS = 12, 3, 12
# Left records that are looked at to learn how often fields agree.
_PILOT = 20_000
# Keys are added until this share of matches would be missed, if fields failed independently.
_MISSED = 3e-4
# A key may make so many pairs per record of both tables.
_PAIRS_PER_RECORD = 4.0
# Bits beyond what chance explains that make a pair a sure match.
_SURE = 7.0
Key = tuple[str, ...]


def choose(prepared: Sequence[Prepared]) -> tuple[list[Key], float]:
    """Keys as names of fields, and the share of matches that they may miss."""
    rows = (len(prepared[0].left), len(prepared[0].right))
    every = float(rows[0]) * rows[1]
    equal = {p.name: max(p.agreeing(), 0.5) / every for p in prepared if p.agreeing() > 0}
    names = sorted(equal, key=lambda n: (equal[n], n))[:_FIELDS]
    items = {p.name: p for p in prepared if p.name in names}
    limit = _PAIRS_PER_RECORD * sum(rows)
    keys = [
        key
        for size in range(1, _TOGETHER + 1)
        for key in combinations(names, size)
        if every * _chance(key, equal) <= limit
        # What a shorter key does within the limit needs no further field.
        and not (size > 1 and any(every * _chance(part, equal) <= limit / 8 for part in combinations(key, size - 1)))
    ]
    agree = _agreement(items, names, keys, equal, every)
    return _greedy(keys, names, agree, equal, every)


def _chance(key: Key, equal: dict[str, float]) -> float:
    return float(np.prod([equal[n] for n in key]))


def _agreement(
    items: dict[str, Prepared], names: list[str], keys: list[Key], equal: dict[str, float], every: float
) -> dict[str, float]:
    """How often each field is equal in matches that are sure without it."""
    first = sorted(keys, key=lambda k: (_chance(k, equal), k))[:8]
    if not first:
        return dict.fromkeys(names, 0.7)
    chosen = by_content(list(items.values()), "left", _PILOT)["i"]
    sides = []
    for side in ("left", "right"):
        frame = pl.DataFrame({n: getattr(items[n], side) for n in names}).with_row_index("i")
        sides.append(frame)
    left = sides[0].filter(pl.col("i").is_in(chosen.implode()))
    found = [left.join(sides[1], on=list(key), suffix="_r").select(l="i", r="i_r").head(2_000_000) for key in first]
    pairs = pl.concat(found).unique()
    both = pairs.select(
        (sides[0][n].gather(pairs["l"]) == sides[1][n].gather(pairs["r"])).fill_null(False).alias(n) for n in names
    ).to_numpy()
    bits = -np.log2([equal[n] for n in names])
    score = both @ bits
    agree = {}
    for f, name in enumerate(names):
        sure = score - both[:, f] * bits[f] >= np.log2(every) + _SURE
        agree[name] = float((both[sure, f].sum() + 0.7) / (sure.sum() + 1.0))
    return agree


def _greedy(
    keys: list[Key], names: list[str], agree: dict[str, float], equal: dict[str, float], every: float
) -> tuple[list[Key], float]:
    """The keys that find most matches per pair, until next to none is missed."""
    patterns = np.arange(1 << len(names))
    has = {n: (patterns >> f & 1).astype(np.bool_) for f, n in enumerate(names)}
    share: Floats = np.ones(len(patterns))
    for n in names:
        share = share * np.where(has[n], agree[n], 1 - agree[n])
    covers = {key: np.logical_and.reduce([has[n] for n in key]) for key in keys}
    cost = {key: every * _chance(key, equal) + every**0.5 / 2 for key in keys}
    chosen: list[Key] = []
    missed = share.copy()
    while keys and missed.sum() > _MISSED and len(chosen) < _MOST_KEYS:
        best = max(keys, key=lambda k: (missed[covers[k]].sum() / cost[k], k))
        if missed[covers[best]].sum() <= _MISSED / 10:
            break
        chosen.append(best)
        missed[covers[best]] = 0.0
        keys = [k for k in keys if k != best]
    return chosen, float(missed.sum())
