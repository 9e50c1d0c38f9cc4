"""Which columns of several files mean the same: pairs of columns of two files each, joined to groups over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from recon_engine.column_matching import Column, Pair, every_pair, matched_columns, pair_of


@dataclass(frozen=True)
class SameColumns:
    """One column on each of at least two sides. `negated`: the sides that write the other sign than the first does."""

    columns: dict[str, Column]
    negated: frozenset[str]

    def pair(self, left: str, right: str) -> Pair | None:
        """The columns of two sides, when both have one and they can be compared."""
        if not {left, right} <= self.columns.keys():
            return None
        pair = pair_of(self.columns[left], self.columns[right])
        return replace(pair, negated=(left in self.negated) != (right in self.negated)) if pair.score else None


def same_columns(sides: Mapping[str, Sequence[Column]]) -> list[SameColumns]:
    """Columns that mean the same, in the order of the sides and of their columns.

    The surest pairs come first; a pair that would put two columns of a side together is left out.
    """
    found = [
        (ends, pair)
        for ends in combinations(sides, 2)
        for pair in matched_columns(every_pair(*(list(sides[name]) for name in ends)))
    ]
    found.sort(key=lambda each: (-each[1].score, each[1].left.name, each[1].right.name, each[0]))
    groups: dict[tuple[str, str], SameColumns] = {}
    for (left, right), pair in found:
        ours, theirs = (
            groups.get((side, column.name), SameColumns({side: column}, frozenset()))
            for side, column in ((left, pair.left), (right, pair.right))
        )
        if ours.columns.keys() & theirs.columns.keys():
            continue
        turned = theirs.negated
        if pair.negated != ((left in ours.negated) != (right in theirs.negated)):
            turned = frozenset(theirs.columns) - turned
        columns = {**ours.columns, **theirs.columns}
        # What one pair could only take as text is text.
        columns |= {side: column for side, column in ((left, pair.left), (right, pair.right)) if not column.readings}
        group = SameColumns(columns, ours.negated | turned)
        groups |= {(side, column.name): group for side, column in columns.items()}
    order = [(side, column.name) for side, columns in sides.items() for column in columns]
    distinct = {id(groups[place]): groups[place] for place in order if place in groups}
    return [_in_order(group, list(sides)) for group in distinct.values()]


def _in_order(group: SameColumns, names: Sequence[str]) -> SameColumns:
    columns = {name: group.columns[name] for name in names if name in group.columns}
    negated = group.negated
    # The first side's sign is the plan's.
    return SameColumns(columns, frozenset(columns) - negated if next(iter(columns)) in negated else negated)
