"""What every check needs: how it tells what it found, and how the tables of a result name their records."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from recon_engine.plan import Rule

PLACE = ["source", "row"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing verified: `name`, whether it holds (None: could not be checked here), and a sentence."""

    name: str
    holds: bool | None
    detail: str


def as_text(*columns: str) -> pl.Expr:
    """Columns of names as text: the categories of two tables need not be the same."""
    return pl.col(*columns).cast(pl.String)


def how_many(frame: pl.LazyFrame) -> int:
    """How many rows there are."""
    return int(frame.select(pl.len()).collect(engine="streaming").item())


def is_tie(rule: Rule) -> pl.Expr:
    """True for a suggestion of all that competes, of which a person chooses; False for what the rule decided."""
    return pl.lit(rule.when_ambiguous == "suggest") & (as_text("outcome") == "suggested") & (pl.col("margin") == 0)
