"""Columns of names and descriptions that no value and no name brings together: told by the rare words they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from recon_engine.column_matching import Pair, matched_columns, pair_of
from recon_engine.columns import Column
from recon_engine.matching.text_parts import WORD

# A column names things where its values have so many words and repeat so little.
_WORDS, _REPEATS = 1.5, 0.5
# A word is rare that stands in so few of a column's values; so many, and such a share of them, must be in both.
_RARE, _FEWEST, _SHARED = 0.01, 20, 0.2
_SURE = 0.4


def with_wordy(pairs: list[Pair], left: Sequence[Column], right: Sequence[Column]) -> list[Pair]:
    """The pairs and, where none names things, those of the other columns that do and have rare words in common."""
    if any(_names_things(p.left) and _names_things(p.right) for p in pairs):
        return pairs
    taken = ({p.left.name for p in pairs}, {p.right.name for p in pairs})
    ours, theirs = (
        [c for c in own if c.name not in known and _names_things(c)]
        for own, known in zip((left, right), taken, strict=True)
    )
    if not ours or not theirs:
        return pairs
    rare = {id(c): _rare_words(c) for c in (*ours, *theirs)}
    found = [[_worded(a, b, rare[id(a)], rare[id(b)]) for b in theirs] for a in ours]
    order = {c.name: at for at, c in enumerate(left)}
    return sorted([*pairs, *matched_columns(found)], key=lambda p: order[p.left.name])


def _names_things(column: Column) -> bool:
    several = float(column.raw.str.count_matches(WORD).mean() or 0) >= _WORDS  # type: ignore[arg-type]
    return column.wordy and several and column.repeats <= _REPEATS


def _rare_words(column: Column) -> pl.Series:
    """The words that few of the column's values have."""
    texts = column.raw.drop_nulls().str.to_lowercase().unique()
    words = texts.str.extract_all(WORD).list.unique().explode().drop_nulls()
    counted = words.alias("word").value_counts(name="n")
    return counted.filter(pl.col("n") <= max(3, int(_RARE * len(texts))))["word"]


def _worded(a: Column, b: Column, ours: pl.Series, theirs: pl.Series) -> Pair:
    """Two columns, and how sure it is by the rare words of both that they name the same things."""
    pair = pair_of(a, b)
    both = int(ours.is_in(theirs.implode()).sum())
    share = both / max(1, min(len(ours), len(theirs)))
    if both < _FEWEST or share < _SHARED:
        return replace(pair, score=0.0)
    told = f"{share:.0%} of the rare words in common"
    return replace(pair, score=min(0.9, _SURE + 0.4 * share + 0.1 * pair.score), reason=f"{pair.reason}; {told}")
