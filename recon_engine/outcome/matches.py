"""Decided pairs become the matches table: one row per record in a match."""

from __future__ import annotations

import numpy as np
import polars as pl

from recon_engine.matching.conditions import CLOSE
from recon_engine.plan import Plan

SIDE = pl.Enum(["left", "right"])
OUTCOME = pl.Enum(["confirmed", "suggested"])
# States of a record: open, in a confirmed match, in a suggested one.
OPEN, MATCHED, SUGGESTED = 0, 1, 2


def numbered(pairs: pl.DataFrame) -> pl.DataFrame:
    """Gives each pair its match_id (1-based), in the order of the left records."""
    return pairs.sort("l").with_row_index("match_id", offset=1).with_columns(pl.col("match_id").cast(pl.Int64))


def suggested_groups(plan: Plan, ties: pl.DataFrame, first_id: int) -> pl.DataFrame:
    """Tied components of rules that suggest: match_id, rule, side, i; one row per record."""
    suggesting = [n for n, rule in enumerate(plan.rules) if rule.when_ambiguous == "suggest"]
    held = ties.filter(pl.col("rule").is_in(suggesting) & ~pl.col("capped"))
    order = pl.struct("rule", "component").rank("dense")
    return held.select((order + first_id - 1).cast(pl.Int64).alias("match_id"), "rule", "side", "i").sort(
        "match_id", "side", "i"
    )


def matches_table(
    plan: Plan, pairs: pl.DataFrame, groups: pl.DataFrame, sides: tuple[pl.DataFrame, pl.DataFrame]
) -> pl.DataFrame:
    """The matches table of DESIGN.md, from numbered pairs and suggested groups.

    `sides`: per side, `source` (Enum) and `row` (UInt32) by position. Score and margin are shares of a perfect pair.
    """
    rule_names = pl.Enum([rule.name for rule in plan.rules])
    full = np.array([CLOSE * len(rule.on) for rule in plan.rules], dtype=np.float64)
    n = pairs.height
    rule = pairs["rule"].to_numpy()
    outcomes = np.array([0 if r.outcome == "confirmed" else 1 for r in plan.rules], dtype=np.uint8)
    twice = pl.DataFrame(
        {
            "match_id": np.repeat(pairs["match_id"].to_numpy(), 2),
            "side": pl.Series(np.tile(np.array([0, 1], dtype=np.uint8), n)).cat.to(SIDE),
            "source": _interleaved(sides[0]["source"].gather(pairs["l"]), sides[1]["source"].gather(pairs["r"])),
            "row": _interleaved(sides[0]["row"].gather(pairs["l"]), sides[1]["row"].gather(pairs["r"])).cast(pl.Int64),
            "rule": pl.Series(np.repeat(rule, 2)).cat.to(rule_names),
            "outcome": pl.Series(np.repeat(outcomes[rule], 2)).cat.to(OUTCOME),
            "score": np.repeat(pairs["weight"].to_numpy() / full[rule], 2),
            "rivals": np.repeat(pairs["rivals"].to_numpy(), 2),
            "margin": np.repeat(pairs["margin"].to_numpy() / full[rule], 2),
        }
    )
    if groups.is_empty():
        return twice
    parts = [twice]
    size = pl.len().over("match_id").cast(pl.UInt32)
    sized = groups.with_columns(rivals=size - 2)
    for side in (0, 1):
        part = sized.filter(pl.col("side") == side)
        parts.append(
            part.select(
                "match_id",
                side=pl.lit(side, dtype=pl.UInt8).cat.to(SIDE),
                source=sides[side]["source"].gather(part["i"]),
                row=sides[side]["row"].gather(part["i"]).cast(pl.Int64),
                rule=pl.col("rule").cat.to(rule_names),
                outcome=pl.lit(1, dtype=pl.UInt8).cat.to(OUTCOME),
                score=pl.lit(0.5),
                rivals="rivals",
                margin=pl.lit(0.0),
            )
        )
    return pl.concat([parts[0], pl.concat(parts[1:]).sort("match_id", "side", "source", "row")])


def _interleaved(left: pl.Series, right: pl.Series) -> pl.Series:
    """left[0], right[0], left[1], right[1], …; both of one dtype."""
    if left.dtype == pl.UInt32:
        both = np.empty(2 * len(left), dtype=np.uint32)
        both[0::2], both[1::2] = left.to_numpy(), right.to_numpy()
        return pl.Series(both)
    codes = np.empty(2 * len(left), dtype=np.uint32)
    codes[0::2], codes[1::2] = left.to_physical().to_numpy(), right.to_physical().to_numpy()
    return pl.Series(codes).cat.to(left.dtype)


def states(rows: tuple[int, int], plan: Plan, pairs: pl.DataFrame, groups: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Per side, the state of every record by position (UInt8): OPEN, MATCHED or SUGGESTED."""
    outcomes = np.array([MATCHED if r.outcome == "confirmed" else SUGGESTED for r in plan.rules], dtype=np.uint8)
    found = []
    for side, (column, count) in enumerate(zip(("l", "r"), rows, strict=True)):
        state = np.zeros(count, dtype=np.uint8)
        state[pairs[column].to_numpy()] = outcomes[pairs["rule"].to_numpy()]
        state[groups.filter(pl.col("side") == side)["i"].to_numpy()] = SUGGESTED
        found.append(pl.Series(state))
    return found[0], found[1]
