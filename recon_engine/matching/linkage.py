"""Which records of two tables are the same thing: Fellegi and Sunter's record linkage, without labels.

Fields are compared each in its own way (`linkage_compare`), on the pairs that share something rare
(`linkage_blocking`); what each kind of agreement is worth is learnt from the tables themselves (`linkage_learning`).
A pair's weight is the sum of its fields' weights and the prior's, in bits: log2 of the odds that it is a match.

Pure functions on frames; neither the order of rows nor which table is called left changes a pair's probability.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recon_engine.matching.linkage_blocking import block, plan_blocking
from recon_engine.matching.linkage_chance import DECOYS, Together, Within, chances
from recon_engine.matching.linkage_compare import (
    KINDS,
    MISSING,
    Levels,
    LinkField,
    Prepared,
    compare_closely,
    prepare,
)
from recon_engine.matching.linkage_learning import UNKNOWN, Floats, Model, learn, patterns
from recon_engine.matching.linkage_relatives import Relatives

__all__ = ["KINDS", "LinkField", "Linked", "link"]

# Pairs less probable than this are not returned.
FLOOR = 0.01
# How often learning and choosing who may belong together alternate.
_ROUNDS = 4
# Of two pairs of the same level the nearer one weighs more, by so much of what the next level would add: enough to be
# told apart, too little to match by.
_TOLD_APART = 0.05


@dataclass(frozen=True)
class Linked:
    """What linkage found.

    `pairs`: l, r, probability, weight (log2 odds), and `w.<field>` per field (0 where missing); they and
    `parameters["prior_weight"]` add up to `weight`.
    `capped`: True when pairs were left out to stay within the limit; `parameters["blocking"]` says which.
    `relatives`: what records of the left and of the right table find in the other and in their own; None: no pairs.
    """

    pairs: pl.DataFrame
    parameters: dict[str, Any]
    capped: bool
    relatives: tuple[Relatives, Relatives] | None = None


def link(
    left: pl.DataFrame,
    right: pl.DataFrame,
    fields: Sequence[LinkField],
    *,
    probability: float = 0.95,
    block_on: Sequence[Sequence[str]] | None = None,
    labels: pl.DataFrame | None = None,
    most_pairs: int = 50_000_000,
    decoys: int = DECOYS,
) -> Linked:
    """Link two tables on `fields`.

    `block_on`: fields that a pair must share, one list per key; None chooses. `labels`: l, r and `match` (boolean) of
    pairs that are known. Pairs of at least `probability` (and, below it, of at least `FLOOR`) are returned. `decoys`:
    records of each table whose likeness to others of it shows what chance does.
    """
    # Of fields that do not speak, all that is asked is whether they are equal.
    silent = [replace(f, method="exact") for f in fields if not f.speaks]
    fields = [f for f in fields if f.speaks]
    if not fields or left.is_empty() or right.is_empty():
        return _nothing(fields)
    prepared = prepare(left, right, fields)
    plan = plan_blocking(prepared, block_on, most_pairs, prepare(left, right, silent))
    blocked = block(prepared, plan)
    candidates, known = _with_labels(blocked.pairs, labels)
    closely = [compare_closely(item, candidates["l"], candidates["r"]) for item in prepared]
    levels, inside = [level for level, _ in closely], [within for _, within in closely]
    u, *own = chances(prepared)
    model = _start(prepared, u, left.height, right.height)
    together = Together(prepared, plan, decoys)
    term = [_term_weights(item, candidates["l"], level) for item, level in zip(prepared, levels, strict=True)]
    may, less = np.ones(candidates.height, dtype=np.bool_), np.zeros(candidates.height)
    for _ in range(_ROUNDS):
        model = learn(*patterns(levels, less, known, may), model)
        weights = _weights(levels, term, model)
        less = together.bits(levels, model, own, model.prior_weight + _sum(weights))
        weights = _spread(weights, less)
        total = model.prior_weight + _sum(weights)
        may = _best_of_both(candidates, total) | (known != UNKNOWN)
    between = map(_between, levels, inside, model.weights(), model.ladders)
    weights = [w + _TOLD_APART * bits for w, bits in zip(weights, between, strict=True)]
    total = model.prior_weight + _sum(weights)
    said = reduce(np.logical_or, (level != MISSING for level in levels))
    odds = np.exp2(-total)
    pairs = candidates.with_columns(
        probability=pl.Series(1 / (1 + odds)),
        weight=pl.Series(total),
        **{f"w.{item.name}": pl.Series(w) for item, w in zip(prepared, weights, strict=True)},
    ).filter(pl.Series(said) & (pl.col("probability") >= min(FLOOR, probability)))
    parameters = {
        "prior": model.prior,
        "matches": model.matches,
        "prior_weight": model.prior_weight,
        "iterations": model.iterations,
        "candidates": candidates.height,
        "blocking": blocked.keys,
        "fields": [_described(*each) for each in zip(prepared, model.m, model.u, levels, strict=True)],
    }
    least = float(np.log2(probability / (1 - probability)))
    matching = candidates.filter(pl.Series(total >= least))
    left_found, right_found = (
        _relatives(within, together, model, matching[end], least)
        for end, within in zip("lr", together.within, strict=True)
    )
    return Linked(pairs, parameters, blocked.capped, (left_found, right_found))


def _relatives(within: Within, together: Together, model: Model, matching: pl.Series, least: float) -> Relatives:
    """What the chosen records of one table find: across, those of `matching` find one; within, all pairs that weigh
    `least` count.
    """
    term = [_term_weights(p, within.pairs["l"], level) for p, level in zip(within.prepared, within.levels, strict=True)]
    weights = _spread(_weights(within.levels, term, model), together.bits_within(within, model))
    alike = within.pairs.filter(pl.Series(model.prior_weight + np.sum(weights, axis=0) >= least))
    rows = len(within.prepared[0].left)
    found, count = np.zeros(rows, dtype=np.bool_), np.zeros(rows, dtype=np.int64)
    found[matching.to_numpy()] = True
    for end in ("l", "r") if within.each_once else ("l",):
        np.add.at(count, alike[end].to_numpy(), 1)
    chosen = within.chosen.to_numpy()
    return Relatives(rows, found[chosen], count[chosen])


def _nothing(fields: Sequence[LinkField]) -> Linked:
    """The answer where there is nothing to link."""
    floats = dict.fromkeys(["probability", "weight", *(f"w.{f.name}" for f in fields)], pl.Float64)
    parameters = {
        "prior": 0.0,
        "prior_weight": 0.0,
        "matches": 0.0,
        "candidates": 0,
        "iterations": 0,
        "blocking": [],
        "fields": [],
    }
    return Linked(pl.DataFrame(schema={"l": pl.UInt32, "r": pl.UInt32, **floats}), parameters, False)


def _start(prepared: list[Prepared], u: list[Floats], n_left: int, n_right: int) -> Model:
    """A first model: what chance does, and a careful guess of what matches do."""
    m = []
    for item, chance in zip(prepared, u, strict=True):
        guess = np.linspace(0.2, 1.0, item.levels) * np.sqrt(chance)
        guess[item.equal] = guess.sum()
        m.append(guess / guess.sum())
    ladders = [p.ladders for p in prepared]
    return Model(m, u, max(1.0, 0.3 * min(n_left, n_right)), (n_left, n_right), ladders)


def _term_weights(item: Prepared, lefts: pl.Series, level: Levels) -> Floats:
    """Bits that an equal value's rarity adds to the field's weight: rare values tell more than common ones."""
    both = item.counts
    if both.is_empty() or item.method not in ("name", "code", "exact", "tfidf"):
        return np.zeros(len(level))
    often, times = pl.col("a") + pl.col("b"), (pl.col("a") * pl.col("b")).cast(pl.Int128)
    # Whole numbers, so that the order of values plays no part.
    weighted, every = both.select((times * often.cast(pl.Int128)).sum(), every=times.sum()).row(0)
    bits = both.select("v", bits=(weighted / every / often).log(2))
    equal = np.flatnonzero(level == item.equal)
    out = np.zeros(len(level))
    values = item.left.gather(lefts.gather(equal)).alias("v").to_frame()
    out[equal] = values.join(bits, on="v", how="left", maintain_order="left")["bits"].fill_null(0.0).to_numpy()
    return out


def _weights(levels: list[Levels], term: list[Floats], model: Model) -> list[Floats]:
    """log2 m/u of each pair, per field, term frequencies included; 0 where missing."""
    return [
        np.append(w, np.zeros(MISSING + 1 - len(w)))[level] + bits
        for w, level, bits in zip(model.weights(), levels, term, strict=True)
    ]


def _between(level: Levels, inside: Floats, weight: Floats, ladders: list[list[int]]) -> Floats:
    """Bits by which a pair's weight lies between its level's and the next one's, so that near is told from nearer."""
    down, up = np.zeros(MISSING + 1), np.zeros(MISSING + 1)
    for run in ladders:
        gaps = np.diff(weight[run[:-1]])
        down[run[1:-1]], up[run[:-2]] = gaps, gaps
    return np.where(inside < 0, down[level], up[level]) * inside


