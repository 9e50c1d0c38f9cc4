"""What a close asks of a result beyond its counts: shares by amount, what the open items explain, and their age.

All sums are exact. Amounts are those of the plan's first decimal field, per currency; ages are days from a record's
first date field to the latest date in any file, so that the same result always says the same. Of several sides the
field that most of them have comes first; how far apart they are is told of each two that have a decimal field in
common, see services/balances.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from decimal import Decimal
from typing import Any

import polars as pl

from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import SidesPlan
from recon_engine.outcome.conservation import NO_CURRENCY, currency_of
from recon_engine.plan import SIDES, Plan
from services.balances import OPEN, alone_in_matches, balances, last_without
from services.sides import side_view

Scan = Callable[[str], AbstractContextManager[pl.LazyFrame]]
AGES = ((7, "0 to 7 days"), (30, "8 to 30 days"), (60, "31 to 60 days"), (90, "61 to 90 days"))
OLDER, UNDATED = "over 90 days", "no date"
SIZES = tuple(Decimal(10) ** power for power in range(10))
"""What the size of an amount is at most, in steps of ten; the last step has no end."""
AGE_LABELS = (*(label for _, label in AGES), OLDER, UNDATED)


def money_of(plan: AnyPlan) -> str | None:
    """The field whose values are the amounts: the first decimal one of those that most sides have."""
    return _most_shared(plan, ("decimal",))


def date_of(plan: AnyPlan) -> str | None:
    """The field that says how old a record is: the first date of those that most sides have."""
    return _most_shared(plan, ("date", "datetime"))


def amounts_of(plan: AnyPlan, side: str) -> str | None:
    """The field of a side's amounts: that of the others too, unless the side does not have it."""
    money, own = money_of(plan), [spec.name for spec in side_view(plan, side)[0].fields if spec.type == "decimal"]
    return money if money in own else next(iter(own), None)


def _most_shared(plan: AnyPlan, kinds: tuple[str, ...]) -> str | None:
    if isinstance(plan, Plan):
        return next((spec.name for spec in plan.fields if spec.type in kinds), None)
    found = [spec for spec in plan.fields if spec.type in kinds]
    return max(found, key=lambda spec: len(spec.columns)).name if found else None  # the first of equals


def figures(plan: AnyPlan, totals: dict[str, Any], scan: Scan) -> dict[str, Any]:
    """The figures as JSON holds them, amounts as text.

    `amounts`: the field of each side's amounts. `volume`: per side and currency the sums without signs of the records
    `read`, `matched`, `suggested` and in `breaks`. `balances`: see services/balances.py. `categories` and `ages`: per
    category (or age) and currency the rows and the sum of the open records of each side. `as_of`: the latest date.
    `sizes`: the open records of each side by the size of their amount, in steps of ten: `most` is None in the last;
    steps that nothing falls into are left out at both ends.
    """
    names, date = list(plan.labels), date_of(plan)
    amounts = {side: amounts_of(plan, side) for side in names}
    with ExitStack() as stack:

        def opened(name: str) -> pl.LazyFrame:
            return stack.enter_context(scan(name))

        sides = {side: _placed(plan, side, amounts[side], date, totals, opened) for side in names}
        latest = [frame.select(pl.col("__date").max()).collect(engine="streaming").item() for frame in sides.values()]
        as_of = max((day for day in latest if day is not None), default=None)
        counted = {side: _counted(frame, as_of) for side, frame in sides.items()}
        alone = alone_in_matches(plan, opened) if isinstance(plan, SidesPlan) and plan.incomplete == "match" else {}
    open_rows = {side: frame.filter(pl.col("category").is_not_null()) for side, frame in counted.items()}
    digits = {side: side_view(plan, side)[0].field(name).digits if name else 0 for side, name in amounts.items()}
    return {
        "money": money_of(plan),
        "amounts": amounts,
        "date": date,
        "as_of": None if as_of is None else as_of.isoformat(),
        "volume": {side: _volume(frame) for side, frame in counted.items() if amounts[side]},
        "balances": balances(plan, totals, alone),
        "categories": _lines(open_rows, "category", digits),
        "ages": _lines(open_rows, "age", digits) if date else [],
        "sizes": _sizes(open_rows) if any(amounts.values()) else [],
    }


def renewed(told: dict[str, Any]) -> dict[str, Any]:
    """Figures that an earlier version kept, of two sides, as they are now."""
    balance = {"between": list(SIDES), "money": told["money"], "opposite": told["opposite"], "sums": told["balance"]}
    lines = {
        name: [
            {**{key: value for key, value in line.items() if key not in SIDES}, "sides": {k: line[k] for k in SIDES}}
            for line in told.get(name, [])
        ]
        for name in ("categories", "ages", "sizes")
    }
    return {
        **{name: told[name] for name in ("money", "date", "as_of", "volume")},
        "amounts": dict.fromkeys(SIDES, told["money"]),
        "balances": [balance] if told["balance"] else [],
        **lines,
    }


def turned(told: dict[str, Any]) -> dict[str, Any]:
    """Figures of an earlier version, whose balances were left less right, as they are now."""
    apart = ("apart", *OPEN, "alone", "unexplained")
    balances = [
        one if one["opposite"] else {**one, "sums": {c: _less(sums, apart) for c, sums in one["sums"].items()}}
        for one in told["balances"]
    ]
    return {**told, "balances": balances}


