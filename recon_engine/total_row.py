"""A last row that is the total of those above it: taken for a record, it counts everything twice."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from recon_engine.errors import Issue

# Of fewer rows the last one is the sum of the others by accident.
_FEWEST = 5


def total_row(
    source: str, row: int, columns: Mapping[str, tuple[Decimal | int | None, Decimal | int | None]]
) -> list[Issue]:
    """The issue to tell where the last data row, number `row`, is a total; else nothing.

    `columns`: by column of numbers the exact sum of all rows, the last one too, and the last row's own value.
    """
    if row < _FEWEST:
        return []
    found = [name for name, (whole, last) in columns.items() if whole is not None and last and whole == 2 * last]
    if not found:
        return []
    names = ", ".join(f"'{name}'" for name in found)
    message = (
        f"row {row:,}, the last, looks like a total: what it has in {names} is the sum of the rows above it; "
        "as a record it counts everything twice: leave it out with footer_rows, or remove it from the file"
    )
    return [Issue(source, row, found[0], "total_row", message)]
