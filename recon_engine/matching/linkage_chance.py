"""What chance does: how often records that do not belong together agree, field by field and in several fields at once.

A table that holds each thing once has no pair that belongs together, so its own pairs show what chance does; pairs
across the two tables show the same with the matches mixed in. Where the three disagree, the kind that agrees least
is believed: a table with duplicates, or one made of one kind of thing, then does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recon_engine.matching.linkage_blocking import Plan, block
from recon_engine.matching.linkage_codes import sharing, shortened
from recon_engine.matching.linkage_compare import MISSING, Levels, Prepared, by_content, compare
from recon_engine.matching.linkage_learning import Floats, Model, pair_weights

# Records of each side that are compared each with each to learn what chance does to one field; more of long texts,
# which rarely come near each other.
_SAMPLED, _SAMPLED_LONG = 360, 700
# Records of each side whose candidates within their own table show how fields agree together.
DECOYS = 2000
# What chance is thought to do before its pairs are counted weighs as so many of them: to all fields of a pair, as
# often as its fields agree two by two; to two fields, as often as if they were independent.
_IMAGINED, _IMAGINED_TWO = 0.5, 0.02
# Fields are never tied together by more bits, so that numbers stay finite.
_TIED = 500.0
# A table in which more than this share of records seem to have a double is not asked what chance does.
_DOUBLES = 0.15
_DISAGREE, _PARTLY, _AGREE, _UNKNOWN = 0, 1, 2, 3
_MEANINGS = 4


def chances(prepared: Sequence[Prepared]) -> list[list[Floats]]:
    """u: how often each level occurs by chance, per field: by all evidence, within the left, within the right table."""
    samples = {most: _sampled(prepared, most) for most in {_SAMPLED_LONG if p.vectors else _SAMPLED for p in prepared}}
    shares = [
        [_shares(p.sided(sides), pairs) for sides, pairs in samples[_SAMPLED_LONG if p.vectors else _SAMPLED].items()]
        for p in prepared
    ]
    matching = 1 / max(1, min(len(prepared[0].left), len(prepared[0].right)))
    return [[_least(s, matching) for s in shares], *([s[own] for s in shares] for own in (1, 2))]


def _sampled(prepared: Sequence[Prepared], most: int) -> dict[str, pl.DataFrame]:
    """Pairs across, within the left and within the right table, of up to `most` records a side."""
    chosen = [by_content(prepared, side, most) for side in ("left", "right")]
    within = [c.join(c, how="cross").filter(pl.col("i") < pl.col("i_right")) for c in chosen]
    across = chosen[0].join(chosen[1], how="cross").filter(pl.col("h") != pl.col("h_right"))
    return {"lr": across, "ll": within[0], "rr": within[1]}


def _shares(item: Prepared, pairs: pl.DataFrame) -> Floats:
    """How often each level occurs. Equal values and common model numbers are counted in full, the others in a sample;
    levels that the sample does not have fall evenly from the last that it has towards equal values.
    """
    level = compare(item, pairs["i"], pairs["i_right"])
    counts = np.bincount(level[level != MISSING], minlength=item.levels).astype(np.float64)
    known = max(counts.sum(), 1.0)
    share = counts / known
    least = np.full(item.levels, 0.5 / known)
    if item.codes is not None:
        rare = sharing(*(shortened(c) for c in item.codes))
        rare = rare.filter(pl.col("l") < pl.col("r")) if item.within else rare
        level = compare(item, rare["l"], rare["r"])
        common = np.array([f for run in item.ladders[2:] for f in run[:-1]])
        share[common] = np.bincount(level[level != MISSING], minlength=item.levels)[common] / item.pairs_known()
        least[common] = 0.5 / item.pairs_known()
    share[item.equal] = item.equal_by_chance()
    for run in item.ladders:
        seen = [k for k in run if share[k] > 0]
        low = seen[-2] if len(seen) > 1 else run[0]
        start, end = max(share[low], least[low]), min(share[item.equal], least[run[0]])
        between = [k for k in run[:-1] if k > low]
        for step, k in enumerate(between, 1):
            share[k] = start * (end / start) ** (step / (len(between) + 1))
    share = np.where(share > 0, share, least)
    share[0] = max(1.0 - share[1:].sum(), 1e-6)
    return np.asarray(share / share.sum())


def _least(shares: list[Floats], matching: float) -> Floats:
    """The least of the shares across, within the left and within the right table, per level.

    Never less than what the share across has beyond the most that matches can explain (`matching`): tables that write
    things differently ("New York", "New York City") agree across as they never do within.
    """
    share = np.maximum(np.min(shares, axis=0), shares[0] - matching)
    share[0] = max(1.0 - share[1:].sum(), share[0])
    return np.asarray(share / share.sum())


@dataclass(frozen=True)
class _Own:
    """What the pairs within one table do.

    `doubles`: the share of records that seem to have a double. `found`, `expected`: how many of its pairs agree in just
    these fields, and how many would if fields were independent, per combination. `two`, `expected_two`: the same of
    every two fields, by field, meaning, field, meaning. `share`: how many pairs were looked at, per pair across.
    """

    doubles: float
    found: Floats
    expected: Floats
    two: Floats
    expected_two: Floats
    share: float


@dataclass(frozen=True)
class Within:
    """Pairs of one table: `pairs` (l, r) of the `chosen` records (i) with others of it, their `levels` as `prepared`
    compares them, and of how many pairs they are the candidates. `each_once`: all records are chosen, and a pair does
    not stand there the other way round too.
    """

    prepared: list[Prepared]
    chosen: pl.Series
    pairs: pl.DataFrame
    levels: list[Levels]
    looked_at: float
    each_once: bool


class Together:
    """How much more often fields agree together than if they were independent, as postcode and suburb do.

    `within`: pairs of the left and of the right table, which show it.
    """

    def __init__(self, prepared: Sequence[Prepared], plan: Plan, decoys: int = DECOYS) -> None:
        self.within: list[Within] = []
        self._less = np.zeros(0, dtype=np.int64), np.zeros(0)
        rows = {"l": len(prepared[0].left), "r": len(prepared[0].right)}
        self._every = float(rows["l"]) * rows["r"]
        self._missing = _missing_together(prepared)
        for side, name in (("l", "left"), ("r", "right")):
            own = [p.sided(side * 2) for p in prepared]
            chosen = by_content(prepared, name, decoys)["i"]
            pairs = block(own, plan.sided(side * 2), chosen).pairs.filter(pl.col("l") != pl.col("r"))
            share = len(chosen) / max(1, rows[side])
            if share == 1:
                pairs = pairs.filter(pl.col("l") < pl.col("r"))
            looked_at = share * rows[side] * (rows[side] - 1) / (2 if share == 1 else 1)
            levels = [compare(p, pairs["l"], pairs["r"]) for p in own]
            self.within.append(Within(own, chosen, pairs, levels, max(looked_at, 1.0), share == 1))

    def bits(self, levels: list[Levels], model: Model, u: Sequence[list[Floats]], total: Floats) -> Floats:
        """log2 of how much more often each pair's agreeing fields agree together by chance, at least 0.

        `u`: how often each level occurs by chance within the left and within the right table; `total`: log2 odds
        of the pairs if fields were independent. Never more than leaves as many matches as there are pairs beyond
        those of chance.
        """
        weights, agree = model.weights(), _says(model)
        code = _codes(levels, agree)
        seen, where, count = np.unique(code, return_inverse=True, return_counts=True)
        sides: list[_Own] = []
        for within, own in zip(self.within, u, strict=True):
            values, counts = np.unique(_codes(within.levels, agree), return_counts=True)
            at = np.minimum(np.searchsorted(values, seen), max(0, len(values) - 1))
            hits = np.where(values[at] == seen, counts[at], 0.0) if len(values) else np.zeros(len(seen))
            share = within.looked_at / self._every
            alike = pair_weights(within.levels, weights) + model.prior_weight > 0
            doubles = float(alike.sum()) / max(1.0, float(len(within.chosen)))
            sides.append(
                _Own(
                    doubles,
                    np.minimum(hits, count * share),
                    self._expected(seen, agree, own) * share,
                    _two_by_two(values, counts, len(agree)),
                    self._expected_two(agree, own) * share,
                    share,
                )
            )
        clean = [side for side in sides if side.doubles <= max(_DOUBLES, min(side.doubles for side in sides))]
        found = np.sum([side.found for side in clean], axis=0)
        expected = np.sum([side.expected for side in clean], axis=0)
        share = sum(side.share for side in clean)
        two = np.sum([side.two for side in clean], axis=0), np.sum([side.expected_two for side in clean], axis=0)
        tied = np.exp2(np.minimum(_tied(*two, _meanings(seen, len(agree))), _TIED))
        less = np.maximum(np.log2(tied * (found + _IMAGINED) / (expected * tied + _IMAGINED)), 0.0)
        chance = np.maximum(found, expected * np.exp2(less))
        # Few pairs of chance tell little: as many as there may well be are granted.
        spare = count - (chance + 2 * np.sqrt(chance)) / share
        taken = (less > 0) & (spare > 0)
        at = np.flatnonzero(taken[where])
        less[taken] = np.minimum(less[taken], _leaving(spare[taken], (np.cumsum(taken) - 1)[where[at]], total[at]))
        self._less = seen, less
        return np.asarray(less[where])

    def bits_within(self, within: Within, model: Model) -> Floats:
        """The bits that were last taken from pairs across which agree in the same fields, for pairs within a table."""
        code, (seen, less) = _codes(within.levels, _says(model)), self._less
        at = np.minimum(np.searchsorted(seen, code), max(0, len(seen) - 1))
        return np.where(seen[at] == code, less[at], 0.0) if len(seen) else np.zeros(len(code))

    def _expected(self, codes: np.ndarray, agree: list[np.ndarray], u: list[Floats]) -> Floats:
        """How many of all pairs would agree in just these fields if fields were independent."""
        size = len(agree)
        digits = _meanings(codes, size)
        share = np.ones(len(codes))
        for f, (chance, meaning) in enumerate(zip(u, agree, strict=True)):
            share *= np.append(np.bincount(meaning, chance, minlength=_UNKNOWN), 1.0)[digits[:, f]]
        unknown = (digits == _UNKNOWN) @ (1 << np.arange(size))
        known = self._missing
        at = np.minimum(np.searchsorted(known[0], unknown), len(known[0]) - 1)
        return np.asarray(share * np.where(known[0][at] == unknown, known[1][at], 0.0))

    def _expected_two(self, agree: list[np.ndarray], u: list[Floats]) -> Floats:
        """How many of all pairs would mean this in one field and that in another if the two were independent."""
        missing, count = self._missing
        known = ((missing[:, None] >> np.arange(len(agree)) & 1) == 0).astype(np.float64)
        margin = np.array(
            [np.bincount(meaning, chance, minlength=_MEANINGS) for chance, meaning in zip(u, agree, strict=True)]
        )
        both = (known * count[:, None]).T @ known
        return np.asarray(margin[:, :, None, None] * margin[None, None] * both[:, None, :, None])


def _says(model: Model) -> list[np.ndarray]:
    """What each level of each field means."""
    return [np.where(w <= 0, _DISAGREE, np.where(w < 0.6 * w.max(), _PARTLY, _AGREE)) for w in model.weights()]


def _two_by_two(codes: np.ndarray, counts: np.ndarray, size: int) -> Floats:
    """How many pairs mean this in one field and that in another: by field, meaning, field, meaning."""
    says = _meanings(codes, size)[:, :, None] == np.arange(_MEANINGS)
    means = says.reshape(len(codes), size * _MEANINGS).astype(np.float64)
    return np.asarray(((means * counts[:, None]).T @ means).reshape(size, _MEANINGS, size, _MEANINGS))


def _tied(two: Floats, expected: Floats, meanings: np.ndarray) -> Floats:
    """log2 of how much more often fields agree together than if they were independent, told by pairs of fields.

    Every field hangs on the one that it agrees with most beyond chance: the tree of the strongest ties (Chow and Liu).
    """
    lift = np.zeros(two.shape)
    agreeing = np.s_[:, _PARTLY : _AGREE + 1, :, _PARTLY : _AGREE + 1]
    lift[agreeing] = np.log2(np.maximum((two + _IMAGINED_TWO) / (expected + _IMAGINED_TWO), 1.0))[agreeing]
    rows, fields = np.arange(len(meanings)), np.arange(meanings.shape[1])
    at, bits = np.zeros(len(meanings), dtype=np.int64), np.zeros(len(meanings))
    inside, strongest = np.zeros(meanings.shape, dtype=np.bool_), np.zeros(meanings.shape)
    for _ in fields[1:]:
        inside[rows, at] = True
        strongest = np.maximum(strongest, lift[at[:, None], meanings[rows, at][:, None], fields, meanings])
        at = np.where(inside, -1.0, strongest).argmax(axis=1)
        bits += strongest[rows, at]
    return bits


def _leaving(spare: Floats, where: np.ndarray, total: Floats) -> Floats:
    """The bits to take from every pair of a group, so that about `spare` of its pairs, not none, still match."""
    low, high = np.zeros(len(spare)), np.full(len(spare), 60.0)
    for _ in range(24):
        middle = (low + high) / 2
        matching = np.bincount(where, 1 / (1 + np.exp2(np.minimum(middle[where] - total, 1000.0))), len(spare))
        low, high = np.where(matching > spare, middle, low), np.where(matching > spare, high, middle)
    return low


def _codes(levels: list[Levels], agree: list[np.ndarray]) -> np.ndarray:
    """One number per pair: which fields agree, agree partly, disagree, are unknown."""
    code = np.zeros(len(levels[0]) if levels else 0, dtype=np.int64)
    for f, (level, speaks) in enumerate(zip(levels, agree, strict=True)):
        meaning = np.full(MISSING + 1, _UNKNOWN, dtype=np.int64)
        meaning[: len(speaks)] = speaks
        code += meaning[level] * _MEANINGS**f
    return code


def _meanings(codes: np.ndarray, size: int) -> np.ndarray:
    """What each of `size` fields says, by code."""
    return np.asarray(codes[:, None] // _MEANINGS ** np.arange(size) % _MEANINGS)


def _missing_together(prepared: Sequence[Prepared]) -> tuple[np.ndarray, Floats]:
    """Which fields are missing in a pair (as bits), and how many of all pairs miss just those."""
    sides = []
    for side in ("left", "right"):
        bits = sum(getattr(p, side).is_null().to_numpy().astype(np.int64) << f for f, p in enumerate(prepared))
        sides.append(np.unique(bits, return_counts=True))
    mask = (sides[0][0][:, None] | sides[1][0][None, :]).ravel()
    count = (sides[0][1][:, None].astype(np.float64) * sides[1][1][None, :]).ravel()
    values, where = np.unique(mask, return_inverse=True)
    return values, np.bincount(where, count).astype(np.float64)
