"""Codes that come back, as a mandate does every month: texts that speak of one mean the record of near days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import polars as pl

from recon_engine.column_matching import pair_of
from recon_engine.columns import Column
from recon_engine.field_proposals import mapped_field
from recon_engine.rule_proposals import MappedField, usual_lag

_CENT = 0.005
_USUAL, _FEWEST = 0.5, 20
_KINDS = ("date", "datetime")


@dataclass(frozen=True)
class Dated:
    """Of texts whose code several records have: the window of days, right minus left, in which the nearest of these
    lie; the share of texts with a single record in it; and the share of those whose amounts are equal.
    """

    lag: tuple[int, int]
    share: float
    equal: float


def dated(pairs: pl.DataFrame) -> Dated | None:
    """What `pairs` show: b (the text), days (right minus left), same (whether the amounts are equal, null without).

    None where the nearest records lie on all kinds of days, or where days do not tell which one is meant.
    """
    texts = pairs["b"].n_unique()
    if texts < _FEWEST:
        return None
    same = pairs.filter(pl.col("same").fill_null(value=False))
    looked_at = same if same["b"].n_unique() >= _USUAL * texts else pairs
    far = pl.col("days").abs()
    nearest = looked_at.filter(far == far.min().over("b")).unique(["b", "days"])
    nearest = nearest.filter(pl.len().over("b") == 1)  # as far before as after: which one is meant, nothing tells
    lag = usual_lag(nearest["days"]) or ((0, 0) if (nearest["days"] == 0).mean() == 1 else None)
    if lag is None:
        return None
    within = pairs.filter(pl.col("days").is_between(*lag)).group_by("b").agg(pl.len(), pl.col("same").first())
    single = within.filter(pl.col("len") == 1)
    share = single.height / texts
    return Dated(lag, share, float(single["same"].mean() or 0.0)) if share >= _USUAL else None  # type: ignore[arg-type]


def only_dates(columns: tuple[Sequence[Column], Sequence[Column]], taken: Sequence[str]) -> MappedField | None:
    """The one column of days of each side, whatever they are called and have in common; None where there are more."""
    days = [[c for c in own if c.kind in _KINDS and not c.undecided] for own in columns]
    if any(len(own) != 1 for own in days):
        return None
    [(left, right)] = product(*days)
    pair = pair_of(left, right)
    return mapped_field(pair, taken)
