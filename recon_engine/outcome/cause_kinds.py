"""What a cause is: pairs of open records, the sentence that explains them, and the plan changes that would match
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from recon_engine.outcome.near_misses import MISSES_SCHEMA
from recon_engine.plan import Condition, Rule
from recon_engine.plan_changes import Change

# How small a change is, the smallest first; texts count from 0 by the strength of the step.
SIGN, FACTOR, SWAP, FEE, WINDOW, WIDER, WITHIN_TEXT, EDIT = range(100, 108)


@dataclass(frozen=True, slots=True)
class Cause:
    """`pairs` (l, r: rows of the open records) that the first of `changes` would bring together; the other changes do
    the same with less effect on the rest of the file.
    """

    sentence: str
    size: int
    changes: tuple[Change, ...]
    pairs: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Missed:
    """The near misses of one rule on one of its conditions."""

    number: int
    rule: Rule
    condition: Condition
    pairs: pl.DataFrame


def every_pair(missed: list[Missed]) -> pl.DataFrame:
    """The pairs of several near misses, each once."""
    return pl.concat([pl.DataFrame(schema=MISSES_SCHEMA), *(m.pairs for m in missed)]).unique().sort("l", "r")


def without(missed: list[Missed], explained: pl.DataFrame) -> list[Missed]:
    """The near misses without the pairs that are explained already."""
    if explained.is_empty():
        return missed
    left = [
        Missed(m.number, m.rule, m.condition, m.pairs.join(explained, on=["l", "r"], how="anti").sort("l", "r"))
        for m in missed
    ]
    return [m for m in left if m.pairs.height]
