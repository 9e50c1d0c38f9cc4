"""How far two sides are apart in money, what the open items explain of that, and what they leave unexplained.

Two sides are one such balance. Of more, each two that have a decimal field in common are one: each adds up by itself,
and a sum over all sides would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import combinations
from typing import Any

import polars as pl

from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import Pair, SidesPlan
from recon_engine.outcome.conservation import NO_CURRENCY, currency_of
from recon_engine.plan import SIDES, Plan
from services.sides import side_view

Alone = dict[tuple[str, str], dict[str, dict[str, Decimal]]]
"""By side and another one: per field and currency the sum of matched records in whose match the other has none."""
OPEN = ("breaks", "suggested", "rejected")


def balances(plan: AnyPlan, totals: dict[str, Any], alone: Alone) -> list[dict[str, Any]]:
    """`between` which sides, the `money` field, whether signs are `opposite`, and the `sums` per currency, as text.

    The sums: of the `left` and the `right` side, how far they are `apart` (right less left, as tolerances and
    differences are; added where signs are opposite), what `breaks`, `suggested` and `rejected`
    rows explain of it, and what is left `unexplained`. Where groups that lack a side count as matches, `alone` is what
    those explain. Two sides of which only one has a currency, and amounts in several, have no sums.
    """
    found = []
    for pair, money in _pairs(plan):
        own = {side: _by_currency(totals[side], money) for side in pair}
        if (sums := _comparable(plan, pair, own)) is None:
            found.append({"between": list(pair), "money": money, "opposite": False, "sums": {}})
            continue
        opposite = opposite_signs(*(sums[side] for side in pair))
        lone = {(one, two): alone[one, two].get(money, {}) for one, two in (pair, pair[::-1])} if alone else None
        if lone is not None and any(NO_CURRENCY in sums[side] for side in pair):
            lone = {key: {NO_CURRENCY: sum(by.values(), Decimal(0))} for key, by in lone.items()}
        told = _balance(pair, sums, -1 if opposite else 1, lone)
        found.append({"between": list(pair), "money": money, "opposite": opposite, "sums": told})
    return found


def _pairs(plan: AnyPlan) -> list[tuple[Pair, str]]:
    """Each two sides with the decimal field that they are compared by: the first that their rules look at, else the
    first that both have. They stand in the order of the sides, each as its rules name it.
    """
    if isinstance(plan, Plan):
        money = next((spec.name for spec in plan.fields if spec.type == "decimal"), None)
        return [] if money is None else [(SIDES, money)]
    found = []
    for one, two in combinations(plan.labels, 2):
        named = any(rule.between == (two, one) for rule in plan.rules)
        rules = plan.pairs.get((one, two)) or plan.pairs.get((two, one)) or []
        asked = {name for rule in rules for name in rule.fields}
        shared = [spec.name for spec in plan.fields if spec.type == "decimal" and {one, two} <= spec.columns.keys()]
        if shared:
            money = next((name for name in shared if name in asked), shared[0])
            found.append(((two, one) if named else (one, two), money))
    return found


def _by_currency(totals: dict[str, Any], money: str) -> dict[str, dict[str, Decimal]]:
    return {
        currency: {part: Decimal(value) for part, value in fields[money].items()}
        for currency, fields in totals.items()
        if money in fields
    }


def _comparable(plan: AnyPlan, pair: Pair, own: dict[str, Any]) -> dict[str, Any] | None:
    """The sums of two sides by the same currencies: where only one of them has a column for it, of all its amounts,
    unless these are in several currencies. Those cannot be added, and there is no balance.
    """
    if not isinstance(plan, SidesPlan) or plan.currency is None:
        return own
    having = [side for side in pair if side in plan.field(plan.currency.field).columns]
    if len(having) != 1:
        return own
    [only] = having
    if len(own[only]) > 1:
        return None
    return own | {only: dict(zip((NO_CURRENCY,), own[only].values(), strict=False))}


def last_without(currency: str) -> tuple[bool, str]:
    """The order of currencies: by name, and what has none at the end."""
    return not currency, currency


def opposite_signs(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether amounts have the other sign on the other side: then what is matched nearly cancels when added."""
    apart = {sign: Decimal(0) for sign in (1, -1)}
    for currency in {*left, *right}:
        one, two = (Decimal(side.get(currency, {}).get("matched", 0)) for side in (left, right))
        for sign in apart:
            apart[sign] += abs(one - sign * two)
    return apart[-1] < apart[1]


def _balance(pair: Pair, sums: dict[str, Any], sign: int, alone: dict[Pair, dict[str, Decimal]] | None) -> Any:
    """Per currency, right less left: of all that was read, of the open items, and what these leave unexplained."""
    found = {}
    for currency in sorted({currency for side in pair for currency in sums[side]}, key=last_without):
        left, right = (sums[side].get(currency, {}) for side in pair)
        zero = next((Decimal(0).quantize(side["read"]) for side in (left, right) if side), Decimal(0))
        told = {part: right.get(part, zero) - sign * left.get(part, zero) for part in ("read", *OPEN)}
        if alone is not None:
            one, two = (alone[key].get(currency, zero) for key in (pair, pair[::-1]))
            told["alone"] = two - sign * one
        apart = told.pop("read")
        found[currency] = {
            "left": str(left.get("read", zero)),
            "right": str(right.get("read", zero)),
            "apart": str(apart),
            **{part: str(value) for part, value in told.items()},
            "unexplained": str(apart - sum(told.values())),
        }
    return found


def alone_in_matches(plan: SidesPlan, opened: Callable[[str], pl.LazyFrame]) -> Alone:
    """What is matched on one side in matches that have no record of another. `opened`: the tables of the result."""
    key = ("source", "row")
    members = (
        opened("matches")
        .filter(pl.col("outcome").cast(pl.String) == "confirmed")
        .select("match_id", pl.col("side").cast(pl.String), pl.col("source").cast(pl.String), "row")
    )
    present = members.group_by("match_id").agg(sides=pl.col("side").unique())
    lacking = members.join(present.filter(pl.col("sides").list.len() < len(plan.sides)), on="match_id")
    found: Alone = {(one, two): {} for one in plan.labels for two in plan.labels if one != two}
    for side in plan.labels:
        view = side_view(plan, side)
        fields = [spec.name for spec in view[0].fields if spec.type == "decimal"]
        records = opened(side).select(
            pl.col("source").cast(pl.String), "row", *fields, currency_of(*view).alias("__currency")
        )
        mine = lacking.filter(pl.col("side") == side).join(records, on=key)
        summed = mine.group_by(pl.col("sides").list.sort(), "__currency").agg(pl.col(name).sum() for name in fields)
        for row in summed.collect(engine="streaming").iter_rows(named=True):
            for other in _others(plan, row["sides"]):
                for name in fields:
                    by = found[side, other].setdefault(name, {})
                    by[row["__currency"]] = by.get(row["__currency"], Decimal(0)) + (row[name] or 0)
    return found


def _others(plan: SidesPlan, present: Iterable[str]) -> list[str]:
    return [side for side in plan.labels if side not in set(present)]
