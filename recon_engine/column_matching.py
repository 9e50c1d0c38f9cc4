"""Which column of one file is which of the other: by names, types and values, each used once, best total first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.column_names import concepts, is_identifier, name_likeness
from recon_engine.plan import CleanStep, LastStep, ReaderOptions
from recon_engine.reading.table import ROW, TextTable
from recon_engine.value_types import Reading, candidates

_TYPING_ROWS = 20_000
# About so many distinct values of each column are compared; in larger files the same values of both sides are picked.
VALUES_COMPARED = 40_000
_LEAST_SCORE = 0.4
_FEW_VALUES = 50
_SAME_NAME = 0.9
_SEED = 20_260
Steps = tuple[CleanStep, ...]
# Spellings of codes, and what they leave out. They must keep nearly all codes apart, and bring many more together.
_LEFT_OUT: dict[Steps, str] = {
    ("strip_leading_zeros",): "leading zeros",
    ("digits_only", "strip_leading_zeros"): "letters and leading zeros",
}

_FEWEST_CODES, _KEPT_APART, _SPELT_ALIKE, _SPELT_BETTER, _WORDY = 10, 0.95, 0.5, 0.3, 0.2
_UNLIKE, _SEVERAL_WORDS = 0.1, 0.3
_UNPADDED_BETTER = 0.02
# Numbers that end alike and begin otherwise have at least so many digits in common; more are not asked for.
_SHORTEST_END, _LONGEST_END = 7, 12
_CALLED_ALIKE, _LETTERS = 0.5, 0.05
_CENTS, _FORMS = 100, 3
_NUMBERS = ("decimal", "integer")
Weights = np.typing.NDArray[np.float64]
Places = np.typing.NDArray[np.int64]
_DATES = ("date", "datetime")


@dataclass
class Column:
    """A column as seen for mapping. `keys`: its distinct comparable values of the picked part, as text; `spelling`: the
    clean steps that bring its codes into the other side's spelling; `sound`: no cell of a sample is unlike the others.
    """

    name: str
    readings: list[Reading]
    filled: float
    distinct: int
    repeats: float
    keys: pl.Series
    raw: pl.Series = field(repr=False)
    spelling: Steps = ()
    sound: bool = True

    @property
    def kind(self) -> str:
        """The type the values show: text, integer, decimal, date, datetime, boolean."""
        return self.readings[0].kind if self.readings else "text"

    @cached_property
    def wordy(self) -> bool:
        """True for texts that have several words now and then."""
        several = self.raw.str.contains(r"\p{L}\W+\p{L}").mean()
        return self.kind == "text" and float(several or 0) >= _SEVERAL_WORDS  # type: ignore[arg-type]

    @property
    def undecided(self) -> bool:
        """True when values can be read in two ways that differ."""
        if len(self.readings) < 2:
            return False
        values = self.raw.alias("v").to_frame().select(r.value("v").alias(str(i)) for i, r in enumerate(self.readings))
        return any(not values["0"].equals(values[str(i)].alias("0")) for i in range(1, len(self.readings)))


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


def columns_of(table: TextTable, options: ReaderOptions, rows: int, part: int) -> list[Column]:
    """The columns of one file; `part` says that one distinct value in so many is picked."""
    step = max(1, rows // _TYPING_ROWS)
    sampled = table.frame if step == 1 else table.frame.filter(pl.col(ROW) % step == 0)
    sample = sampled.collect(engine="streaming")
    readings = {c: _kept(candidates(c, sample[c]), options) for c in table.columns}
    found = []
    for c in table.columns:
        key = comparable(c, readings[c], thorough=part == 1)
        raw = table.frame.filter(_is_picked(key, part)).select(c).collect(engine="streaming")[c]
        spread = part
        if part > 1 and raw.n_unique() < _FEW_VALUES:
            # A column of few values may have none among those picked: the sample has them all.
            raw, spread = sample[c].drop_nulls(), 1
        keys = raw.alias(c).to_frame().select(key).to_series().drop_nulls()
        distinct = keys.unique()
        filled = 1 - sample[c].null_count() / max(1, sample.height)
        repeats = 1 - len(distinct) / len(keys) if len(keys) else 0.0
        sound = not readings[c] or bool(sample.select(readings[c][0].fits(c).all()).item())
        seen = (filled, len(distinct) * spread, repeats, distinct, raw.unique())
        found.append(Column(c, readings[c], *seen, sound=sound))
    return found


def _kept(found: list[Reading], options: ReaderOptions) -> list[Reading]:
    same = [r for r in found if r.kind == found[0].kind] if found else []
    given = [r for r in same if r.kind == "decimal" and r.mark == options.decimal] if options.decimal else []
    return given or same


def comparable(column: str, readings: list[Reading], *, thorough: bool) -> pl.Expr:
    """A cell as text that is equal on both sides when the values are: numbers and dates in one form, codes in one.

    `thorough` also drops punctuation and inner spaces, which costs too much in large files.
    """
    reading = readings[0] if readings else None
    if reading is None or reading.kind == "boolean":
        text = pl.col(column).str.strip_chars().str.to_lowercase()
        text = text.str.replace_all(r"[^\p{L}\p{N}]+", "") if thorough else text
        return pl.when(text != "").then(text)
    if reading.kind in _NUMBERS:
        return number_key(reading.value(column))
    return reading.value(column).cast(pl.Date).cast(pl.String)


def number_key(value: pl.Expr) -> pl.Expr:
    """A number as text: 6 and 6.0 are the same, and the same as the code "6" of a column that has letters elsewhere."""
    return value.cast(pl.String).str.strip_suffix(".0")


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
    return cleaned(key, column.spelling) if column.spelling else key


def _is_picked(key: pl.Expr, part: int) -> pl.Expr:
    return key.is_not_null() if part == 1 else key.is_not_null() & (key.hash(_SEED) % part == 0)


def every_pair(left: list[Column], right: list[Column], *, respelt: bool = False) -> list[list[Pair]]:
    """Each left column with each right one. `respelt`: codes are also the same in another spelling (0042 and 42)."""
    return [[pair_of(a, b, respelt=respelt) for b in right] for a in left]


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


def pair_of(a: Column, b: Column, *, respelt: bool = False) -> Pair:
    """Two columns, how sure it is that they mean the same (0 when their types differ), and why."""
    named = name_likeness(a.name, b.name)
    fitting = _fitting(a, b)
    if fitting == 0 and named >= _SAME_NAME:
        # One impossible date among a file's birthdays, and its column is text: so are both.
        a, b, fitting = _as_text(a), _as_text(b), 0.85
    if fitting == 0:
        return Pair(a, b, 0.0, 0.0, "types differ")
    overlap, negated = _overlap(a, b)
    overlap, times = _scaled(a, b, overlap)
    if respelt:
        spelt = _respelt(a, b, overlap)
    elif named >= _CALLED_ALIKE and overlap < _UNLIKE:
        spelt = _respelt(a, b, overlap, choices=[])  # telephones called alike that have nothing in common
    else:
        spelt = _unpadded(a, b, overlap)
    if spelt:
        a, b, overlap = spelt
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
    if spelt:
        told[1] += f" once {_left_out(a.spelling)} are left out"
    if max(times) > 1:
        told[1] += f" once one side's are taken times {max(times)}"
    return Pair(a, b, float(np.clip(score, 0, 1)), overlap, ", ".join(told), negated, times)


def _running(a: Column, b: Column) -> float:
    """How densely the whole numbers of the longer column fill the range of the shorter one's; 0 for all else."""
    few, many = sorted((a.keys, b.keys), key=len)
    if len(few) < _FEWEST_CODES or not all(k.str.contains(r"^[0-9]{1,15}$").all() for k in (few, many)):
        return 0.0
    ends, numbers = few.cast(pl.Int64).to_numpy(), many.cast(pl.Int64)
    low, high = int(ends.min()), int(ends.max())
    return float(numbers.is_between(low, high).sum()) / (high - low + 1)


