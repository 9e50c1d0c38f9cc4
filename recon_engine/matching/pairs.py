"""The one-to-one matches of a run, held narrowly: six bytes a left record, so that hundreds of millions fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from recon_engine.matching.conditions import CLOSE
from recon_engine.matching.settled import Bools
from recon_engine.plan import Plan

PerRule = np.typing.NDArray[np.uint8]
NOBODY = np.uint32(0xFFFFFFFF)
_SLICE = 1 << 19
_SPECIAL = ("l", "weight", "rivals", "margin")


class Pairs:
    """Matches by the position of their left record.

    Most are lone pairs that fit their rule perfectly: of those nothing is kept but the right record and the rule.
    """

    def __init__(self, plan: Plan, rows: tuple[int, int]) -> None:
        """No matches yet, of `rows` left and right records."""
        self.rows = rows
        self._right = np.full(rows[0], NOBODY, dtype=np.uint32)
        kind: Any = np.uint8 if len(plan.rules) < 1 << 8 else np.uint16
        self._rule = np.full(rows[0], np.iinfo(kind).max, dtype=kind)  # a number that no rule has, where none matched
        # What a perfect pair weighs; evidence of a link knows no perfect one.
        self._full = np.array([CLOSE * len(rule.on) for rule in plan.rules], dtype=np.int64)
        self._special: list[pl.DataFrame] = []
        self.counts = np.zeros(len(plan.rules), dtype=np.int64)
        """Matches of each rule."""

    def add(self, matches: pl.DataFrame) -> None:
        """Add decided matches (MATCHES_SCHEMA). No record may be in two."""
        left, rule = matches["l"].to_numpy(), matches["rule"].to_numpy()
        self._right[left] = matches["r"].to_numpy()
        self._rule[left] = rule
        self.counts += np.bincount(rule, minlength=len(self.counts))
        full = pl.Series(self._full[rule])
        special = (pl.col("weight") != full) | (pl.col("rivals") > 0) | (pl.col("margin") != full.cast(pl.Float64))
        self._special.append(matches.lazy().filter(special).select(_SPECIAL).collect())

    @property
    def height(self) -> int:
        """How many matches there are."""
        return int(self.counts.sum())

    def of(self, rule: int) -> tuple[Bools, Bools]:
        """Per side and position, whether this rule matched the record."""
        left, right = np.asarray(self._rule == rule), np.zeros(self.rows[1], dtype=np.bool_)
        for begin in range(0, self.rows[0], _SLICE):
            here = slice(begin, begin + _SLICE)
            right[self._right[here][left[here]]] = True
        return left, right

    def per_record(self, value_of_rule: PerRule) -> tuple[PerRule, PerRule]:
        """Per side and position, the value of the rule that matched the record; 0 where none did."""
        found = np.zeros(self.rows[0], dtype=np.uint8), np.zeros(self.rows[1], dtype=np.uint8)
        for begin in range(0, self.rows[0], _SLICE):
            right = self._right[begin : begin + _SLICE]
            matched = right != NOBODY
            value = np.zeros(len(right), dtype=np.uint8)
            value[matched] = value_of_rule[self._rule[begin : begin + _SLICE][matched]]
            found[0][begin : begin + _SLICE] = value
            found[1][right[matched]] = value[matched]
        return found

    def frame(self, first_rule: int = 0) -> pl.DataFrame:
        """The matches of the rules from this one on: match_id and MATCHES_SCHEMA, in the order of the left records."""
        return pl.concat([part.filter(pl.col("rule") >= first_rule) for part in self.slices()])

    def beside(self, side: int, positions: pl.Series) -> pl.DataFrame:
        """Of the records of a side (0 left, 1 right) at these positions, those matched (other), and to which (i)."""
        if side == 0:
            found = pl.DataFrame({"other": positions, "i": self._right[positions.to_numpy()]})
            return found.filter(pl.col("i") != NOBODY).cast(pl.UInt32)
        wanted = np.zeros(self.rows[1] + 1, dtype=np.bool_)  # the last is for nobody
        wanted[positions.to_numpy()] = True
        parts = [pl.DataFrame(schema={"other": pl.UInt32, "i": pl.UInt32})]
        for begin in range(0, self.rows[0] if len(positions) else 0, _SLICE):
            right = self._right[begin : begin + _SLICE]
            left = np.flatnonzero(wanted[np.minimum(right, self.rows[1])])
            parts.append(pl.DataFrame({"other": right[left], "i": (left + begin).astype(np.uint32)}))
        return pl.concat(parts)

    def ids_of(self, left: pl.Series) -> pl.Series:
        """The match_id of these matched left records."""
        order = left.arg_sort().to_numpy()
        sought = left.to_numpy()[order]
        found, before = np.empty(len(sought), dtype=np.int64), 0
        for begin in range(0, self.rows[0], _SLICE):
            numbers = np.cumsum(self._right[begin : begin + _SLICE] != NOBODY)
            low, high = np.searchsorted(sought, [begin, begin + _SLICE])
            found[order[low:high]] = before + numbers[sought[low:high] - begin]
            before += int(numbers[-1])
        return pl.Series(found)

    def slices(self) -> Iterator[pl.DataFrame]:
        """The matches in the order of the left records, in pieces: match_id (from 1) and MATCHES_SCHEMA."""
        special = pl.concat([pl.DataFrame(schema=_SCHEMA), *self._special]).sort("l")
        self._special = [special]
        where = special["l"].to_numpy()
        first_id = 1
        for begin in range(0, max(self.rows[0], 1), _SLICE):
            right = self._right[begin : begin + _SLICE]
            left = np.flatnonzero(right != NOBODY)
            rule = self._rule[begin : begin + _SLICE][left]
            weight = self._full[rule]
            rivals, margin = np.zeros(len(left), dtype=np.uint32), weight.astype(np.float64)
            low, high = np.searchsorted(where, [begin, begin + _SLICE])
            told = special[int(low) : int(high)]
            place = np.searchsorted(left, where[low:high] - begin)
            weight[place], rivals[place], margin[place] = (told[c].to_numpy() for c in _SPECIAL[1:])
            yield pl.DataFrame(
                {
                    "match_id": np.arange(first_id, first_id + len(left)),
                    "l": (left + begin).astype(np.uint32),
                    "r": right[left],
                    "rule": rule.astype(np.uint16),
                    "weight": weight,
                    "rivals": rivals,
                    "margin": margin,
                }
            )
            first_id += len(left)


_SCHEMA = {"l": pl.UInt32, "weight": pl.Int64, "rivals": pl.UInt32, "margin": pl.Float64}
