"""The figures that a reader of a result looks for first, on the screen and on the PDF."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping, Sequence
from decimal import Decimal
from typing import Any

from recon_engine.outcome.conservation import NO_CURRENCY
from services.balances import last_without
from services.formats import amount, number, share
from services.wording import named

Tile = tuple[str, str, str]
"""A label, the figure, and what it is made of."""

UNEXPLAINED = "Unexplained difference"
MOST_NAMED = 4  # of pairs of sides that cannot be compared
INSIDE_MATCHES = "lies inside matches: tolerances, fees, netted rows."
OF_EACH_TWO = (
    "Of each two sides with an amount in common, the second less the first; added, where their signs are opposite. "
    "What both have and a third side lacks is open on both, and cancels out. "
    "What open items leave unexplained " + INSIDE_MATCHES
)
UNEXPLAINED_HELP = (
    "The total of the right side less that of the left, once the open items are taken out of both. What remains "
    + INSIDE_MATCHES
)


def balanced(balance: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """'Bank less Ledger', or how else two sides are put against each other, and why."""
    return against(balance, names) + (", as their signs are opposite" if balance["opposite"] else "")


def uncompared(figures: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Which two sides with an amount in common have no balance, and why; nothing when all have one."""
    pairs = [" and ".join(names[side] for side in one["between"]) for one in figures["balances"] if not one["sums"]]
    more = f" and {len(pairs) - MOST_NAMED} more" if len(pairs) > MOST_NAMED else ""
    why = "as only one side of each has a currency, and amounts in several"
    return f"Not compared, {why}: {'; '.join(pairs[:MOST_NAMED])}{more}." if pairs else ""


def against(balance: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """'Bank less Ledger', as tolerances and differences are, or 'Ledger and Bank added'."""
    left, right = (names[side] for side in balance["between"])
    return f"{left} and {right} added" if balance["opposite"] else f"{right} less {left}"


def headline(summary: Mapping[str, Any], figures: Mapping[str, Any], names: Mapping[str, str]) -> list[Tile]:
    """Matched by rows and by amount, what the open items leave unexplained, breaks, differences."""
    rows = summary["rows"]
    read, matched, breaks = (sum(int(one[part]) for one in rows.values()) for part in ("read", "matched", "breaks"))
    by_side = ", ".join(f"{names[side]} {share(one['matched'], one['read'])}" for side, one in rows.items())
    of_breaks = ", ".join(f"{names[side]} {number(one['breaks'])}" for side, one in rows.items())
    several = "missing" in summary
    netted = sum(int(one["groups"]) for one in summary.get("together", []) if one["kind"] == "netted")
    where = f", {number(netted)} of them inside one side" if netted else " over all sides"
    matches = f"the {number(int(summary['matches']))} matches{where}" if several else "matches"
    return [
        ("Matched, by rows", share(matched, read), by_side),
        *([_by_amount(figures, names)] if figures["money"] else []),
        *([_unexplained(figures, names)] if any(one["sums"] for one in figures["balances"]) else []),
        ("Breaks", number(breaks), _where_missing(summary, names) if several else of_breaks),
        ("Differences", number(int(summary["differences"])), f"in compared fields of {matches}"),
    ]


def _where_missing(summary: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Of more than two sides: in which ones counterparts are missing, the most first."""
    missing = sorted(summary["missing"].items(), key=lambda one: -one[1])
    return f"missing in {', '.join(f'{names[side]} {number(rows)}' for side, rows in missing)}" if missing else ""


def _by_amount(figures: Mapping[str, Any], names: Mapping[str, str]) -> Tile:
    """The share of the amounts that is matched: per side, or per currency where there are several. What is added up is
    of the same field; a side that has another one is told by itself.
    """
    volume = {
        (side, currency): {part: Decimal(value) for part, value in sums.items()}
        for side, currencies in figures["volume"].items()
        for currency, sums in currencies.items()
    }
    same = {side for side, field in figures["amounts"].items() if field == figures["money"]}
    currencies = sorted({currency for side, currency in volume if side in same}, key=last_without)

    def matched(*keys: str) -> str:
        sums = [one for key, one in volume.items() if set(keys) <= set(key) and (keys or key[0] in same)]
        return share(sum((s["matched"] for s in sums), Decimal(0)), sum((s["read"] for s in sums), Decimal(0)))

    if len(currencies) > 1:
        return _several("Matched, by amount", [(currency, matched(currency)) for currency in currencies])
    by_side = ", ".join(f"{names[side]} {matched(side)}" for side in figures["volume"])
    return ("Matched, by amount", matched(), by_side)


def _unexplained(figures: Mapping[str, Any], names: Mapping[str, str]) -> Tile:
    """Of two sides the remainder, per currency; of more the first two between which one is left."""
    every = [(one, currency, sums["unexplained"]) for one in figures["balances"] for currency, sums in _sums_of(one)]
    if len(figures["balances"]) == 1 == len(figures["amounts"]) - 1:
        left = [(currency, amount(value)) for _, currency, value in every]
        how = balanced(figures["balances"][0], names)
        if len(left) > 1:
            return _several(UNEXPLAINED, left)
        return (UNEXPLAINED, left[0][1], f"{named(figures['money'], left[0][0])}, {how}")
    open_ones = [one for one in every if Decimal(one[2])]
    if not open_ones:
        return (UNEXPLAINED, amount(every[0][2]), "between any two sides, by the open items")
    (balance, currency, value), *rest = open_ones
    unit = "" if currency == NO_CURRENCY else f" {currency or 'no currency'}"
    more = f", and {len(rest)} more" if rest else ""
    return (UNEXPLAINED, amount(value) + unit, f"{balance['money']}, {balanced(balance, names)}{more}")


def _sums_of(balance: Mapping[str, Any]) -> ItemsView[str, Mapping[str, str]]:
    sums: Mapping[str, Mapping[str, str]] = balance["sums"]
    return sums.items()


def _several(label: str, values: Sequence[tuple[str, str]]) -> Tile:
    """A tile of several currencies: the first one large, the next below it."""
    (currency, value), *rest = [(currency or "no currency", value) for currency, value in values]
    more = f", {len(rest) - 3} more" if len(rest) > 3 else ""
    return (label, f"{value} {currency}", ", ".join(f"{value} {currency}" for currency, value in rest[:3]) + more)
