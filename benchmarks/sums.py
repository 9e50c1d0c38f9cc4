"""Subset sums: payments and the open invoices they settle, beside a plain meet in the middle.

    python -m benchmarks.sums [--payments 5000] [--runs 3]

Each runs as a whole process, from start to the last file written; they take turns. They do not do the same: ours counts
the sets that fit and leaves a payment open where two do (`ambiguous`), where several payments lay claim to an invoice
decides only what is left to one, and writes all evidence. The peer takes the first set that fits, in the order of the
file: where two fit, it is right by luck. A match counts as right when it has just the invoices that were planted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
from pathlib import Path

import polars as pl

from benchmarks import open_items
from benchmarks.cascade import BENCH, OURS, PEERS, Contestant, interpreter, table
from benchmarks.measure import Measurement, measure

CONTESTANTS = (
    Contestant(OURS, "python -m recon_engine run: the whole contract"),
    Contestant(
        "meet", "meet in the middle, first fit wins", "meet_in_the_middle.py", "numpy==2.4.6 polars==2.1.0", writes=True
    ),
)


def run_once(contestant: Contestant, folder: Path) -> Measurement:
    """One whole run into a folder of its own, which stays."""
    out = folder / f"out-{contestant.name}"
    shutil.rmtree(out, ignore_errors=True)
    if contestant.script is None:
        command = [sys.executable, "-m", "recon_engine", "run", "plan.yaml", "--out", str(out)]
    else:
        script = str(PEERS / contestant.script)
        command = [interpreter(contestant.package), script, "left.csv", "right.csv", str(out)]
    os.environ["PYTHONPATH"] = str(BENCH.parent.parent) if contestant.script is None else ""
    measured = measure(command, folder)
    if measured.status not in ((0, 1) if contestant.script is None else (0,)):
        raise SystemExit(f"{contestant.name} failed with status {measured.status}: {measured.last_line}")
    return measured


def judged(folder: Path, name: str) -> dict[str, object]:
    """How many payments a contestant settled, and how many of them with just the planted invoices."""
    matches = pl.read_parquet(folder / f"out-{name}" / "matches.parquet")
    if name == OURS:
        sides = [matches.filter(side=side).select("match_id", pl.col("row").alias(side)) for side in ("left", "right")]
        matches = sides[0].join(sides[1], on="match_id")
    truth = pl.read_parquet(folder / "truth.parquet")
    said, planted = (t.group_by("left").agg(pl.col("right").cast(pl.Int64).sort()) for t in (matches, truth))
    both = said.cast({"left": pl.Int64}).join(planted.cast({"left": pl.Int64}), on="left", suffix="_planted")
    right = both.filter(pl.col("right") == pl.col("right_planted")).height
    precision, recall = right / max(1, said.height), right / planted.height
    return {"settled": said.height, "right": right, "precision": round(precision, 4), "recall": round(recall, 4)}


def main() -> None:
    """Run the comparison and print it; the numbers are also written as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sums", description=__doc__)
    parser.add_argument("--payments", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()

    folder = BENCH / f"sums-{options.payments}"
    # In a process of its own: what this one has held would count as the peak of those it starts.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(open_items.generate, (folder, options.payments))
    for contestant in CONTESTANTS:
        interpreter(contestant.package)
    results: dict[str, list[Measurement]] = {c.name: [] for c in CONTESTANTS}
    for turn in range(options.runs):
        for contestant in CONTESTANTS:
            results[contestant.name].append(run_once(contestant, folder))
            print(f"turn {turn + 1}: {contestant.name} {results[contestant.name][-1].seconds:.2f} s", file=sys.stderr)
    rows = [row | judged(folder, str(row["name"])) for row in table(results, CONTESTANTS[-1].name)]
    (BENCH / f"sums-{options.payments}.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    heads = {
        "median_seconds": "median s", "times_the_floor": "x peer", "median_cpu_seconds": "cpu s", "peak_mb": "peak MB",
        "settled": "settled", "precision": "precision", "recall": "recall",
    }  # fmt: skip
    print(f"{'contestant':<12}" + "".join(f"{head:>10}" for head in heads.values()) + "  what")
    for contestant, row in zip(CONTESTANTS, rows, strict=True):
        print(f"{contestant.name:<12}" + "".join(f"{row[key]!s:>10}" for key in heads) + f"  {contestant.what}")


if __name__ == "__main__":
    main()
