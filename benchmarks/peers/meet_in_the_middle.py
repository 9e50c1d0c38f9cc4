"""Subset sums as one would write them by hand: per payment, the sums of both halves of its invoices, met in the middle.

Arguments: left.csv right.csv out. Payments take turns in the order of the file; each takes the first set that fits to
the cent, whether or not others fit too, and its invoices are gone for those after it. Writes left, right (rows from 1).
"""

import sys
import time
from collections import defaultdict
from pathlib import Path

started = time.perf_counter()

import numpy as np  # noqa: E402 - imports are part of the time
import polars as pl  # noqa: E402


def all_sums(values: np.ndarray) -> np.ndarray:
    """The sum of every subset; bit k of its place says whether value k is in it."""
    sums = np.zeros(1, dtype=np.int64)
    for value in values:
        sums = np.concatenate([sums, sums + value])
    return sums


def first_fit(values: np.ndarray, target: int) -> np.ndarray:
    """Places of the values that add up to the target; none if no set does."""
    half = len(values) // 2
    first, second = all_sums(values[:half]), all_sums(values[half:])
    order = np.argsort(second)
    place = np.minimum(np.searchsorted(second, target - first, sorter=order), len(second) - 1)
    hits = np.flatnonzero(second[order[place]] == target - first)
    if not len(hits):
        return hits
    subset = int(hits[0]) | int(order[place[hits[0]]]) << half
    return np.flatnonzero(subset >> np.arange(len(values)) & 1)


cents = (pl.col("amount").cast(pl.Decimal(18, 2)) * 100).cast(pl.Int64)
sides = [pl.read_csv(path, schema_overrides={"amount": pl.String}).with_columns(cents=cents) for path in sys.argv[1:3]]
invoices: dict[str, list[int]] = defaultdict(list)
for row, account in enumerate(sides[1]["account"]):
    invoices[account].append(row)
amounts = sides[1]["cents"].to_numpy()
taken = np.zeros(len(amounts), dtype=np.bool_)
matches: list[tuple[int, int]] = []
for payment, (account, target) in enumerate(sides[0].select("account", "cents").iter_rows()):
    rows = np.array(invoices.get(account, []), dtype=np.int64)
    rows = rows[~taken[rows] & (amounts[rows] <= target)]
    chosen = rows[first_fit(amounts[rows], target)] if len(rows) else rows
    taken[chosen] = True
    matches += [(payment + 1, int(row) + 1) for row in chosen]
out = Path(sys.argv[3])
out.mkdir(parents=True, exist_ok=True)
pl.DataFrame(matches, schema=["left", "right"], orient="row").write_parquet(out / "matches.parquet")
print(f"{time.perf_counter() - started:.1f} s, {len({left for left, _ in matches}):,} payments settled")
