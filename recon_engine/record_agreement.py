"""Which columns mean the same, by records that certainly are the same: values that stand once in each file bring these
together, and there the other columns agree far more often than among strangers, whatever their names are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recon_engine.column_matching import Pair, end_key
from recon_engine.columns import Column, as_read
from recon_engine.reading.table import TextTable

Tables = tuple[TextTable, TextTable]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
# Columns whose values meet are tried alone and two together as what brings records together.
_TRIED, _RECORDS, _FEWEST, _SHARED = 6, 2_000, 20, 0.05
# Each costs a scan of both files, which is felt where these are large.
_TRIED_OF_MANY = 2
# Above what strangers do, columns of one meaning agree in so many records; nothing is learnt where these usually agree.
_AGREE, _STRANGERS = 0.5, 0.8
_SAYS = 0.1
_CENT = 0.005
_DAYS = 3
_UNITS = (1, 10, 100, 1000)
_SAME_WORDS = 0.6
# Dates near each other and texts with the same words are the same in a wider sense than equal values are.
_NEARLY = 0.8
_SIGN = 0.2
# A reading by which records agree so much more than by any other is the right one.
_DECIDES = 0.3


@dataclass(frozen=True)
class _Way:
    """How two columns agree: in which share of records, above that of strangers, and after what change. `read`: the
    pair with the readings that alone bring this about, where there are others.
    """

    share: float
    lift: float
    equal: bool = True
    negated: bool = False
    times: tuple[int, int] = (1, 1)
    unsigned: bool = False
    read: Pair | None = None

    @property
    def worth(self) -> float:
        """By how much it is better than others: what the sign tells is given up for more only."""
        return self.lift - (_SIGN if self.unsigned else 0.0)


def agreeing(tables: Tables, pairs: list[list[Pair]], part: int) -> list[list[Pair]]:
    """The pairs of each left column with each right one, those raised that agree in records which are the same.

    `part`: of large files, one record in so many is looked at. Where no records can be brought together, the pairs are
    as given.
    """
    best: tuple[float, list[tuple[int, int]], dict[tuple[int, int], _Way], int] | None = None
    sides = (_Side(tables[0], [row[0].left for row in pairs]), _Side(tables[1], [p.right for p in pairs[0]]))
    for seed in _seeds(pairs, part):
        together = _together(sides, seed, pairs, part)
        if together is None:
            continue
        ways = _ways(pairs, *together)
        others = _apart({at: way for at, way in ways.items() if not any(at[0] == i or at[1] == j for i, j in seed)})
        mass = together[0].height * sum(way.lift for way in others)
        if others and (best is None or mass > best[0]):
            best = (mass, seed, ways, together[0].height)
    if best is None:
        return pairs
    _, seed, ways, records = best
    for i, j in seed:
        ways[i, j] = _Way(1.0, 1.0, negated=pairs[i][j].negated, times=pairs[i][j].times)
    # What only two columns together bring about proves neither of them alone.
    halves = seed if len(seed) > 1 else []
    return [
        [_raised(p, ways.get((i, j)), records, alone=(i, j) not in halves) for j, p in enumerate(row)]
        for i, row in enumerate(pairs)
    ]


def _seeds(pairs: list[list[Pair]], part: int) -> Iterator[list[tuple[int, int]]]:
    """Places of the columns that may bring records together: one that names them, or two that do so together."""
    found = [
        (p.overlap * min(p.left.distinct, p.right.distinct), (i, j))
        for i, row in enumerate(pairs)
        for j, p in enumerate(row)
        if p.overlap >= _SHARED and not p.left.undecided and not p.right.undecided
    ]
    tried = _TRIED if part == 1 else _TRIED_OF_MANY
    best = [at for worth, at in sorted(found, reverse=True)[:tried] if worth >= _FEWEST]
    yield from ([at] for at in best)
    if part == 1:
        few = [at for worth, at in sorted(found, reverse=True)[:_TRIED]]
        yield from ([a, b] for a, b in combinations(few, 2) if a[0] != b[0] and a[1] != b[1])


@dataclass
class _Side:
    table: TextTable
    columns: Sequence[Column]
    whole: pl.DataFrame | None = None

    def records(self, values: Sequence[pl.Expr], part: int) -> pl.DataFrame:
        """The records that alone have these `values`, by a `__key` of them; all their cells as text."""
        key = pl.concat_str(values, separator="\x1f")
        names = [c.name for c in self.columns]
        if part > 1:
            chosen = self.table.frame.filter(key.is_not_null() & (key.hash(7) % part == 0))
            frame = chosen.select(key.alias("__key"), *names)
            return frame.collect(engine="streaming").filter(pl.col("__key").is_unique())
        if self.whole is None:
            self.whole = self.table.frame.select(names).collect(engine="streaming")
        return self.whole.with_columns(key.alias("__key")).filter(
            pl.col("__key").is_not_null() & pl.col("__key").is_unique()
        )


def _together(
    sides: tuple[_Side, _Side], seed: list[tuple[int, int]], pairs: list[list[Pair]], part: int
) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Records of both sides in the same order, those that share the seed's values; None where too few do."""
    ends = [pairs[i][j] for i, j in seed]
    one, two = (
        side.records([end_key(p, name, thorough=part == 1) for p in ends], part)
        for side, name in zip(sides, ("left", "right"), strict=True)
    )
    keys = one.select("__key").join(two.select("__key"), on="__key").sort("__key")
    if keys.height < _FEWEST:
        return None
    keys = keys.gather_every(max(1, keys.height // _RECORDS))
    return keys.join(one, on="__key", how="left").sort("__key"), keys.join(two, on="__key", how="left").sort("__key")


class _Values:
    """What columns hold in the records of one side, made at once for all columns that they are compared with: numbers
    and days as floats, NaN where there is none; keys as hashes, 0 where there is none; words as lists.
    """

    def __init__(self, records: pl.DataFrame, side: str, pairs: Sequence[Pair]) -> None:
        self._side = side
        wanted: dict[tuple[object, ...], pl.Expr] = {}
        for pair in pairs:
            for kind in _kinds(pair):
                if (name := self._name(pair, kind)) not in wanted:
                    wanted[name] = self._made(pair, kind)
        made = records.select(each.alias(str(at)) for at, each in enumerate(wanted.values()))
        self._values = dict(zip(wanted, made.get_columns(), strict=True))
        self._turn = np.roll(np.arange(records.height), records.height // 2)
        self._strangers: dict[tuple[object, ...], pl.Series] = {}
        self._vocabularies: dict[tuple[object, ...], NDArray[np.uint64]] = {}

    def of(self, pair: Pair, kind: str) -> pl.Series:
        """What the pair's column of this side holds."""
        return self._values[self._name(pair, kind)]

    def strangers(self, pair: Pair, kind: str) -> pl.Series:
        """The same, turned round: none stands beside its own record."""
        name = self._name(pair, kind)
        if name not in self._strangers:
            self._strangers[name] = self._values[name].gather(self._turn)
        return self._strangers[name]

    def vocabulary(self, pair: Pair) -> NDArray[np.uint64]:
        """All words that the pair's column of this side holds, as hashes."""
        name = self._name(pair, "words")
        if name not in self._vocabularies:
            self._vocabularies[name] = self._values[name].explode().drop_nulls().hash().unique().to_numpy()
        return self._vocabularies[name]

    def _name(self, pair: Pair, kind: str) -> tuple[object, ...]:
        column = pair.left if self._side == "left" else pair.right
        reading = column.readings[0] if column.readings else None
        return kind, column.name, column.spelling, reading, pair.factor(self._side) if kind == "key" else 1

    def _made(self, pair: Pair, kind: str) -> pl.Expr:
        column = pair.left if self._side == "left" else pair.right
        if kind == "key":
            key = end_key(pair, self._side, thorough=True)
            return pl.when(key.is_not_null()).then(key.hash()).otherwise(pl.lit(0, pl.UInt64))
        if kind == "words":
            return pl.col(column.name).str.to_lowercase().str.extract_all(r"\p{L}{2,}").list.unique()
        value = column.readings[0].value(column.name)
        return (value if kind == "number" else value.cast(pl.Date).to_physical()).cast(pl.Float64).fill_null(np.nan)


def _kinds(pair: Pair) -> list[str]:
    """By what two columns can be compared."""
    a, b = pair.left, pair.right
    if a.kind in ("decimal", "integer") and b.kind in ("decimal", "integer"):
        return ["number"]
    if a.kind in ("date", "datetime") and b.kind in ("date", "datetime"):
        return ["day"]
    if {a.kind, b.kind} <= {"text", "integer"}:
        return ["key", "words"] if a.kind == b.kind == "text" and (a.wordy or b.wordy) else ["key"]
    return []


def _ways(pairs: list[list[Pair]], one: pl.DataFrame, two: pl.DataFrame) -> dict[tuple[int, int], _Way]:
    """The pairs of columns that agree in the records, by their places."""
    places = {(i, j): _as_read(pair) for i, row in enumerate(pairs) for j, pair in enumerate(row)}
    every = [pair for each in places.values() for pair in each]
    sides = _Values(one, "left", every), _Values(two, "right", every)
    found = {}
    for at, readings in places.items():
        ways = [_best(_compared(pair, *sides)) for pair in readings]
        lifts = [way.lift if way else 0.0 for way in ways]
        place = int(np.argmax(lifts))
        alone = len(lifts) > 1 and lifts[place] - sorted(lifts)[-2] >= _DECIDES
        if (way := ways[place if alone else 0]) is not None:
            found[at] = replace(way, read=readings[place]) if alone else way
    return found


def _as_read(pair: Pair) -> list[Pair]:
    """The pair with each reading of its columns, the preferred one first; itself where they have one each."""
    if not (pair.left.undecided or pair.right.undecided):
        return [pair]
    left, right = ([as_read(c, r) for r in c.readings] if c.undecided else [c] for c in (pair.left, pair.right))
    return [replace(pair, left=one, right=two) for one, two in product(left, right)]


def _best(ways: Iterator[_Way | None]) -> _Way | None:
    return max((way for way in ways if way is not None), key=lambda way: way.worth, default=None)


def _compared(pair: Pair, one: _Values, two: _Values) -> Iterator[_Way | None]:
    """The ways in which two columns may agree; None for each in which they do not."""
    kinds = _kinds(pair)
    if not kinds:
        return
    x, y, z = (v.to_numpy() for v in (one.of(pair, kinds[0]), two.of(pair, kinds[0]), two.strangers(pair, kinds[0])))
    if kinds[0] == "key":
        said = (x != 0) & (y != 0)
        yield _way(lambda w: (x == w) & (x != 0), y, z, said)
        if "words" in kinds and np.intersect1d(one.vocabulary(pair), two.vocabulary(pair), assume_unique=True).size:
            words = one.of(pair, "words")
            same = partial(_same_words, words)
            yield _way(same, two.of(pair, "words"), two.strangers(pair, "words"), said, equal=False)
        return
    said = ~np.isnan(x) & ~np.isnan(y)
    if kinds[0] == "day":
        yield _way(lambda w: x == w, y, z, said)
        if said.any():
            middle = np.median((y - x)[said])
            yield _way(lambda w: np.abs(w - x - middle) <= _DAYS, y, z, said, equal=False)
        return
    for sign in (1, -1):
        for ours, theirs in dict.fromkeys([(1, n) for n in _UNITS] + [(n, 1) for n in _UNITS]):
            way = _way(partial(_near, x * ours, sign * theirs), y, z, said)
            yield way and replace(way, negated=sign < 0, times=(ours, theirs))
    if (x < 0).any() or (y < 0).any():
        way = _way(partial(_near, np.abs(x), 1), np.abs(y), np.abs(z), said)
        yield way and replace(way, unsigned=True)


def _way(
    agree: Callable[[Any], Bools],
    mine: pl.Series | Floats,
    strangers: pl.Series | Floats,
    said: Bools,
    *,
    equal: bool = True,
) -> _Way | None:
    """How the left column agrees with the right one; None where it does no more than among strangers."""
    spoken = int(said.sum())
    if spoken < max(_FEWEST, _SAYS * len(said)):
        return None
    share = float(agree(mine)[said].mean())
    if share < _AGREE:  # no lift is above its share
        return None
    base = float(agree(strangers).mean())
    if base > _STRANGERS:
        return None
    lift = (share - base) / (1 - base) * (1.0 if equal else _NEARLY)
    return _Way(share, lift, equal) if lift >= _AGREE else None


def _near(numbers: Floats, factor: int, others: Floats) -> Bools:
    return np.abs(numbers - factor * others) < _CENT


def _same_words(a: pl.Series, b: pl.Series) -> Bools:
    """Where most words of the shorter text are in the longer one."""
    fewer = pl.min_horizontal(pl.col("a").list.len(), pl.col("b").list.len())
    shared = pl.col("a").list.set_intersection("b").list.len() >= _SAME_WORDS * fewer
    return pl.DataFrame({"a": a, "b": b}).select((shared & (fewer > 0)).fill_null(value=False)).to_series().to_numpy()


def _apart(ways: dict[tuple[int, int], _Way]) -> list[_Way]:
    """The best ways, each column used once."""
    left: set[int] = set()
    right: set[int] = set()
    kept = []
    for (i, j), way in sorted(ways.items(), key=lambda item: -item[1].lift):
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            kept.append(way)
    return kept


def _raised(pair: Pair, way: _Way | None, records: int, *, alone: bool) -> Pair:
    """The pair with what the records say of it, where they say that it is one."""
    if way is None:
        return pair
    told = "equal" if way.equal else "near each other"
    told = f"{told} with the other sign" if way.negated else told
    told = f"{told} but for the sign" if way.unsigned else told
    told = f"{told} times {max(way.times)}" if max(way.times) > 1 else told
    if way.read is not None:
        told = f"{told} as {_read_as(pair, way.read)}"
        pair = way.read
    reason = f"{pair.reason}; {told} in {way.share:.0%} of {records:,} records that are the same by other columns"
    return replace(
        pair,
        score=max(pair.score, 0.5 + 0.45 * way.lift),
        overlap=max(pair.overlap, way.share) if way.equal else pair.overlap,
        reason=reason,
        negated=way.negated if way.equal else pair.negated,
        times=way.times,
        alike=not way.equal and pair.left.kind == "text",
        proven=way.equal and alone,
        unsigned=way.unsigned,
    )


def _read_as(pair: Pair, read: Pair) -> str:
    """In words, how the columns that can be read in several ways are read."""
    both = ((pair.left, read.left), (pair.right, read.right))
    return " and ".join(f"{now.name} is read as {now.readings[0].told}" for before, now in both if before.undecided)
