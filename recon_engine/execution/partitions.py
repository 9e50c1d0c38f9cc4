"""Records on disk in parts: those that can match are in the same one, so that each part is matched by itself."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recon_engine.matching.candidates import join_key
from recon_engine.plan import Plan

AT_ONCE = 2
"""Parts that are matched at the same time: for much of a part's work one processor would wait for another."""
PARQUET: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "statistics": False}
SPILLED: dict[str, Any] = {"compression": "lz4", "statistics": False, "mkdir": True}


@dataclass(frozen=True, slots=True)
class Parted:
    """Comparable records in `count` parts by the values of the fields `names`: `folder` has a subfolder for each.

    Records without one of these values are in a part of their own, behind the others. Without `names` all are in one.
    """

    folder: Path
    names: tuple[str, ...] = ()
    count: int = 1

    def sink(self, comparables: pl.LazyFrame, plan: Plan) -> pl.LazyFrame:
        """The writing of all records, to be collected. What an earlier scan has written goes."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.names:
            return comparables.sink_parquet(self.folder / "all.parquet", lazy=True, **SPILLED)
        number = (join_key(plan, (), self.names) % self.count).cast(pl.UInt16).fill_null(self.count)
        parts = pl.PartitionBy(self.folder, key="__part", include_key=False)
        return comparables.with_columns(__part=number).sink_parquet(parts, lazy=True, **SPILLED)

    def scan(self, schema: pl.Schema) -> pl.LazyFrame:
        """All records, in no order; `schema` is theirs."""
        if not any(self.folder.rglob("*.parquet")):
            return pl.LazyFrame(schema=schema)
        return pl.scan_parquet(self.folder / "**" / "*.parquet", hive_partitioning=False)

    def read(self, part: int) -> pl.DataFrame | None:
        """The records of a part, in order of position; None when there are none."""
        files = sorted((self.folder / f"__part={part}").glob("**/*.parquet"))
        return pl.read_parquet(files, hive_partitioning=False).sort("__i") if files else None

    def serves(self, shared: tuple[str, ...], distinct: dict[str, int], rows: int) -> bool:
        """True when records that agree on the fields `shared` are in one part, and the parts are of like size."""
        tells_apart = max((distinct.get(name, 0) for name in self.names), default=0) * 10 >= rows
        return set(self.names) <= set(shared) and (tells_apart or self.names == shared) and bool(self.names)
