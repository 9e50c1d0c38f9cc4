"""The floor: one polars full join of the two CSV files on the reference. Writes nothing, classifies nothing."""

from __future__ import annotations

import sys

import polars as pl

left, right = (pl.scan_csv(path) for path in sys.argv[1:3])
joined = left.join(right, on="ref", how="full").collect(engine="streaming")
print(f"{joined.height} joined rows")
