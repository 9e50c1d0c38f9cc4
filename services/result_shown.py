"""What the screens ask of a result over and over: worked out once, when the run ends, and kept beside it.

It can be worked out again from the result at any time: it is no evidence, and in no download.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.nway.any_plan import AnyPlan
from services.result_figures import figures, renewed, turned

OWN = "shown-"
"""How the names of these files begin."""
FIGURES, BREAKS = f"{OWN}figures-3.json", f"{OWN}breaks.parquet"
FIGURES_BEFORE: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    f"{OWN}figures-2.json": turned,
    f"{OWN}figures.json": lambda told: turned(renewed(told)),  # of two sides, in another form
}
"""What earlier versions kept, and how to read it now."""
SUGGESTED = "suggested_matches"
"""Under what the summary in the database, which no page needs a file for, tells how many matches are suggested."""
_GROUP_ROWS = 16_384  # a page of breaks in another order is read from many places: little is read around each


def prepare(folder: Path, plan: AnyPlan, totals: dict[str, Any]) -> int:
    """Write these files into the folder of a result. Gives the number of its suggested matches."""

    def scan(name: str) -> pl.LazyFrame:
        return pl.scan_parquet(folder / f"{name}.parquet")

    told = figures(plan, totals, lambda name: nullcontext(scan(name)))
    (folder / FIGURES).write_text(json.dumps(told), encoding="utf-8")
    valued(scan("breaks"), {side: scan(side) for side in plan.labels}).sink_parquet(
        folder / BREAKS, compression="zstd", compression_level=1, row_group_size=_GROUP_ROWS
    )
    suggested = scan("matches").filter(pl.col("outcome").cast(pl.String) == "suggested")
    return int(suggested.select(pl.col("match_id").n_unique()).collect(engine="streaming").item())


def valued(table: pl.LazyFrame, records: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """The rows of the table, each with the values of the record that it names; in the order of the table. A field that
    not all sides have is empty for the others.
    """
    names = table.collect_schema().names()
    keyed = table.with_columns(pl.col("side", "source").cast(pl.String)).with_row_index("__order")
    parts = []
    for side, own in records.items():
        named = {name: f"{name} (value)" if name in names else name for name in own.collect_schema().names()[2:]}
        values = own.select(pl.col("source").cast(pl.String), "row", **{new: pl.col(old) for old, new in named.items()})
        parts.append(keyed.filter(pl.col("side") == side).join(values, on=["source", "row"], how="left"))
    return pl.concat(parts, how="diagonal_relaxed").sort("__order").drop("__order")
