"""Which columns of several files mean the same: pairs of columns of two files each, joined to groups over all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import gcd

from recon_engine.column_matching import Pair, every_pair, matched_columns, pair_of
from recon_engine.columns import Column, as_text, contained
from recon_engine.reading.table import TextTable
from recon_engine.record_agreement import agreeing
from recon_engine.spellings import spelt_as


@dataclass(frozen=True)
class SameColumns:
    """One column on each of at least two sides. `negated`: the sides that write the other sign than the first does;
    `times`: what each side's numbers are multiplied by to be in one unit; `pairs`: what was found of two sides.
    """

    columns: dict[str, Column]
    negated: frozenset[str] = frozenset()
    times: dict[str, int] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Pair] = field(default_factory=dict)

    def pair(self, left: str, right: str) -> Pair | None:
        """The columns of two sides, when both have one and they can be compared."""
        if not {left, right} <= self.columns.keys():
            return None
        ends = self.columns[left], self.columns[right]
        found = self.pairs.get((left, right)) or pair_of(*ends)
        negated, times = (left in self.negated) != (right in self.negated), self._units(left, right)
        whole = replace(found, left=ends[0], right=ends[1], negated=negated, times=times, unsigned=self.unsigned)
        return whole if found.score else None

    @property
    def unsigned(self) -> bool:
        """True where two sides are equal but for the sign: what one of them writes says nothing to the others."""
        return any(pair.unsigned for pair in self.pairs.values())

    def _units(self, left: str, right: str) -> tuple[int, int]:
        ours, theirs = self.times.get(left, 1), self.times.get(right, 1)
        return ours // gcd(ours, theirs), theirs // gcd(ours, theirs)


def same_columns(
    sides: Mapping[str, Sequence[Column]],
    tables: Mapping[str, TextTable],
    part: int,
    spelt: Collection[tuple[str, str]] = (),
) -> list[SameColumns]:
    """Columns that mean the same, in the order of the sides and of their columns.

    The surest pairs come first; a pair that would put two columns of a side together is left out. `part`: of large
    files, one record in so many is looked at. `spelt`: the pairs of sides whose codes may be in another spelling.
    """
    found = [
        ((left, right), pair)
        for left, right in combinations(sides, 2)
        for pair in matched_columns(
            agreeing(
                (tables[left], tables[right]),
                every_pair(list(sides[left]), list(sides[right]), spelt=(left, right) in spelt),
                part,
            )
        )
    ]
    found.sort(key=lambda each: (-each[1].score, each[1].left.name, each[1].right.name, each[0]))
    groups: dict[tuple[str, str], SameColumns] = {}
    for ends, pair in found:
        ours, theirs = (
            groups.get((side, column.name), SameColumns({side: column}))
            for side, column in zip(ends, (pair.left, pair.right), strict=True)
        )
        if ours.columns.keys() & theirs.columns.keys():
            continue
        group = _joined(ours, theirs, ends, pair)
        groups |= {(side, column.name): group for side, column in group.columns.items()}
    order = [(side, column.name) for side, columns in sides.items() for column in columns]
    distinct = {id(groups[place]): groups[place] for place in order if place in groups}
    return [_whole(group, list(sides), found) for group in distinct.values()]


def _joined(ours: SameColumns, theirs: SameColumns, ends: tuple[str, str], pair: Pair) -> SameColumns:
    """Two groups in one, by a pair of columns of both."""
    left, right = ends
    turned = theirs.negated
    if pair.negated != ((left in ours.negated) != (right in theirs.negated)):
        turned = frozenset(theirs.columns) - turned
    columns = {**ours.columns, **theirs.columns}
    # What one pair could only take as text is text.
    columns |= {s: c for s, c in ((left, pair.left), (right, pair.right)) if not c.readings}
    # Each group has a unit of its own: both are brought to one in which the pair's numbers are equal.
    scales = pair.times[0] * theirs.times.get(right, 1), pair.times[1] * ours.times.get(left, 1)
    times = {
        side: group.times.get(side, 1) * scale
        for group, scale in zip((ours, theirs), scales, strict=True)
        for side in group.columns
    }
    shared = gcd(*times.values())
    return SameColumns(
        columns,
        ours.negated | turned,
        {side: factor // shared for side, factor in times.items()},
    )


def _whole(group: SameColumns, names: Sequence[str], found: Sequence[tuple[tuple[str, str], Pair]]) -> SameColumns:
    """The group with its sides in their order, and all that was found of two of them."""
    columns = {name: group.columns[name] for name in names if name in group.columns}
    called = {name: column.name for name, column in columns.items()}
    pairs = {ends: pair for ends, pair in found if (pair.left.name, pair.right.name) == tuple(map(called.get, ends))}
    # The first side's sign is the plan's.
    turned = next(iter(columns)) in group.negated
    negated = frozenset(columns) - group.negated if turned else group.negated
    return replace(group, columns=_in_one_spelling(columns, pairs.values()), negated=negated, pairs=pairs)


def _in_one_spelling(columns: dict[str, Column], pairs: Collection[Pair]) -> dict[str, Column]:
    """The columns in that spelling of two of them in which the codes of all most meet: a field is cleaned in one way
    on every side, and two sides alone may need to leave out less.
    """
    ways = dict.fromkeys(pair.left.spelling for pair in pairs if pair.left.spelling)
    spelt = [{side: spelt_as(as_text(column), steps) for side, column in columns.items()} for steps in ways]
    return max(
        spelt, key=lambda way: sum(contained(a.keys, b.keys) for a, b in combinations(way.values(), 2)), default=columns
    )
