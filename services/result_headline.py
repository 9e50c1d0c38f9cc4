"""The five figures that a reader of a result looks for first, on the screen and on the PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from recon_engine.plan import SIDES
from services.formats import amount, number, share
from services.wording import named

Tile = tuple[str, str, str]
"""A label, the figure, and what it is made of."""

UNEXPLAINED = "Unexplained difference"
INSIDE_MATCHES = "lies inside matches: tolerances, fees, netted rows."
UNEXPLAINED_HELP = (
    "The left total less the right one, once the open items are taken out of both. What remains " + INSIDE_MATCHES
)


def balanced(figures: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """'Ledger less Bank', or how else the sides are put against each other."""
    if figures["opposite"]:
        return f"{names['left']} and {names['right']} added, as their signs are opposite"
    return f"{names['left']} less {names['right']}"


def headline(summary: Mapping[str, Any], figures: Mapping[str, Any], names: Mapping[str, str]) -> list[Tile]:
    """Matched by rows and by amount, what the open items leave unexplained, breaks, differences."""
    rows = summary["rows"]
    read, matched, breaks = (sum(int(rows[side][part]) for side in SIDES) for part in ("read", "matched", "breaks"))
    by_side = ", ".join(f"{names[side]} {share(rows[side]['matched'], rows[side]['read'])}" for side in SIDES)
    money = [_by_amount(figures, names), _unexplained(figures)] if figures["money"] else []
    return [
        ("Matched, by rows", share(matched, read), by_side),
        *money,
        ("Breaks", number(breaks), ", ".join(f"{names[side]} {number(rows[side]['breaks'])}" for side in SIDES)),
        ("Differences", number(int(summary["differences"])), "in compared fields of matches"),
    ]


def headline_of_sides(summary: Mapping[str, Any], names: Mapping[str, str]) -> list[Tile]:
    """Of more than two sides: what is matched, how many matches, what is open, where it is missing, and differences."""
    rows, missing = summary["rows"], summary["missing"]
    read, matched, breaks = (sum(int(one[part]) for one in rows.values()) for part in ("read", "matched", "breaks"))
    by_side = ", ".join(f"{names[side]} {share(one['matched'], one['read'])}" for side, one in rows.items())
    most = max(missing, key=lambda side: missing[side], default=None)
    where = ", ".join(f"{names[side]} {number(missing[side])}" for side in missing)
    return [
        ("Matched, by rows", share(matched, read), by_side),
        ("Matches", number(int(summary["matches"])), "over all sides, suggested ones too"),
        ("Breaks", number(breaks), ", ".join(f"{names[side]} {number(one['breaks'])}" for side, one in rows.items())),
        ("Most often missing", names[most] if most else "–", f"breaks without {where}" if most else "no side"),
        ("Differences", number(int(summary["differences"])), "in compared fields of matches"),
    ]


def _by_amount(figures: Mapping[str, Any], names: Mapping[str, str]) -> Tile:
    """The share of the amounts that is matched: per side, or per currency where there are several."""
    volume = {
        (side, currency): {part: Decimal(value) for part, value in sums.items()}
        for side in SIDES
        for currency, sums in figures["volume"][side].items()
    }
    currencies = sorted({currency for _, currency in volume})

    def matched(*keys: str) -> str:
        sums = [one for key, one in volume.items() if set(keys) <= set(key)]
        return share(sum((s["matched"] for s in sums), Decimal(0)), sum((s["read"] for s in sums), Decimal(0)))

    if len(currencies) > 1:
        return _several("Matched, by amount", [(currency, matched(currency)) for currency in currencies])
    return ("Matched, by amount", matched(), ", ".join(f"{names[side]} {matched(side)}" for side in SIDES))


def _unexplained(figures: Mapping[str, Any]) -> Tile:
    left = [(currency, amount(one["unexplained"])) for currency, one in figures["balance"].items()]
    if len(left) > 1:
        return _several(UNEXPLAINED, left)
    what = named(figures["money"], left[0][0] if left else "all")
    return (UNEXPLAINED, left[0][1] if left else "–", f"{what}, by the open items")


def _several(label: str, values: Sequence[tuple[str, str]]) -> Tile:
    """A tile of several currencies: the first one large, the next below it."""
    (currency, value), *rest = [(currency or "no currency", value) for currency, value in values]
    more = f", {len(rest) - 3} more" if len(rest) > 3 else ""
    return (label, f"{value} {currency}", ", ".join(f"{value} {currency}" for currency, value in rest[:3]) + more)
