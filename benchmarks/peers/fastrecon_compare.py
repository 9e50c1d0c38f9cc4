"""fastrecon's keyed comparison: one pass on the reference, tolerance on the amount."""

from __future__ import annotations

import functools
import sys

import duckdb
from fastrecon import CsvFile, compare

# It asks for spreadsheet and database extensions over the network at each start: not a matter of this comparison.
duckdb.connect = functools.partial(duckdb.connect, config={"custom_extension_repository": "/nowhere"})

left, right = (CsvFile(path=path) for path in sys.argv[1:3])
result = compare(left=left, right=right, keys=["ref"], compare_mode="keyed", tolerances={"amount": 0.05})
print(" ".join(result.summary().split()))
