"""The open records of a result by category or by age, as a table: the same on the screen and on the PDF.

Rows and sums of the sides stand beside each other while there are few sides; of more, each has a line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.formats import amount, number

MOST_BESIDE = 3
NUMBERS = ("rows", "total")
"""How the names of the columns begin whose cells are numbers."""


def open_columns(figures: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """The headings of the table by column, after those of the category or age and its currency."""
    amounts = figures["amounts"]
    if len(names) > MOST_BESIDE:
        sums = {"field": "Sum of", "rows": "Rows", "total": "Sum"} if any(amounts.values()) else {"rows": "Rows"}
        return {"side": "Side", **sums}
    columns = {}
    for side, name in names.items():
        columns[f"rows-{side}"] = f"{name} rows"
        if amounts[side]:
            columns[f"total-{side}"] = f"{name} {amounts[side]}"
    return columns


def open_lines(figures: Mapping[str, Any], by: str, names: Mapping[str, str]) -> list[dict[str, str]]:
    """The cells of each line by column; `by` is category or age, and `currency` is 'all' where the plan names none."""
    lines, fields = [], figures["amounts"]
    for line in figures["categories" if by == "category" else "ages"]:
        head = {by: line[by], "currency": line["currency"]}
        told = {
            side: {"rows": number(one["rows"]), "total": amount(one["total"]) if fields[side] else ""}
            for side, one in line["sides"].items()
        }
        if len(names) > MOST_BESIDE:
            there = [side for side, one in line["sides"].items() if one["rows"]]
            lines += [{**head, "side": names[side], "field": fields[side] or "", **told[side]} for side in there]
        else:
            lines.append(head | {f"{key}-{side}": cell for side, cells in told.items() for key, cell in cells.items()})
    return lines
