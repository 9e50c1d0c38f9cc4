"""What a close asks of a result beyond its counts: shares by amount, what the open items explain, and their age.

All sums are exact. Amounts are those of the plan's first decimal field, per currency; ages are days from a record's
first date field to the latest date in either file, so that the same result always says the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from decimal import Decimal
from typing import Any

import polars as pl

from recon_engine.outcome.conservation import currency_of
from recon_engine.plan import SIDES, Plan, SideName

Scan = Callable[[str], AbstractContextManager[pl.LazyFrame]]
AGES = ((7, "0 to 7 days"), (30, "8 to 30 days"), (60, "31 to 60 days"), (90, "61 to 90 days"))
OLDER, UNDATED = "over 90 days", "no date"
SIZES = tuple(Decimal(10) ** power for power in range(10))
"""What the size of an amount is at most, in steps of ten; the last step has no end."""
AGE_LABELS = (*(label for _, label in AGES), OLDER, UNDATED)


NO_FIGURES: dict[str, Any] = {
    "money": None, "date": None, "as_of": None, "volume": {}, "opposite": False, "balance": {}, "categories": [],
    "ages": [], "sizes": [],
}  # fmt: skip


def money_of(plan: Plan) -> str | None:
    """The field whose values are the amounts: the first decimal one."""
    return next((spec.name for spec in plan.fields if spec.type == "decimal"), None)


def date_of(plan: Plan) -> str | None:
    """The field that says how old a record is: the first date."""
    return next((spec.name for spec in plan.fields if spec.type in ("date", "datetime")), None)


def opposite_signs(totals: dict[str, Any], money: str) -> bool:
    """Whether amounts have the other sign on the other side: then what is matched nearly cancels when added."""
    apart = {sign: Decimal(0) for sign in (1, -1)}
    for currency in {name for side in SIDES for name in totals[side]}:
        left, right = (Decimal(totals[side].get(currency, {}).get(money, {}).get("matched", "0")) for side in SIDES)
        for sign in apart:
            apart[sign] += abs(left - sign * right)
    return apart[-1] < apart[1]


def figures(plan: Plan, totals: dict[str, Any], scan: Scan) -> dict[str, Any]:
    """The figures as JSON holds them, amounts as text.

    `volume`: per side and currency the sums without signs of the records `read`, `matched`, `suggested` and in
    `breaks`. `balance`: per currency how far the sides are apart, what the open items explain of it, and what is left.
    `categories` and `ages`: per category (or age) and currency the rows and the sum of the open records of each side.
    `as_of`: the latest date. `sizes`: the open records of each side by the size of their amount, in steps of ten:
    `most` is None in the last; steps that nothing falls into are left out at both ends.
    """
    money, date = money_of(plan), date_of(plan)
    digits = plan.field(money).digits if money else 0
    with ExitStack() as stack:
        sides = {side: _placed(plan, side, money, date, lambda name: stack.enter_context(scan(name))) for side in SIDES}
        latest = [frame.select(pl.col("__date").max()).collect(engine="streaming").item() for frame in sides.values()]
        as_of = max((day for day in latest if day is not None), default=None)
        counted = {side: _counted(frame, as_of) for side, frame in sides.items()}
    open_rows = {side: frame.filter(pl.col("category").is_not_null()) for side, frame in counted.items()}
    return {
        "money": money,
        "date": date,
        "as_of": None if as_of is None else as_of.isoformat(),
        "volume": {side: _volume(frame) for side, frame in counted.items()} if money else {},
        "opposite": bool(money) and opposite_signs(totals, str(money)),
        "balance": _balance(totals, money) if money else {},
        "categories": _lines(open_rows, "category", digits),
        "ages": _lines(open_rows, "age", digits) if date else [],
        "sizes": _sizes(open_rows) if money else [],
    }


def _placed(
    plan: Plan, side: SideName, money: str | None, date: str | None, opened: Callable[[str], pl.LazyFrame]
) -> pl.LazyFrame:
    """The records of a side with their amount, date and currency; breaks have a category, suggestions are marked."""
    keys = ("source", "row")
    mine = pl.col("side").cast(pl.String) == side
    breaks = opened("breaks").filter(mine).select(pl.col("source").cast(pl.String), "row", "category")
    suggested = opened("matches").filter(mine & (pl.col("outcome").cast(pl.String) == "suggested"))
    return (
        opened(side)
        .select(
            pl.col("source").cast(pl.String),
            "row",
            currency_of(plan, side).alias("currency"),
            (pl.col(money) if money else pl.lit(None, pl.Decimal(38, 2))).alias("__amount"),
            (pl.col(date).cast(pl.Date) if date else pl.lit(None, pl.Date)).alias("__date"),
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


def _balance(totals: dict[str, Any], money: str) -> dict[str, dict[str, str]]:
    """Per currency, left less right: of all that was read, of the open items, and what these leave unexplained."""
    sign, found = -1 if opposite_signs(totals, money) else 1, {}
    for currency in sorted({name for side in SIDES for name in totals[side]}):
        left, right = (totals[side].get(currency, {}).get(money, {}) for side in SIDES)
        apart = {
            part: Decimal(left.get(part, "0")) - sign * Decimal(right.get(part, "0"))
            for part in ("read", "breaks", "suggested", "rejected")
        }
        told = {
            "left": left.get("read", "0"),
            "right": right.get("read", "0"),
            "apart": apart["read"],
            "breaks": apart["breaks"],
            "suggested": apart["suggested"],
            "rejected": apart["rejected"],
            "unexplained": apart["read"] - apart["breaks"] - apart["suggested"] - apart["rejected"],
        }
        found[currency] = {name: str(value) for name, value in told.items()}
    return found


def _sizes(open_rows: dict[SideName, pl.DataFrame]) -> list[dict[str, Any]]:
    rows = {
        side: dict(frame.group_by("size").agg(pl.col("rows").sum()).iter_rows()) for side, frame in open_rows.items()
    }
    there = sorted({size for counts in rows.values() for size in counts if size is not None})
    return [
        {
            "most": str(SIZES[size]) if size < len(SIZES) else None,
            **{side: int(counts.get(size, 0)) for side, counts in rows.items()},
        }
        for size in (range(there[0], there[-1] + 1) if there else ())
    ]


def _lines(open_rows: dict[SideName, pl.DataFrame], by: str, digits: int) -> list[dict[str, Any]]:
    """Per value of `by` and currency: rows and sum of each side. The largest categories first; ages in order."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    nothing = {"rows": 0, "total": f"{0:.{digits}f}"}
    for side, frame in open_rows.items():
        summed = frame.group_by(by, "currency").agg(pl.col("rows").sum(), pl.col("total").sum())
        for value, currency, rows, total in summed.sort(by, "currency").iter_rows():
            empty = {by: value, "currency": currency, "left": nothing, "right": nothing}
            lines.setdefault((value, currency), empty)[side] = {"rows": rows, "total": str(total)}
    most = Counter[str]()
    for line in lines.values():
        most[line[by]] += line["left"]["rows"] + line["right"]["rows"]
    order = {label: place for place, label in enumerate(AGE_LABELS)}
    return sorted(lines.values(), key=lambda line: (order.get(line[by], -most[line[by]]), line[by], line["currency"]))
