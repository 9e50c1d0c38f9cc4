"""Payments and the open invoices of their accounts as two CSV files, the same on every machine, and the plan.

Each account has 12 to 24 open invoices and a payment, now and then more than one. A payment settles two to six invoices
to the cent, those of one account none in common; one in ten is made up and settles nothing. `truth.parquet` tells which
invoices (rows of right.csv) each payment (a row of left.csv) settles.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

INVOICES, SETTLED = (12, 24), (2, 6)
_LEAST, _MOST = 100_000, 50_000_000  # cents
_SECOND, _MADE_UP = 0.2, 0.1
PLAN = """\
version: 1
name: sums-benchmark
left: {label: Bank, files: [left.csv]}
right: {label: Open items, files: [right.csv]}
fields:
  - {name: reference, left: reference, right: invoice, type: text}
  - {name: account, left: account, right: account, type: text}
  - {name: amount, left: amount, right: amount, type: decimal, scale: 2}
rules:
  - name: one payment, several invoices
    cardinality: one_to_many
    on: [account, {field: amount, total: true, within: 0.00}]
"""


def generate(folder: Path, payments: int) -> None:
    """Write left.csv, right.csv, truth.parquet and plan.yaml into `folder` unless they are there."""
    if (folder / "plan.yaml").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(20_261_124)
    account = np.cumsum(random.random(payments) >= _SECOND)  # a payment now and then shares the account before it
    invoices = pl.DataFrame({"account": np.unique(account)}).with_columns(
        pl.lit(pl.Series(random.integers(INVOICES[0], INVOICES[1] + 1, len(np.unique(account))))).alias("open")
    )
    invoices = invoices.select(pl.col("account").repeat_by("open").explode())
    invoices = invoices.with_columns(cents=pl.Series(random.integers(_LEAST, _MOST, invoices.height)))
    invoices = invoices.select(pl.all().gather(pl.Series(random.permutation(invoices.height)))).with_row_index("row", 1)

    # The invoices of an account in the order of the file are in random order: payments take them from the front.
    paid = pl.DataFrame({"account": account, "count": random.integers(SETTLED[0], SETTLED[1] + 1, payments)})
    paid = paid.with_row_index("payment", 1).with_columns(upto=pl.col("count").cum_sum().over("account"))
    paid = paid.filter(pl.col("upto") <= INVOICES[0])
    truth = (
        invoices.with_columns(place=pl.int_range(pl.len()).over("account"))
        .join(paid, on="account")
        .filter(pl.col("place").is_between(pl.col("upto") - pl.col("count"), pl.col("upto"), closed="left"))
    )
    left = truth.group_by("payment", "account").agg(pl.col("cents").sum()).sort("payment")
    left = left.with_columns(made_up=pl.Series(random.random(left.height) < _MADE_UP)).with_row_index("row", 1)
    off = pl.Series(random.integers(1, _LEAST, left.height))
    truth = truth.join(left.filter(~pl.col("made_up")).select("payment", left="row"), on="payment")
    truth.select("left", right="row").sort("left", "right").write_parquet(folder / "truth.parquet")
    left = left.with_columns(cents=pl.col("cents") + pl.when("made_up").then(off).otherwise(0))
    _write(left, "reference", "PAY", folder / "left.csv")
    _write(invoices, "invoice", "INV", folder / "right.csv")
    (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")  # last: its presence says that the rest is whole


def _write(records: pl.DataFrame, name: str, begins: str, path: Path) -> None:
    records.select(
        pl.format("{}-{}", pl.lit(begins), pl.col("row").cast(pl.String).str.zfill(7)).alias(name),
        account=pl.format("ACC-{}", pl.col("account").cast(pl.String).str.zfill(6)),
        amount=pl.format("{}.{}", pl.col("cents") // 100, (pl.col("cents") % 100).cast(pl.String).str.zfill(2)),
    ).write_csv(path)
