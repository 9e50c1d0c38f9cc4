"""fastrecon's keyed comparison: one pass on the reference, tolerance on the amount."""

from __future__ import annotations

import sys

from fastrecon import CsvFile, compare

left, right = (CsvFile(path=path) for path in sys.argv[1:3])
result = compare(left=left, right=right, keys=["ref"], compare_mode="keyed", tolerances={"amount": 0.05})
print(" ".join(result.summary().split()))