def _less(sums: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: str(0 - Decimal(value)) if name in names else value for name, value in sums.items()}


def _currency(plan: AnyPlan, side: str, totals: dict[str, Any]) -> pl.Expr:
    """The currency of a side's records. Where a side has no such column, all are told as one while the others have
    only one; else the side's own have none.
    """
    if isinstance(plan, SidesPlan) and plan.currency is not None:
        having = plan.field(plan.currency.field).columns.keys()
        if having < plan.labels.keys():
            known = {currency for name in having for currency in totals[name]}
            if len(known) <= 1:
                return pl.lit(NO_CURRENCY)
            if side not in having:
                return pl.lit("")
    return currency_of(*side_view(plan, side))


def _placed(
    plan: AnyPlan,
    side: str,
    money: str | None,
    date: str | None,
    totals: dict[str, Any],
    opened: Callable[[str], pl.LazyFrame],
) -> pl.LazyFrame:
    """The records of a side with their amount, date and currency; breaks have a category, suggestions are marked."""
    keys = ("source", "row")
    mine = pl.col("side").cast(pl.String) == side
    breaks = opened("breaks").filter(mine).select(pl.col("source").cast(pl.String), "row", "category")
    suggested = opened("matches").filter(mine & (pl.col("outcome").cast(pl.String) == "suggested"))
    is_dated = date in {spec.name for spec in side_view(plan, side)[0].fields}
    return (
        opened(side)
        .select(
            pl.col("source").cast(pl.String),
            "row",
            _currency(plan, side, totals).alias("currency"),
            (pl.col(money) if money else pl.lit(None, pl.Decimal(38, 2))).alias("__amount"),
            (pl.col(str(date)).cast(pl.Date) if is_dated else pl.lit(None, pl.Date)).alias("__date"),
        )
        .join(breaks.with_columns(pl.col("category").cast(pl.String)), on=keys, how="left")
        .join(
            suggested.select(pl.col("source").cast(pl.String), "row", suggested=pl.lit(True)).unique(),
            on=keys,
            how="left",
        )
    )


def _counted(frame: pl.LazyFrame, as_of: Any) -> pl.DataFrame:
    """Rows, sum and sum without signs, by currency, category, age and whether they are suggestions."""
    days = (pl.lit(as_of, pl.Date) - pl.col("__date")).dt.total_days()
    age: Any = pl.when(days.is_null()).then(pl.lit(UNDATED))
    for most, label in AGES:
        age = age.when(days <= most).then(pl.lit(label))
    steps = [pl.col("__amount").abs() > pl.lit(most) for most in SIZES]
    size = pl.when(pl.col("__amount").is_not_null()).then(pl.sum_horizontal(steps))
    return (
        frame.group_by(
            "currency",
            "category",
            pl.col("suggested").fill_null(False),
            age.otherwise(pl.lit(OLDER)).alias("age"),
            size.alias("size"),
        )
        .agg(rows=pl.len(), total=pl.col("__amount").sum(), volume=pl.col("__amount").abs().sum())
        .collect(engine="streaming")
    )


def _volume(counted: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Per currency the sums without signs by what became of the records."""
    part = (
        pl.when(pl.col("category").is_not_null())
        .then(pl.lit("breaks"))
        .when("suggested")
        .then(pl.lit("suggested"))
        .otherwise(pl.lit("matched"))
    )
    found: dict[str, dict[str, Decimal]] = {}
    for currency, name, volume in counted.select("currency", part.alias("part"), "volume").iter_rows():
        sums = found.setdefault(currency, dict.fromkeys(("read", "matched", "suggested", "breaks"), Decimal(0)))
        for each in ("read", name):
            sums[each] += volume or 0
    return {currency: {name: str(value) for name, value in sums.items()} for currency, sums in sorted(found.items())}


def _sizes(open_rows: dict[str, pl.DataFrame]) -> list[dict[str, Any]]:
    rows = {
        side: dict(frame.group_by("size").agg(pl.col("rows").sum()).iter_rows()) for side, frame in open_rows.items()
    }
    there = sorted({size for counts in rows.values() for size in counts if size is not None})
    return [
        {
            "most": str(SIZES[size]) if size < len(SIZES) else None,
            "sides": {side: int(counts.get(size, 0)) for side, counts in rows.items()},
        }
        for size in (range(there[0], there[-1] + 1) if there else ())
    ]


def _lines(open_rows: dict[str, pl.DataFrame], by: str, digits: dict[str, int]) -> list[dict[str, Any]]:
    """Per value of `by` and currency: rows and sum of each side. The largest categories first; ages in order."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    nothing = {side: {"rows": 0, "total": f"{0:.{digits[side]}f}"} for side in open_rows}
    for side, frame in open_rows.items():
        summed = frame.group_by(by, "currency").agg(pl.col("rows").sum(), pl.col("total").sum())
        for value, currency, rows, total in summed.sort(by, "currency").iter_rows():
            empty = {by: value, "currency": currency, "sides": dict(nothing)}
            lines.setdefault((value, currency), empty)["sides"][side] = {"rows": rows, "total": str(total)}
    most = Counter[str]()
    for line in lines.values():
        most[line[by]] += sum(one["rows"] for one in line["sides"].values())
    order = {label: place for place, label in enumerate(AGE_LABELS)}
    return sorted(
        lines.values(),
        key=lambda line: (order.get(line[by], -most[line[by]]), line[by], last_without(line["currency"])),
    )
