"""What the other fields say about a key: that records sharing it are the same thing, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recon_engine.cleaning import cleaned
from recon_engine.matching.texts import similarity
from recon_engine.rule_proposals import MappedField, Tables, joint_key, picked, sided_key, sided_value

_PAIRS = 2_000
# Two columns as numbers cost so little that so many times as many records can be looked at: all of 2,000,000.
_FINER = 50
_FEWEST = 20
# Where strangers agree in every fifth pair or more, agreement tells nothing.
_TELLING = 0.2
_ALIKE, _SAME_WORDS = 0.75, 0.6
# Texts count as one text written in two ways when they are equal in so many pairs, and alike in so many of the others.
_EQUAL, _NEAR = 0.15, 0.03
_RELATIVE = 0.05
_DAYS = 31
_BELIEVED = 0.5
# A text that agrees in fewer records of the same key than this says something of its own on each side.
_AGREES = 0.2
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Testimony:
    """Of records that share a key: how many pairs, the share that others confirm (None: they cannot say), misspelling.

    `coverage`: the share of the smaller side's records among them. `spelt`: the largest share of pairs in which a text
    that is often equal is nearly so.
    """

    pairs: int
    precision: float | None
    coverage: float
    spelt: float

    @property
    def believed(self) -> bool:
        """False where other fields agree no better than among strangers: row numbers are no key."""
        return self.pairs < _FEWEST or self.precision is None or self.precision >= _BELIEVED


def testimony(tables: Tables, key: MappedField, others: Sequence[MappedField], part: int) -> Testimony:
    """Ask `others` about the records that share a unique `key`, against as many pairs of strangers."""
    sides = []
    for table, side in zip(tables, ("left", "right"), strict=True):
        values = (_seen(f, side).alias(f"f{i}") for i, f in enumerate(others))
        rows = picked(table.frame, sided_key(key, side, thorough=part == 1), values, part)
        sides.append(rows.collect(engine="streaming"))
    unique = [s.filter(pl.col("key").is_unique()) for s in sides]
    both = unique[0].join(unique[1], on="key", suffix="_r").sort("key")
    coverage = both.height / max(1, min(s.height for s in sides))
    pairs = both.gather_every(max(1, both.height // _PAIRS))
    if pairs.height < _FEWEST:
        return Testimony(both.height, None, coverage, 0.0)
    confirmed, known, chance = (np.zeros(pairs.height, dtype=np.bool_) for _ in range(3))
    spelt = 0.0
    turn = np.roll(np.arange(pairs.height), pairs.height // 2)
    for i, mapped in enumerate(others):
        a, b = pairs[f"f{i}"], pairs[f"f{i}_r"]
        dated = mapped.spec.type in ("date", "datetime")
        usual = float((a - b).dt.total_days().median() or 0.0) if dated else 0.0  # type: ignore[arg-type]
        said, likeness = _alike(mapped, a, b, usual)
        strangers = _alike(mapped, a, b.gather(pl.Series(turn)), usual)[1]
        if said.sum() < _FEWEST or strangers.mean() > _TELLING:
            continue
        known |= said
        confirmed |= likeness
        chance |= strangers
        if mapped.spec.type == "text":
            equal = (a == b).fill_null(value=False).to_numpy()
            if equal.sum() >= _EQUAL * said.sum():
                spelt = max(spelt, float((likeness & ~equal).sum() / said.sum()))
    if not known.any():
        return Testimony(both.height, None, coverage, spelt)
    base = float(chance.mean())
    precision = (float(confirmed[known].mean()) - base) / (1 - base) if base < 0.5 else None
    return Testimony(both.height, precision, coverage, spelt)


def joins_others(tables: Tables, key: MappedField, first: MappedField, part: int) -> bool:
    """Whether `key` joins records that `first` leaves open, or other pairs than `first` does.

    Settled is only what both name as the same pair, by values as the plan will compare them.
    """
    sides = []
    for table, side in zip(tables, ("left", "right"), strict=True):
        values = [_planned(first, side).alias("first")]
        rows = picked(table.frame, _planned(key, side), values, max(1, part // _FINER))
        sides.append(rows.collect(engine="streaming"))
    one, two = (s.filter(pl.col("first").is_unique()) for s in sides)
    settled = one.join(two, on=["key", "first"], how="semi")
    left, right = (s.join(settled, on="first", how="anti") for s in sides)
    elsewhere = left.join(right, on="key", how="semi").join(right, on=["key", "first"], how="anti")
    # Of records that repeat the first key, one alone may have this one.
    one, two = (s.filter(pl.col("key").is_unique()) for s in (left, right))
    return not (elsewhere.is_empty() and one.join(two, on="key", how="semi").is_empty())


def left_open(
    tables: Tables, keys: Sequence[MappedField], others: Sequence[MappedField], date: MappedField | None, part: int
) -> pl.Series:
    """Of records that all keys leave open and that alone share the values of `others`: how many days apart they are,
    right minus left; null where there is no day.
    """
    sides = []
    for table, side in zip(tables, ("left", "right"), strict=True):
        day = sided_value(date, side).cast(pl.Date) if date else pl.lit(None, pl.Date)
        named = [sided_key(key, side, thorough=part == 1).alias(f"own{i}") for i, key in enumerate(keys)]
        rows = picked(table.frame, joint_key(others, side, part), [*named, day.alias("day")], part)
        sides.append(rows.collect(engine="streaming"))
    open_ = []
    for mine, theirs in (sides, sides[::-1]):
        for i in range(len(keys)):
            mine = mine.join(theirs, on=f"own{i}", how="anti")  # noqa: PLW2901
        open_.append(mine.filter(pl.col("key").is_unique()))
    left, right = open_
    return left.join(right, on="key", suffix="_r").select((pl.col("day_r") - pl.col("day")).dt.total_days()).to_series()


def own_words(tables: Tables, key: MappedField, texts: Sequence[MappedField], part: int) -> list[MappedField]:
    """Those of `texts` that differ in nearly all records that share a unique `key`, as the plan will compare them."""
    sides = []
    for table, side in zip(tables, ("left", "right"), strict=True):
        values = (_planned(text, side).alias(f"f{i}") for i, text in enumerate(texts))
        rows = picked(table.frame, _planned(key, side), values, part).collect(engine="streaming")
        sides.append(rows.filter(pl.col("key").is_unique()))
    both = sides[0].join(sides[1], on="key", suffix="_r")
    if both.height < _FEWEST or not texts:
        return []
    agree = both.select((pl.col(f"f{i}") == pl.col(f"f{i}_r")).mean() for i in range(len(texts))).row(0)
    return [text for text, share in zip(texts, agree, strict=True) if share is not None and share < _AGREES]


def _planned(mapped: MappedField, side: str) -> pl.Expr:
    """The value as the plan compares it, as a number; null where it is blank."""
    spec = mapped.spec
    name, steps = (spec.left, spec.clean.left) if side == "left" else (spec.right, spec.clean.right)
    value = cleaned(pl.col(name), steps) if spec.type == "text" else sided_key(mapped, side, thorough=False)
    return pl.when(value.is_not_null() & (value != "")).then(value.hash())


def misspelt(told: Testimony) -> bool:
    """True where texts of the same thing are written in two ways: then keys may be, too."""
    return told.spelt >= _NEAR


def _seen(mapped: MappedField, side: str) -> pl.Expr:
    if mapped.spec.type in ("decimal", "integer"):
        return sided_value(mapped, side).cast(pl.Float64)
    if mapped.spec.type in ("date", "datetime"):
        return sided_value(mapped, side).cast(pl.Date)
    column = mapped.pair.left if side == "left" else mapped.pair.right
    text = pl.col(column.name).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    return pl.when(text != "").then(text)


def _alike(mapped: MappedField, a: pl.Series, b: pl.Series, usual: float) -> tuple[Bools, Bools]:
    """Which pairs have both values, and in which these are equal or near each other, dates after `usual` days."""
    said = (a.is_not_null() & b.is_not_null()).to_numpy()
    if mapped.spec.type in ("decimal", "integer"):
        near = (a - b).abs() <= pl.select(pl.max_horizontal(a.abs(), b.abs())).to_series() * _RELATIVE
    elif mapped.spec.type in ("date", "datetime"):
        # Claims are paid weeks after the loss: near is what is near the usual distance.
        apart = (a - b).dt.total_days()
        near = (apart - usual).abs() <= _DAYS
    else:
        texts = pl.DataFrame({"a": a, "b": b})
        near = similarity(texts, "a", "b", "levenshtein", None) >= _ALIKE
        near |= similarity(texts, "a", "b", "token_set", None) >= _SAME_WORDS
        near |= a.str.replace_all(" ", "", literal=True) == b.str.replace_all(" ", "", literal=True)
    return said, said & near.fill_null(value=False).to_numpy()
