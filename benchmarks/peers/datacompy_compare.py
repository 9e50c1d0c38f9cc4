"""datacompy's polars comparison on the reference: one pass, amounts within 0.05, as floats."""

from __future__ import annotations

import sys

import polars as pl
from datacompy import PolarsCompare

left, right = (pl.read_csv(path, try_parse_dates=True) for path in sys.argv[1:3])
compare = PolarsCompare(left, right, join_columns="ref", abs_tol=0.05)
print(f"{compare.count_matching_rows()} matching rows, {len(compare.df1_unq_rows)} only left")