def _sum(weights: Iterable[Floats]) -> Floats:
    """The sum per pair, one field after another: no copy of them all."""
    return reduce(np.add, weights)


def _spread(weights: list[Floats], less: Floats) -> list[Floats]:
    """The weights less what fields say together by chance, taken from those that speak for a match, in proportion."""
    positive = _sum(np.maximum(w, 0) for w in weights)
    keep = 1 - np.minimum(less, positive) / np.maximum(positive, 1e-9)
    return [np.where(w > 0, w * keep, w) for w in weights]


def _with_labels(pairs: pl.DataFrame, labels: pl.DataFrame | None) -> tuple[pl.DataFrame, NDArray[np.int8]]:
    """The candidates, labelled pairs among them; and what is known of each."""
    if labels is None:
        return pairs, np.full(pairs.height, UNKNOWN, dtype=np.int8)
    told = labels.select(pl.col("l", "r").cast(pl.UInt32), known=pl.col("match").cast(pl.Int8)).unique(["l", "r"])
    both = pl.concat([pairs, told.select("l", "r")]).unique().sort("l", "r")
    known = both.join(told, on=["l", "r"], how="left", maintain_order="left")["known"].fill_null(UNKNOWN)
    return both, known.to_numpy()


def _best_of_both(pairs: pl.DataFrame, total: Floats) -> NDArray[np.bool_]:
    """Pairs that no other pair of their left or of their right record beats."""
    frame = pairs.with_columns(w=pl.Series(total))
    best = pl.all_horizontal(pl.col("w") >= pl.col("w").max().over(side) - 1e-9 for side in ("l", "r"))
    return frame.select(best).to_series().to_numpy()


def _described(item: Prepared, m: Floats, u: Floats, level: Levels) -> dict[str, Any]:
    return {
        "field": item.name,
        "method": item.method,
        "missing": float((level == MISSING).mean()) if len(level) else 0.0,
        "levels": [
            {"level": label, "m": float(a), "u": float(b), "weight": float(np.log2(a / b))}
            for label, a, b in zip(item.labels, m, u, strict=True)
        ],
    }
