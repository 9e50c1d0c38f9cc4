"""Sets of records whose values add up to a counterpart: whole groups first, then an exact search among subsets.

The number of sets that fit is counted, not guessed: one fitting set is a match, two are ambiguous. Sets that differ
only in interchangeable records (equal identities) count as one. How many records a search may choose from is the
rule's budget; a record with more candidates is not decided, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recon_engine.matching.assignment import competing
from recon_engine.matching.conditions import CLOSE
from recon_engine.matching.meeting import around, every_subset, meet
from recon_engine.matching.settled import CERTIFICATES_SCHEMA, SETS_SCHEMA, TIES_SCHEMA, Ids, Ints, Settled
from recon_engine.matching.total_window import TotalWindow
from recon_engine.plan import Plan, Rule

WHOLE, EXHAUSTIVE = "whole group", "exhaustive"
# Up to this many candidates all subsets are listed at once; beyond, halves are listed and met in the middle.
_LISTED = 12
_LISTED_AT_ONCE, _MET_AT_ONCE = 1 << 22, 1 << 17  # sums; of those that are met, so few that they stay near
_ROUNDS = 8
_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Records that seek a sum, each with its candidates: `one[k]` may choose from `many[starts[k]:ends[k]]`."""

    one: Ints
    starts: Ints
    ends: Ints
    many: Ints

    @classmethod
    def of(cls, one: Ints, many: Ints) -> Blocks:
        """From candidate pairs, in any order."""
        order = np.lexsort((many, one))
        one, many = one[order], many[order]
        starts = np.flatnonzero(np.r_[True, one[1:] != one[:-1]]) if len(one) else np.zeros(0, dtype=np.int64)
        ends = np.r_[starts[1:], len(one)][: len(starts)].astype(np.int64)
        return cls(one[starts], starts, ends, many)


@dataclass(slots=True)
class Found:
    """Sets that fit, one entry per seeking record: its position, members, how it was searched, and by chance."""

    one: list[int]
    members: list[Ints]
    search: list[str]
    candidates: list[int]
    by_chance: list[float]


def settle_totals(
    plan: Plan, rule: Rule, pairs: pl.DataFrame, values: tuple[Ints, Ints], ids: tuple[Ids, Ids]
) -> Settled:
    """Candidate pairs (l, r, weight), which satisfy the rule's other conditions, become sets that add up.

    `values`: the totalled field by position, in minor units. With `one_to_many` a left record's counterpart is a set of
    right ones, with `many_to_one` the other way round. Records that others claim too, or for which several sets fit,
    are tied.
    """
    if pairs.is_empty():
        return Settled()
    assert rule.total is not None
    one_side = 0 if rule.cardinality == "one_to_many" else 1
    one, many = (pairs[c].to_numpy().astype(np.int64) for c in ("lr" if one_side == 0 else "rl"))
    window = TotalWindow.of(plan.field(rule.total.field), rule.total)
    lowest, highest = window.intervals(values[one_side], one_side)
    search = _Search(values[1 - one_side], ids[1 - one_side], lowest, highest, rule.budget.members)
    settled: list[Found] = []
    for number in range(_ROUNDS):
        blocks = Blocks.of(one, many)
        found, several, unsearched = search.whole(blocks) if number == 0 else search.subsets(blocks)
        kept, contested = _uncontested(found)
        settled.append(kept)
        # What several records claim, and what can be made up in several ways, may be decided once others are gone.
        taken = np.concatenate([_NONE, *kept.members])
        gone = np.isin(one, np.array(kept.one, dtype=np.int64)) | np.isin(many, taken)
        if not kept.one and number > 0:
            break
        one, many = one[~gone], many[~gone]
    ties = [_ties((several, contested), one_side), _unsearched(unsearched, one_side)]
    return _as_settled(settled, ties, pairs, one_side, values, window)