def _respelt(
    a: Column, b: Column, overlap: float, choices: Sequence[Steps] = tuple(_LEFT_OUT)
) -> tuple[Column, Column, float] | None:
    """Codes that are the same in another spelling (0042 and 42, SKU042 and 42), one of the `choices` or by their last
    digits, and the share then in common.
    """
    if not {a.kind, b.kind} <= {"text", "integer"} or {a.kind, b.kind} == {"integer"}:
        return None
    if any(_has_words(c) for c in (a, b)):
        return None
    one, two = _as_text(a), _as_text(b)
    for choice in (*([steps] for steps in choices), list(_endings(one, two))):
        found = [each for steps in choice if (each := _meeting(one, two, steps, overlap + _SPELT_BETTER))]
        if found:
            return max(found, key=lambda each: each[2])
    return None


def _meeting(one: Column, two: Column, steps: Steps, least: float) -> tuple[Column, Column, float] | None:
    """The columns in a spelling that keeps nearly all of their codes apart, and the share then in common, from `least`
    on.
    """
    keys = [_spelt(c.keys, steps) for c in (one, two)]
    if any(len(k) < max(_FEWEST_CODES, _KEPT_APART * len(c.keys)) for k, c in zip(keys, (one, two), strict=True)):
        return None
    share = _contained(*keys)
    if share < max(_SPELT_ALIKE, least):
        return None
    left, right = (replace(c, keys=k, spelling=steps) for c, k in zip((one, two), keys, strict=True))
    return left, right, share


