"""Which column of one file is which of the other: by names, types and values, each used once, best total first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.column_names import concepts, is_identifier, name_likeness
from recon_engine.columns import NUMBERS, Column, as_read, as_text, comparable, contained, number_key
from recon_engine.spellings import left_out, respelt, unpadded
from recon_engine.value_types import Reading

_LEAST_SCORE = 0.4
_SAME_NAME, _CALLED_ALIKE = 0.9, 0.5
_UNLIKE = 0.1
# A reading by which so many values are in common, and twice as many as by any other, is the right one.
_DECIDES = 0.5
# One side writes cents, the other whole units: so many times, in so much of the values, and so many more than before.
_CENTS, _SCALED_ALIKE, _SCALED_BETTER = 100, 0.5, 0.3
_FEWEST_RUNNING = 10
Weights = np.typing.NDArray[np.float64]
Places = np.typing.NDArray[np.int64]
_DATES = ("date", "datetime")


@dataclass(frozen=True)
class Pair:
    """Two columns that mean the same, how sure that is, and why. `negated`: the right side has the other sign; `times`:
    what left and right numbers are multiplied by to be in one unit; `alike`: texts that are not equal and have words in
    common; `proven`: records that are the same have equal values; `unsigned`: these are equal but for the sign.
    """

    left: Column
    right: Column
    score: float
    overlap: float
    reason: str
    negated: bool = False
    times: tuple[int, int] = (1, 1)
    alike: bool = False
    proven: bool = False
    unsigned: bool = False

    def factor(self, side: str) -> int:
        """What the numbers of a side are multiplied by to be those of the other."""
        return self.times[0] if side == "left" else self.times[1] * (-1 if self.negated and not self.unsigned else 1)


def end_value(pair: Pair, side: str) -> pl.Expr:
    """One side as its type's value, numbers for looking at only: with the sign and in the unit of both."""
    column, factor = pair.left if side == "left" else pair.right, pair.factor(side)
    value = (column.readings[0] if column.readings else Reading("text")).value(column.name)
    value = value.abs() if pair.unsigned else value
    return value if factor == 1 else (value.cast(pl.Float64) * factor).round(6)


def end_key(pair: Pair, side: str, *, thorough: bool) -> pl.Expr:
    """One side as text that is equal where the values are."""
    column = pair.left if side == "left" else pair.right
    if pair.factor(side) != 1 or pair.unsigned:
        return number_key(end_value(pair, side))
    key = comparable(column.name, column.readings, thorough=thorough)
    if "sort_words" in column.spelling:  # words are told apart by what a key has lost
        return cleaned(pl.col(column.name), column.spelling)
    return cleaned(key, column.spelling) if column.spelling else key


def every_pair(left: list[Column], right: list[Column], *, spelt: bool = False) -> list[list[Pair]]:
    """Each left column with each right one. `spelt`: codes are also the same in another spelling (0042 and 42)."""
    return [[pair_of(a, b, spelt=spelt) for b in right] for a in left]


def matched_columns(pairs: list[list[Pair]]) -> list[Pair]:
    """One-to-one pairs with the best total score, in the order of the left file; doubtful ones are left out."""
    scores = np.array([[p.score for p in row] for row in pairs], dtype=float)
    if not scores.size:
        return []
    # Doubtful pairs must not push out good ones for a slightly better total.
    weights = np.where(scores >= _LEAST_SCORE, scores, 0.0)
    return [pairs[i][j] for i, j in zip(*_best_total(weights), strict=True) if scores[i, j] >= _LEAST_SCORE]


def _best_total(weights: Weights) -> tuple[Places, Places]:
    """Row and column of each pair of the one-to-one choice with the greatest total."""
    best, rows = weights.max(axis=1), np.flatnonzero(weights.max(axis=1) > 0)
    columns = weights.argmax(axis=1)[rows]
    is_only = (weights[rows] == best[rows, None]).sum(axis=1) == 1
    if is_only.all() and len(np.unique(columns)) == len(columns):
        return rows, columns  # each has its own best one: no total is greater
    from scipy.optimize import linear_sum_assignment  # takes longer to import than all the rest

    rows, columns = linear_sum_assignment(weights, maximize=True)
    return rows, columns


