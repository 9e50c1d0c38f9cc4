"""The four-pass cascade over two very large Parquet files: out of core, with every result file written.

    python -m benchmarks.large [--rows 100000000] [--runs 1] [--memory 3000]

Beside the seconds and the memory of the whole process stand the nanoseconds that a row costs, so that sizes can be
compared. The rows are made once, in pieces; 100 million a side take some GB of disk.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from benchmarks.cascade import BENCH
from benchmarks.measure import Measurement, measure

PIECE = 1_000_000
SCHEMA = {"ref": pl.String, "account": pl.String, "amount": pl.Decimal(18, 2), "date": pl.Date, "currency": pl.String}
PLAN = """\
version: 1
name: large
left: {label: Ledger, files: [left.parquet]}
right: {label: Bank, files: [right.parquet]}
fields:
  - {name: reference, left: ref, right: ref, type: text}
  - {name: account, left: account, right: account, type: text}
  - {name: amount, left: amount, right: amount, type: decimal, scale: 2}
  - {name: posted_on, left: date, right: date, type: date}
  - {name: currency, left: currency, right: currency, type: text}
rules:
  - name: exact
    on: [reference, amount, posted_on]
  - name: small difference
    on: [reference, posted_on, {field: amount, within: 0.05}]
  - name: settled later
    on: [reference, amount, {field: posted_on, days: [0, 3]}]
  - name: both
    on: [reference, {field: amount, within: 0.05}, {field: posted_on, days: [0, 3]}]
compare: [amount, posted_on]
currency: {field: currency}
"""


def generate(folder: Path, rows: int) -> None:
    """Write left.parquet, right.parquet and plan.yaml into `folder` unless they are there.

    Of the left rows the right file holds, in another order: 94 % unchanged, 2 % with the amount off by at most 0.05,
    2 % dated up to three days later, 1 % with both; the last 1 % are replaced by rows of its own.
    """
    if (folder / "plan.yaml").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("left", "right"):

        def pieces(*_: object, side: str = side) -> Iterator[pl.DataFrame]:
            for begin in range(0, rows, PIECE):
                yield _piece(np.arange(begin, min(begin + PIECE, rows), dtype=np.uint64), rows, side)

        register_io_source(pieces, schema=SCHEMA).sink_parquet(folder / f"{side}.parquet", compression="zstd")
    (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")  # last: its presence says that the rest is whole


def _piece(place: np.typing.NDArray[np.uint64], rows: int, side: str) -> pl.DataFrame:
    """The rows at these places. What a row holds follows from its number; the right file has them in another order."""
    number = place if side == "left" else (place * np.uint64(_step(rows)) + np.uint64(17)) % np.uint64(rows)
    drawn = pl.DataFrame({"n": number})
    draw = [drawn.select(pl.col("n").hash(seed)).to_series().to_numpy() for seed in range(5)]
    cents = (draw[0] % np.uint64(20_000_000)).astype(np.int64) - 10_000_000
    day = (draw[1] % np.uint64(365)).astype(np.int32) + 20_089  # the days of 2025
    account = (draw[2] % np.uint64(90_000)).astype(np.int64) + 10_000
    if side == "right":
        kind = (draw[3] % np.uint64(10_000)).astype(np.int64)
        off = (draw[4] % np.uint64(5)).astype(np.int64) + 1
        cents += np.where((kind < 200) | ((kind >= 400) & (kind < 500)), np.where(draw[4] & 64, off, -off), 0)
        day += np.where((kind >= 200) & (kind < 500), 1 + off % 3, 0).astype(np.int32)
        number = number + np.where((kind >= 500) & (kind < 600), np.uint64(rows), np.uint64(0))
    made = pl.DataFrame({"number": number, "account": account, "cents": cents, "day": day})
    return made.select(
        ref=pl.format("TRX{}", pl.col("number").cast(pl.String).str.zfill(10)),
        account=pl.format("ACC-{}", "account"),
        amount=(pl.col("cents").cast(pl.Decimal(20, 2)) / 100).cast(pl.Decimal(18, 2)),
        date=pl.col("day").cast(pl.Date),
        currency=pl.when(pl.col("account") % 5 == 0).then(pl.lit("USD")).otherwise(pl.lit("EUR")),
    )


def _step(rows: int) -> int:
    """A stride that meets every place once: it has no factor in common with `rows`."""
    step = int(rows * 0.618) | 1
    while np.gcd(step, rows) != 1:
        step += 2
    return step


def run_once(folder: Path, partitions: int | None) -> Measurement:
    """One whole run, its result removed before and after."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "recon_engine", "run", str(folder / "plan.yaml"), "--out", str(out)]
    measured = measure([*command, *(["--partitions", str(partitions)] if partitions else [])], Path.cwd())
    if measured.status not in (0, 1):
        raise SystemExit(f"failed with status {measured.status}: {measured.last_line}")
    told = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    if not told["conserved"]:
        raise SystemExit("rows were lost")
    shutil.rmtree(out, ignore_errors=True)
    return measured


def main() -> int:
    """Run and tell; ends with 1 where the memory is more than asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 100_000_000])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--partitions", type=int, default=None, help="passed to recon_engine; default: its own choice")
    parser.add_argument("--memory", type=int, default=3000, help="MB that a run may take at most")
    given = parser.parse_args()
    kept = True
    print(f"{'rows a side':>14}{'median s':>10}{'cpu s':>10}{'peak MB':>10}{'ns a row':>10}")
    for rows in given.rows:
        folder = BENCH / f"large-{rows}"
        # In a process of its own: what this one has held would count as the peak of those it starts.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(generate, (folder, rows))
        runs = [run_once(folder, given.partitions) for _ in range(given.runs)]
        seconds = statistics.median(m.seconds for m in runs)
        peak = max(m.peak_bytes for m in runs) >> 20
        kept &= peak <= given.memory
        processor = statistics.median(m.cpu_seconds for m in runs)
        print(f"{rows:>14,}{seconds:>10.1f}{processor:>10.1f}{peak:>10,}{seconds / rows / 2 * 1e9:>10.0f}", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