def _endings(one: Column, two: Column) -> Iterator[Steps]:
    """Spellings by the last digits, the longest first, where both write long numbers, as telephones are."""
    if any(float(c.keys.str.contains(r"\p{L}").mean() or 0) > _LETTERS for c in (one, two)):  # type: ignore[arg-type]
        return
    digits = [c.keys.str.replace_all("[^0-9]", "").str.len_chars() for c in (one, two)]
    if any(not len(d) or float(d.quantile(0.1) or 0) < _SHORTEST_END for d in digits):
        return
    longest = min(int(d.max()) for d in digits)  # type: ignore[arg-type]
    for last in range(min(longest, _LONGEST_END), _SHORTEST_END - 1, -1):
        yield "digits_only", LastStep(last=last)


def _left_out(steps: Steps) -> str:
    """In words, what a spelling leaves out."""
    ends = [step.last for step in steps if isinstance(step, LastStep)]
    return f"all but the last {ends[0]} digits" if ends else _LEFT_OUT[steps]


def _unpadded(a: Column, b: Column, overlap: float) -> tuple[Column, Column, float] | None:
    """Codes of which some have leading zeros on one side only: no two of a side may become one."""
    if overlap < _SPELT_ALIKE or not {a.kind, b.kind} <= {"text", "integer"} or {a.kind, b.kind} == {"integer"}:
        return None
    steps: Steps = ("strip_leading_zeros",)
    one, two = _as_text(a), _as_text(b)
    if not any(c.keys.str.contains(r"^0\d").any() for c in (one, two)) or any(_has_words(c) for c in (one, two)):
        return None
    keys = [_spelt(c.keys, steps) for c in (one, two)]
    share = _contained(*keys)
    if any(len(k) < len(c.keys) for k, c in zip(keys, (one, two), strict=True)) or share < overlap + _UNPADDED_BETTER:
        return None
    one, two = (replace(c, keys=k, spelling=steps) for c, k in zip((one, two), keys, strict=True))
    return one, two, share


def _has_words(column: Column) -> bool:
    """True for texts of several words, unless all but the digits is the same in all: 'Store 28' is a code."""
    several = float(column.raw.str.contains(r"\S\s+\S").mean() or 0) > _WORDY  # type: ignore[arg-type]
    return several and column.raw.str.replace_all(r"[0-9]+", "").n_unique() > _FORMS


def _spelt(keys: pl.Series, steps: Steps) -> pl.Series:
    return keys.alias("v").to_frame().select(cleaned(pl.col("v"), steps)).to_series().drop_nulls().unique()


def _as_text(column: Column) -> Column:
    keys = column.raw.alias("v").to_frame().select(comparable("v", [], thorough=True)).to_series()
    return replace(column, readings=[], keys=keys.drop_nulls().unique())


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
    direct = _contained(a.keys, b.keys)
    if a.kind in _NUMBERS and b.kind in _NUMBERS and direct < 0.5:
        turned = b.keys.alias("v").to_frame().select(number_key(0.0 - pl.col("v").cast(pl.Float64))).to_series()
        opposite = _contained(a.keys, turned)
        if opposite > max(0.3, 2 * direct) and len(a.keys) > 5:
            return opposite, True
    return direct, False


def _scaled(a: Column, b: Column, overlap: float) -> tuple[float, tuple[int, int]]:
    """The overlap where one side writes cents and the other whole units, if that is how they meet; and the factors."""
    if {a.kind, b.kind} != {"integer", "decimal"} or overlap >= _SPELT_BETTER or min(len(a.keys), len(b.keys)) <= 5:
        return overlap, (1, 1)
    value = (pl.col("v").cast(pl.Float64) * _CENTS).round(4)
    keys = [
        c.keys.alias("v").to_frame().select(number_key(value)).to_series() if c.kind == "decimal" else c.keys
        for c in (a, b)
    ]
    share = _contained(*keys)
    if share < max(_SPELT_ALIKE, overlap + _SPELT_BETTER):
        return overlap, (1, 1)
    return share, (_CENTS, 1) if a.kind == "decimal" else (1, _CENTS)


def _contained(a: pl.Series, b: pl.Series) -> float:
    small, large = (a, b) if len(a) <= len(b) else (b, a)
    return float(small.is_in(large.implode()).mean() or 0.0)  # type: ignore[arg-type]