def pair_of(a: Column, b: Column, *, spelt: bool = False) -> Pair:
    """Two columns, how sure it is that they mean the same (0 when their types differ), and why."""
    named = name_likeness(a.name, b.name)
    fitting = _fitting(a, b)
    if fitting == 0 and named >= _SAME_NAME:
        # One impossible date among a file's birthdays, and its column is text: so are both.
        a, b, fitting = as_text(a), as_text(b), 0.85
    if fitting == 0:
        return Pair(a, b, 0.0, 0.0, "types differ")
    a, b, decided = _decided(a, b)
    overlap, negated = _overlap(a, b)
    overlap, times = _scaled(a, b, overlap)
    if spelt:
        met = respelt(a, b, overlap)
    elif named >= _CALLED_ALIKE and overlap < _UNLIKE:
        met = respelt(a, b, overlap, ends_only=True)  # telephones called alike that have nothing in common
    else:
        met = unpadded(a, b, overlap)
    if met:
        a, b, overlap = met
    # The same few short values (Y and N, three currencies, small counts) meet by chance; many or long ones do not.
    length = min(float(c.keys.str.len_chars().mean() or 0) for c in (a, b))  # type: ignore[arg-type]
    telling = min(1.0, (np.log10(1 + min(a.distinct, b.distinct)) + 0.15 * min(length, 10)) / 2.5)
    clash = _clash(a, b)
    # Numbers that run on (1, 2, 3 ...) meet whatever they number: there the names must tell.
    shared = overlap * (1 - _running(a, b) * (1 - named))
    score = fitting * (0.5 * named + 0.5 * shared * max(telling, 0.6 * named) + 0.25 * named * (1 - shared)) - clash
    if shared > 0.8 and telling > 0.9 and a.kind == "text":
        score = max(score, 0.55 + 0.3 * shared * (0.5 + 0.5 * named) - clash)
    # Of columns that hold the same values, what names single records is rather what does so across.
    score -= _UNLIKE * overlap * abs(a.repeats - b.repeats)
    told = [
        f"names {named:.0%} alike",
        f"{overlap:.0%} of the values in common"
        if not negated
        else f"{overlap:.0%} of the values in common once the right side's sign is turned",
    ]
    if met:
        told[1] += f" once {left_out(a.spelling)} are left out"
    if max(times) > 1:
        told[1] += f" once one side's are taken times {max(times)}"
    told += decided
    return Pair(a, b, float(np.clip(score, 0, 1)), overlap, ", ".join(told), negated, times)


def _decided(a: Column, b: Column) -> tuple[Column, Column, list[str]]:
    """The columns with the readings that bring far more of their values together than all others, and what that is;
    as they are, where each has one reading or the other file's values do not decide. Of large files only some values
    are at hand, picked by the first reading: they tell nothing of another.
    """
    open_ = [c.undecided and c.distinct == len(c.keys) for c in (a, b)]
    if not any(open_) or any(c.undecided and not o for c, o in zip((a, b), open_, strict=True)):
        return a, b, []
    ways = [[as_read(c, r) for r in c.readings] if o else [c] for c, o in zip((a, b), open_, strict=True)]
    shares = sorted(((contained(x.keys, y.keys), i, j) for i, x in enumerate(ways[0]) for j, y in enumerate(ways[1])))
    (second, *_), (best, i, j) = shares[-2:]
    if best < _DECIDES or second > best / 2:
        return a, b, []
    read = [c for c, o in zip((ways[0][i], ways[1][j]), open_, strict=True) if o]
    told = " and ".join(f"{c.name} is read as {c.readings[0].told}" for c in read)
    return ways[0][i], ways[1][j], [f"{told}: otherwise {second:.0%} would be in common"]


def _running(a: Column, b: Column) -> float:
    """How densely the whole numbers of the longer column fill the range of the shorter one's; 0 for all else."""
    few, many = sorted((a.keys, b.keys), key=len)
    if len(few) < _FEWEST_RUNNING or not all(k.str.contains(r"^[0-9]{1,15}$").all() for k in (few, many)):
        return 0.0
    ends, numbers = few.cast(pl.Int64).to_numpy(), many.cast(pl.Int64)
    low, high = int(ends.min()), int(ends.max())
    return float(numbers.is_between(low, high).sum()) / (high - low + 1)


def _clash(a: Column, b: Column) -> float:
    """Names that speak of different things count against a pair: a value date is not an amount."""
    ours, theirs = concepts(a.name) - {"id"}, concepts(b.name) - {"id"}
    return 0.15 if ours and theirs and not ours & theirs else 0.0


def _fitting(a: Column, b: Column) -> float:
    if a.filled == 0 or b.filled == 0:
        return 0.5
    if a.kind == b.kind or (a.kind in _DATES and b.kind in _DATES):
        return 1.0
    kinds = {a.kind, b.kind}
    if kinds == {"integer", "decimal"}:
        return 0.9
    if kinds <= {"text", "integer"} and (is_identifier(a.name) or is_identifier(b.name)):
        return 0.85
    return 0.4 if kinds <= {"text", "integer"} else 0.0


def _overlap(a: Column, b: Column) -> tuple[float, bool]:
    """The share of the smaller side's values that the other has too, and whether after turning the sign."""
    if not len(a.keys) or not len(b.keys):
        return 0.0, False
    direct = contained(a.keys, b.keys)
    if a.kind in NUMBERS and b.kind in NUMBERS and direct < 0.5:
        turned = b.keys.alias("v").to_frame().select(number_key(0.0 - pl.col("v").cast(pl.Float64))).to_series()
        opposite = contained(a.keys, turned)
        if opposite > max(0.3, 2 * direct) and len(a.keys) > 5:
            return opposite, True
    return direct, False


def _scaled(a: Column, b: Column, overlap: float) -> tuple[float, tuple[int, int]]:
    """The overlap where one side writes cents and the other whole units, if that is how they meet; and the factors."""
    if {a.kind, b.kind} != {"integer", "decimal"} or overlap >= _SCALED_BETTER or min(len(a.keys), len(b.keys)) <= 5:
        return overlap, (1, 1)
    value = (pl.col("v").cast(pl.Float64) * _CENTS).round(4)
    keys = [
        c.keys.alias("v").to_frame().select(number_key(value)).to_series() if c.kind == "decimal" else c.keys
        for c in (a, b)
    ]
    share = contained(*keys)
    if share < max(_SCALED_ALIKE, overlap + _SCALED_BETTER):
        return overlap, (1, 1)
    return share, (_CENTS, 1) if a.kind == "decimal" else (1, _CENTS)
