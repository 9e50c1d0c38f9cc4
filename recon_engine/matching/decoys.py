"""How many of a rule's matches are accidents: the rule is run against decoys, and real hits are set against decoy hits.

The records of one side that the rule left unmatched are replaced by decoys: each takes the value of one of the rule's
fields from another of them. Every field keeps its distribution, and the matched records stay and compete as they did;
what matches a decoy is an accident. The side with fewer such records has the decoys, so that it plays no part which is
called left. The estimate needs no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import polars as pl

from recon_engine.matching.candidates import join_key
from recon_engine.matching.comparables import ID, at, columns_of, text_column
from recon_engine.matching.conditions import Rarities, equalities, needed_columns
from recon_engine.matching.decisions import decide
from recon_engine.plan import FieldSpec, Plan, Rule

SAMPLED = 50_000
"""About this many records are tried; which ones is decided by their content."""
MOST_FREE = 4_000_000
"""About this many unmatched records of the other side make decoys; which ones is decided by their content."""
ROUNDS = 5
_MUCH_LESS = 4
_Z = 3.0
Frames = tuple[pl.LazyFrame, pl.LazyFrame]
Flags = tuple[pl.Series, pl.Series]
"""Per side and position, true or false: as series they take a bit each."""
Keep = Callable[[int, pl.LazyFrame], tuple[pl.LazyFrame, Callable[[pl.DataFrame], pl.LazyFrame]]]
"""How the records that a rule left on a side are kept: what is to be collected, and what its result is read as."""


def in_memory(_: int, records: pl.LazyFrame) -> tuple[pl.LazyFrame, Callable[[pl.DataFrame], pl.LazyFrame]]:
    """Keeps them as they are."""
    return records, pl.DataFrame.lazy


@dataclass(frozen=True, slots=True)
class Chance:
    """Matches with decoys, in all rounds; `scale` makes up for those that were not tried; `free`: records of
    the decoys' side that the rule left unmatched; `tied`: how many of them because they have several candidates;
    `matches`: how many there were of real records. One record with several counterparts is one match.
    """

    hits: int
    scale: float
    free: int
    tied: int
    matches: int

    @property
    def false_rate(self) -> tuple[float, float, float]:
        """The share of accidents among the matches: estimate and interval (three standard deviations).

        Accidents and decoy hits are both counts of rare events: their square roots vary by one half. At the low end,
        tied records are taken not to be free: their counterparts may exist.
        """
        accidents = self.hits * self.scale / ROUNDS
        reach = _Z / 2 * sqrt(1 + self.scale / ROUNDS)
        low = max(0.0, sqrt(accidents) - reach) ** 2 * (1 - self.tied / max(self.free, 1))
        high = (sqrt(accidents + self.scale / ROUNDS) + reach) ** 2
        return self._rate(accidents), self._rate(low), self._rate(high)

    def _rate(self, accidents: float) -> float:
        if self.free:
            # The records that matched by accident were free too.
            accidents *= (self.free + accidents) / self.free
        return round(min(1.0, accidents / self.matches), 6) if self.matches else 0.0


def chance_of(
    plan: Plan,
    rule: Rule,
    frames: Frames,
    is_open: Flags,
    matched: Flags,
    tied: tuple[int, int],
    known: Rarities,
    keep: Keep = in_memory,
) -> tuple[Chance | None, Frames]:
    """The decoys' hits under a rule; None where decoys say nothing: a single condition, a link, a total.

    `frames`: `__i`, `__id` and the comparable columns of all records of each side, at least of those in `is_open`: that
    the rule could match; `matched`: those that it did; `tied`: how many right ones it left tied. Beside the hits come
    the frames for the next rule: where the rule left few records, these, read in the same pass and kept as `keep` says.
    """
    if rule.link is not None or rule.total is not None or len({c.field for c in rule.on}) < 2:
        return None, frames
    equal = equalities(rule)
    keys = join_key(plan, equal, tuple(c.field for c in equal)) if equal else pl.col(ID)
    rest = [o & ~m for o, m in zip(is_open, matched, strict=True)]
    unmatched = [frame.filter(at(flags)) for frame, flags in zip(frames, rest, strict=True)]
    left_over, opened = ([int(flags.sum()) for flags in both] for both in (rest, is_open))
    other = _with_decoys(unmatched, left_over)
    tried = 1 - other
    every = max(1, -(-opened[tried] // SAMPLED))
    chosen = (keys.hash(23) % every) == 0 if every > 1 else pl.lit(True)
    columns = [ID, *needed_columns(plan, [rule])]
    count = left_over[other]
    of_free = -(-count // MOST_FREE)
    sampled = unmatched[other] if of_free <= 1 else unmatched[other].filter(pl.col(ID).hash(37) % of_free == 0)
    keeping = [keep(k, frame) for k, frame in enumerate(unmatched)] if sum(left_over) * _MUCH_LESS < sum(opened) else []
    # Without equalities, nothing says which of the others the chosen records could match: all of them compete.
    own, competing, free, *kept = pl.collect_all(
        [
            frames[tried].filter(at(is_open[tried])).filter(chosen).select("__i", *columns),
            frames[other].filter(at(matched[other])).filter(chosen if equal else True).select("__i", *columns),
            sampled.select("__i", *columns),
            *(query for query, _ in keeping),
        ],
        engine="streaming",
    )
    if keeping:
        one, two = (read(table) for (_, read), table in zip(keeping, kept, strict=True))
        frames = one, two
    own, competing, free = (table.sort("__i").select(columns) for table in (own, competing, free))
    matches = min(int(flags.sum()) for flags in matched)
    found = Chance(0, float(every * max(1, of_free)), count, min(tied[other], count), matches)
    if own.is_empty() or free.is_empty():
        return found, frames
    permuted, strata = _permuted(plan, rule, free)
    stratum = join_key(plan, equal, strata) if strata else pl.lit(0, dtype=pl.UInt64)
    # In each stratum, records stand in an order that their content decides.
    free = free.with_columns(__stratum=stratum).sort("__stratum", pl.col(ID).hash(29), ID)
    free = free.with_columns(__size=pl.len().over("__stratum"), __first=pl.int_range(pl.len()).min().over("__stratum"))
    hits = 0
    for shift in range(1, ROUNDS + 1):
        decoys = _decoys(free, permuted, shift, chosen if equal else pl.lit(True), columns)
        table = pl.concat([competing, decoys])
        left, right = (own, table) if other == 1 else (table, own)
        ids = (left[ID].to_numpy(), right[ID].to_numpy())
        settled, _ = decide(plan, rule, left.with_row_index("i"), right.with_row_index("i"), ids, known)
        lone = settled.pairs.filter(pl.col("lr"[other]) >= competing.height)
        sets = settled.sets.filter(pl.col("side") == other, pl.col("i") >= competing.height)
        hits += min(lone["l"].n_unique(), lone["r"].n_unique()) + sets["set"].n_unique()
    return replace(found, hits=hits), frames


def _with_decoys(unmatched: Sequence[pl.LazyFrame], left_over: Sequence[int]) -> int:
    """The side that has the decoys: of which fewer records are unmatched, but some; of as many, content decides."""
    if left_over[0] != left_over[1]:
        few = int(left_over[1] < left_over[0])
        return few if left_over[few] else 1 - few
    sums = pl.collect_all([frame.select(pl.col(ID).hash(41).sum()) for frame in unmatched], engine="streaming")
    return int(sums[1].item() >= sums[0].item())


def _permuted(plan: Plan, rule: Rule, free: pl.DataFrame) -> tuple[FieldSpec, tuple[str, ...]]:
    """The field that decoys exchange, the one with the most distinct values; and within which equal values they do.

    The runner-up is not among those: exchanging what goes with nothing else would change nothing.
    """
    names = list(dict.fromkeys(c.field for c in rule.on))
    column = {n: next(c for c in _columns(plan.field(n)) if c in free.columns) for n in names}
    counts = free.select(pl.col(column[n]).approx_n_unique().alias(n) for n in names)
    row = counts.row(0, named=True)
    ranked = sorted(names, key=lambda n: (-row[n], n))
    measured = {c.field for c in rule.on if not c.is_equality}
    # A tolerance goes with the permuted field already: then every equality can stay.
    apart = ranked[:1] if measured - {ranked[0]} else ranked[:2]
    return plan.field(ranked[0]), tuple(c.field for c in equalities(rule) if c.field not in apart)


def _decoys(free: pl.DataFrame, permuted: FieldSpec, shift: int, chosen: pl.Expr, columns: list[str]) -> pl.DataFrame:
    """The free records, each with the permuted field of the one `shift` places on in its stratum; of these, the
    `chosen`. One that has nobody to exchange with stays as it is: such accidents are real.
    """
    values = [c for c in _columns(permuted) if c in columns]
    place = pl.int_range(pl.len()) - pl.col("__first")
    other = pl.col("__first") + (place + shift) % pl.col("__size")
    moved = free.lazy().with_columns(pl.col(c).gather(other) for c in values).filter(chosen)
    # Decoys are nobody's equals.
    return moved.with_columns(pl.col(ID).hash(31 + shift)).select(columns).collect()


def _columns(spec: FieldSpec) -> list[str]:
    return [*columns_of(spec), text_column(spec.name)]


def link_chance(probabilities: pl.Series) -> tuple[float, float, float]:
    """The share of accidents among linked matches: the mean of what their probabilities leave open, and its interval.

    The interval is that of a sum of independent trials.
    """
    if probabilities.is_empty():
        return 0.0, 0.0, 0.0
    p = 1 - probabilities.to_numpy().astype(np.float64)
    rate, error = float(p.mean()), _Z * float(np.sqrt((p * (1 - p)).sum())) / len(p)
    return round(rate, 6), round(max(0.0, rate - error), 6), round(min(1.0, rate + error), 6)
