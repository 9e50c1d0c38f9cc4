"""Conservation: per side, rows read = matched + suggested + breaks + rejected, in counts and in exact sums per
currency.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.outcome.matches import MATCHED, OPEN, SUGGESTED
from recon_engine.plan import Plan, SideName

PARTS = ("read", "matched", "suggested", "breaks", "rejected")
NO_CURRENCY = "all"
CURRENCY = "__currency"
"""The column of `currency_of`: no field is called so."""
_STATE_OF = {"matched": MATCHED, "suggested": SUGGESTED, "breaks": OPEN}


def counts(read: int, state: pl.Series, rejected: int) -> dict[str, int]:
    """Rows per part. `read` is the reader's own count of data rows, not a sum of the others."""
    return {
        "read": read,
        **{part: int((state == code).sum()) for part, code in _STATE_OF.items()},
        "rejected": rejected,
    }


def totals(
    plan: Plan, side: SideName, typed: pl.LazyFrame, state: pl.Series, rejected: pl.DataFrame
) -> dict[str, dict[str, dict[str, str]]]:
    """Exact sums {currency: {decimal field: {part: sum}}}, as read (before cleaning); '' is a missing currency.

    `typed`: the side's records by position; `rejected`: CURRENCY and decimal fields of rejected rows, null where
    unreadable.
    `read` is summed over records and rejected rows together, apart from the parts.
    """
    names = [f.name for f in plan.fields if f.type == "decimal"]
    if not names:
        return {}
    good = typed.select(currency_of(plan, side), *names)
    read = _sums(pl.concat([good, rejected.lazy().select(CURRENCY, *names)]), [CURRENCY], names)
    by_state = _sums(
        pl.concat([good, state.alias("__state").to_frame().lazy()], how="horizontal"), [CURRENCY, "__state"], names
    )
    lost = _sums(rejected.lazy().select(CURRENCY, *names), [CURRENCY], names)
    digits = {f.name: f.digits for f in plan.fields}
    sums: dict[str, dict[str, dict[str, str]]] = {}
    for row in read.iter_rows(named=True):
        sums[row[CURRENCY]] = {
            n: {p: _zero(digits[n]) for p in PARTS} | {"read": _text(row[n], digits[n])} for n in names
        }
    parts = {code: part for part, code in _STATE_OF.items()}
    for row in by_state.iter_rows(named=True):
        for n in names:
            sums[row[CURRENCY]][n][parts[row["__state"]]] = _text(row[n], digits[n])
    for row in lost.iter_rows(named=True):
        for n in names:
            sums[row[CURRENCY]][n]["rejected"] = _text(row[n], digits[n])
    return sums


def currency_of(plan: Plan, side: SideName) -> pl.Expr:
    """The column CURRENCY of a record: '' when it has none; NO_CURRENCY when the plan names no currency field."""
    if plan.currency is None:
        return pl.lit(NO_CURRENCY).alias(CURRENCY)
    spec = plan.field(plan.currency.field)
    value = pl.col(spec.name)
    if spec.type == "text":
        value = cleaned(value, spec.clean.left if side == "left" else spec.clean.right)
    return value.cast(pl.String).fill_null("").alias(CURRENCY)


def conserved(rows: dict[str, int], sums: dict[str, dict[str, dict[str, str]]]) -> bool:
    """True when the parts add up to what was read, in counts and in every exact sum."""
    parts = PARTS[1:]
    balanced: list[bool] = [rows["read"] == sum(rows[p] for p in parts)]
    for fields in sums.values():
        balanced += [Decimal(f["read"]) == sum(Decimal(f[p]) for p in parts) for f in fields.values()]
    return all(balanced)


def _sums(frame: pl.LazyFrame, keys: list[str], names: list[str]) -> pl.DataFrame:
    return frame.group_by(keys).agg(pl.col(names).sum()).sort(keys).collect(engine="streaming")


def _text(value: Any, digits: int) -> str:
    return f"{value:.{digits}f}" if value is not None else _zero(digits)


def _zero(digits: int) -> str:
    return f"{0:.{digits}f}"