class _Search:
    """Looks for sets among candidates; the values and identities are those of the many side, by position."""

    def __init__(self, value: Ints, ids: Ids, lowest: Ints, highest: Ints, most: int) -> None:
        self.value, self.ids, self.lowest, self.highest, self.most = value, ids, lowest, highest, most

    def whole(self, blocks: Blocks) -> tuple[Found, Found, Found]:
        """Records for which all their candidates together fit."""
        if not len(blocks.one):
            return _nothing(), _nothing(), _nothing()
        sums = np.add.reduceat(self.value[blocks.many], blocks.starts)
        fits = (sums >= self.lowest[blocks.one]) & (sums <= self.highest[blocks.one])
        found = _nothing()
        for k in np.flatnonzero(fits):
            members = blocks.many[blocks.starts[k] : blocks.ends[k]]
            _add(found, int(blocks.one[k]), members, WHOLE, len(members), 0.0)
        return found, _nothing(), _nothing()

    def subsets(self, blocks: Blocks) -> tuple[Found, Found, Found]:
        """Records with exactly one fitting subset; with several (their members: all of them); with too many
        candidates.
        """
        found, several, unsearched = _nothing(), _nothing(), _nothing()
        starts, counts, many = self._possible(blocks)
        for n in np.unique(counts[counts > 0]).tolist():
            rows = np.flatnonzero(counts == n)
            ones, members = blocks.one[rows], many[starts[rows][:, None] + np.arange(n)]
            if n > self.most:
                for one, candidates in zip(ones.tolist(), members, strict=True):
                    _add(unsearched, one, candidates, EXHAUSTIVE, n, 0.0)
                continue
            # A row's sums, and those of all rows end to end, are kept within 64 bits.
            reach = int(np.abs(self.value[members]).sum(axis=1).max()) + 3
            size = _LISTED_AT_ONCE >> n if n <= _LISTED else min(_MET_AT_ONCE >> (n + 1) // 2, (1 << 62) // reach)
            look = self._list if n <= _LISTED else self._meet
            for begin in range(0, len(rows), max(1, size)):
                part = slice(begin, begin + max(1, size))
                look(ones[part], members[part], found, several)
        return found, several, unsearched

    def _possible(self, blocks: Blocks) -> tuple[Ints, Ints, Ints]:
        """Each block's start, count and, of all, the candidates, but those too large to be in any sum where none is
        negative.
        """
        if not len(blocks.one):
            return blocks.starts, blocks.ends, blocks.many
        values = self.value[blocks.many]
        owner = np.repeat(np.arange(len(blocks.one)), blocks.ends - blocks.starts)
        negative = np.minimum.reduceat(values, blocks.starts) < 0
        possible = negative[owner] | (values <= self.highest[blocks.one][owner])
        counts = np.bincount(owner[possible], minlength=len(blocks.one))
        return np.cumsum(counts) - counts, counts, blocks.many[possible]

    def _list(self, ones: Ints, members: Ints, found: Found, several: Found) -> None:
        """All subsets of each record's candidates at once."""
        sums = self.value[members] @ every_subset(members.shape[1])
        low, high = self.lowest[ones], self.highest[ones]
        fits = (sums >= low[:, None]) & (sums <= high[:, None])
        fits[:, 0] = False
        span, wide = around(low, high)
        near = ((sums >= (low - wide)[:, None]) & (sums <= (high + wide)[:, None])).sum(axis=1)
        rows, subsets = np.nonzero(fits)
        self._tell(ones, members, rows, subsets, near * (span / (span + 2 * wide)), found, several)

    def _meet(self, ones: Ints, members: Ints, found: Found, several: Found) -> None:
        """The same by halves, met in the middle."""
        met = meet(self.value[members], self.lowest[ones], self.highest[ones], _LOOKED_AT)
        for row in np.flatnonzero(met.fits > _LOOKED_AT).tolist():
            _add(several, int(ones[row]), members[row], EXHAUSTIVE, members.shape[1], float(met.by_chance[row]))
        self._tell(ones, members, met.row, met.subset, met.by_chance, found, several)

    def _tell(
        self,
        ones: Ints,
        members: Ints,
        rows: Ints,
        subsets: Ints,
        by_chance: NDArray[np.float64],
        found: Found,
        several: Found,
    ) -> None:
        """Whether each record's fitting subsets are one set or several; of sets that differ in interchangeable records
        only, the one that comes first in row order.
        """
        n = members.shape[1]
        keys = np.where(subsets[:, None] >> np.arange(n) & 1, self.ids[members[rows]], 0).sum(axis=1)
        counted = (
            pl.DataFrame({"row": rows, "subset": subsets, "key": keys})
            .group_by("row")
            .agg(is_one=pl.col("key").n_unique() == 1, first=pl.col("subset").min(), any=pl.col("subset").bitwise_or())
            .select("row", "is_one", within=pl.when("is_one").then("first").otherwise("any"))
            .sort("row")
        )
        within = (counted["within"].to_numpy()[:, None] >> np.arange(n) & 1).astype(np.bool_)
        for row, is_one, chosen in zip(counted["row"].to_list(), counted["is_one"].to_list(), within, strict=True):
            part = found if is_one else several
            _add(part, int(ones[row]), members[row][chosen], EXHAUSTIVE, n, float(by_chance[row]))


_LOOKED_AT = 4096  # fitting subsets that are told apart by their records; more are ambiguous in any case


def _nothing() -> Found:
    return Found([], [], [], [], [])


def _add(found: Found, one: int, members: Ints, search: str, candidates: int, by_chance: float) -> None:
    found.one.append(one)
    found.members.append(members)
    found.search.append(search)
    found.candidates.append(candidates)
    found.by_chance.append(by_chance)


def _uncontested(found: Found) -> tuple[Found, Found]:
    """Splits what fits into sets that nobody else claims a member of, and the others."""
    claimed, times = np.unique(np.concatenate([_NONE, *found.members]), return_counts=True)
    owner = np.repeat(np.arange(len(found.members)), [len(members) for members in found.members])
    is_contested = np.zeros(len(found.members), dtype=np.bool_)
    is_contested[owner[np.isin(np.concatenate([_NONE, *found.members]), claimed[times > 1])]] = True
    kept, rest = _nothing(), _nothing()
    for k, members in enumerate(found.members):
        part = rest if is_contested[k] else kept
        _add(part, found.one[k], members, found.search[k], found.candidates[k], found.by_chance[k])
    return kept, rest


def _ties(undecided: tuple[Found, ...], one_side: int) -> pl.DataFrame:
    """The records of undecided sets: those that share a member compete, whoever claims it."""
    members = [m for found in undecided for m in found.members]
    if not members:
        return pl.DataFrame(schema=TIES_SCHEMA)
    ones = np.array([one for found in undecided for one in found.one], dtype=np.int64)
    return competing(np.repeat(ones, [len(m) for m in members]), np.concatenate(members), one_side)


def _unsearched(found: Found, one_side: int) -> pl.DataFrame:
    """The records with too many candidates to search; the candidates themselves may be free."""
    ones = pl.DataFrame({"component": found.one, "i": found.one}, schema={"component": pl.Int64, "i": pl.Int64})
    rows = ones.select("component", pl.lit(one_side).alias("side"), "i", capped=pl.lit(True))
    return rows.cast(TIES_SCHEMA)  # type: ignore[arg-type]


def _as_settled(
    settled: list[Found],
    ties: list[pl.DataFrame],
    pairs: pl.DataFrame,
    one_side: int,
    values: tuple[Ints, Ints],
    window: TotalWindow,
) -> Settled:
    """Sets with their scores: the closeness of the total, and of the least close member in the other conditions."""
    one = np.array([o for f in settled for o in f.one], dtype=np.int64)
    members = [m for f in settled for m in f.members]
    sizes = [len(m) for m in members]
    every = np.concatenate([_NONE, *members])
    owner = np.repeat(one, sizes)
    names = ("l", "r") if one_side == 0 else ("r", "l")
    member = pl.DataFrame({names[0]: owner, names[1]: every}).cast(pl.UInt32)
    member = member.join(pairs.select("l", "r", "weight"), on=["l", "r"], how="left", maintain_order="left")
    sums = np.add.reduceat(values[1 - one_side][every], np.cumsum([0, *sizes[:-1]])) if sizes else every
    close = _closeness(window, values[one_side][one], sums, one_side)
    weight = member.select(
        set=pl.col(names[0]).cast(pl.Int64), i=names[1], weight=pl.col("weight") + np.repeat(close, sizes)
    ).with_columns(weight=pl.col("weight").min().over("set"))
    lead = weight.group_by("set").agg(pl.col("weight").first()).with_columns(i=pl.col("set"))
    shown = pl.concat(
        [
            weight.select("set", pl.lit(1 - one_side).alias("side"), "i", "weight"),
            lead.select("set", pl.lit(one_side).alias("side"), pl.col("i").cast(pl.UInt32), "weight"),
        ]
    ).with_columns(rivals=pl.lit(0), margin=pl.col("weight").cast(pl.Float64))
    certificates = pl.DataFrame(
        {
            "set": one,
            "search": [s for f in settled for s in f.search],
            "candidates": [c for f in settled for c in f.candidates],
            "by_chance": [c for f in settled for c in f.by_chance],
        }
    )
    taken = {side: shown.filter(pl.col("side") == side)["i"].implode() for side in (0, 1)}
    tied = pl.concat([pl.DataFrame(schema=TIES_SCHEMA), *ties]).unique(["side", "i"], keep="first", maintain_order=True)
    tied = tied.filter(
        ~((pl.col("side") == 0) & pl.col("i").is_in(taken[0])) & ~((pl.col("side") == 1) & pl.col("i").is_in(taken[1]))
    )
    return Settled(
        ties=tied,
        sets=shown.select(*SETS_SCHEMA).cast(SETS_SCHEMA),  # type: ignore[arg-type]
        certificates=certificates.cast(CERTIFICATES_SCHEMA),  # type: ignore[arg-type]
    )


def _closeness(window: TotalWindow, ones: Ints, sums: Ints, one_side: int) -> Ints:
    """CLOSE for the expected total, down to half of it at the far end of what is allowed."""
    found = []
    for value, total in zip(ones.tolist(), sums.tolist(), strict=True):
        left, right = (value, total) if one_side == 0 else (total, value)
        low, high = window.allowed(left)
        ideal = min(max(window.expected(left), low), high)
        reach = max(high - ideal, ideal - low)
        found.append(CLOSE - (abs(right - ideal) * (CLOSE // 2) // reach if reach else 0))
    return np.array(found, dtype=np.int64)
