"""Two CSV files with planted differences, the same on every machine, and the plan that reconciles them.

Of the left rows the right file holds: 94 % unchanged, 2 % with the amount off by at most 0.05, 2 % dated one to three
days later, 1 % with both, and 1 % replaced by a row of its own (so as many are missing on each side). The right file's
rows are shuffled. Other shares may be asked for, also of amounts that are far off.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

SHARES = {"exact": 0.94, "small difference": 0.02, "settled later": 0.02, "both": 0.01, "missing": 0.01, "far off": 0.0}
FAR_OFF_CENTS = 100_000
COLUMNS = ("ref", "account", "amount", "date", "currency", "narrative")
WORDS = ("invoice", "salary", "card payment", "transfer", "refund", "standing order", "fee", "interest")
PLAN = """\
version: 1
name: cascade-benchmark
left: {label: Ledger, files: [left.csv]}
right: {label: Bank, files: [right.csv]}
fields:
  - {name: reference, left: ref, right: ref, type: text}
  - {name: account, left: account, right: account, type: text}
  - {name: amount, left: amount, right: amount, type: decimal, scale: 2}
  - {name: posted_on, left: date, right: date, type: date}
  - {name: currency, left: currency, right: currency, type: text}
  - {name: narrative, left: narrative, right: narrative, type: text}
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
"""


def generate(folder: Path, rows: int, shares: Mapping[str, float] = SHARES) -> dict[str, int]:
    """Write left.csv, right.csv and plan.yaml into `folder` unless they are there. Returns the planted counts."""
    counts = planted(rows, shares)
    if not (folder / "plan.yaml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(_left(rows), folder / "left.csv")
        _write(_right(rows, counts), folder / "right.csv")
        (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")  # last: its presence says that the rest is whole
    return counts


def planted(rows: int, shares: Mapping[str, float] = SHARES) -> dict[str, int]:
    """How many left rows are of each kind; they sum to `rows`."""
    counts = {name: int(rows * share) for name, share in shares.items()}
    counts["exact"] += rows - sum(counts.values())
    return counts


def _records(rows: int) -> pl.DataFrame:
    """The left records with the amount in cents and the date as a day number, in reference order."""
    random = np.random.default_rng(20_261_124)
    return pl.DataFrame(
        {
            "number": np.arange(rows),
            "account": random.integers(10_000, 99_999, rows),
            "cents": random.integers(-9_999_999, 9_999_999, rows),
            "day": random.integers(20_089, 20_454, rows),  # the days of 2025
            "word": random.integers(0, len(WORDS), rows),
            "kind": random.random(rows),
        }
    )


def _text(records: pl.DataFrame) -> pl.DataFrame:
    cents = pl.col("cents").abs()
    return records.select(
        ref=pl.format("TRX{}", pl.col("number").cast(pl.String).str.zfill(10)),
        account=pl.format("ACC-{}", "account"),
        amount=pl.format(
            "{}{}.{}",
            pl.when(pl.col("cents") < 0).then(pl.lit("-")).otherwise(pl.lit("")),
            cents // 100,
            (cents % 100).cast(pl.String).str.zfill(2),
        ),
        date=pl.col("day").cast(pl.Int32).cast(pl.Date),
        currency=pl.when(pl.col("account") % 5 == 0).then(pl.lit("USD")).otherwise(pl.lit("EUR")),
        narrative=pl.format("{} {}", pl.lit(pl.Series(WORDS)).gather(pl.col("word")), "account"),
    )


def _left(rows: int) -> pl.DataFrame:
    return _text(_records(rows))


def _right(rows: int, counts: dict[str, int]) -> pl.DataFrame:
    random = np.random.default_rng(7)
    records = _records(rows).with_columns(rank=pl.col("kind").rank("ordinal") - 1)
    ends = dict(zip(counts, np.cumsum(list(counts.values())).tolist(), strict=True))

    def kind(*names: str) -> pl.Expr:
        return pl.any_horizontal(
            pl.col("rank").is_between(ends[name] - counts[name], ends[name], closed="left") for name in names
        )

    cents_off = pl.Series(random.integers(1, 6, rows) * random.choice([-1, 1], rows))
    days_later = pl.Series(random.integers(1, 4, rows))
    changed = records.with_columns(
        cents=pl.col("cents")
        + pl.when(kind("small difference", "both")).then(cents_off).otherwise(0)
        + pl.when(kind("far off")).then(FAR_OFF_CENTS).otherwise(0),
        day=pl.col("day") + pl.when(kind("settled later", "both")).then(days_later).otherwise(0),
        number=pl.col("number") + pl.when(kind("missing")).then(rows).otherwise(0),
    )
    return _text(changed.sample(fraction=1, shuffle=True, seed=11))


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.select(COLUMNS).write_csv(path)
