"""Rows of a result's tables: filtered, sorted, and read no further than is shown."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from services.errors import Invalid

Filters = Mapping[str, str | int | Sequence[str | int] | None]
_PLACE = "__place"
_BEST = 10_000  # rows
_FEW = 100  # rows
_NEAR = 20_000  # rows: places within so many of each other are read in one piece


@dataclass(frozen=True)
class Page:
    """One page of a table. `total` counts the rows on all pages; values keep their types (Decimal, date)."""

    table: str
    rows: list[dict[str, Any]]
    columns: list[str]
    total: int
    page: int
    size: int

    @property
    def pages(self) -> int:
        """The number of pages, at least 1."""
        return max(1, -(-self.total // self.size))

    def as_dict(self) -> dict[str, Any]:
        """The page as JSON holds it: amounts and dates as text, so that nothing is rounded."""
        rows = [{name: plain(value) for name, value in row.items()} for row in self.rows]
        return {**self.__dict__, "rows": rows, "pages": self.pages}


def rows_of(scan: pl.LazyFrame, filters: Filters, sort: str | None, offset: int, size: int) -> tuple[int, pl.DataFrame]:
    """How many rows the filters keep, and `size` of these from `offset` on. Raises Invalid.

    Only what filters and sorts is read to the end; of all else no more than the rows asked for.
    """
    if not sort and not any(value is not None for value in filters.values()):
        return int(scan.select(pl.len()).collect().item()), scan.slice(offset, size).collect()
    kept = filtered(scan.with_row_index(_PLACE), filters)
    total = int(kept.select(pl.len()).collect().item())
    places = ordered(kept, sort).select(_PLACE)
    if not sort or offset + size <= _BEST:
        shown = places.slice(offset, size).collect()
    else:  # the best of so many are not found sooner than all are sorted
        shown = places.collect().slice(offset, size)
    return total, _at(scan, shown.to_series())


def packed(total: int, frame: pl.DataFrame) -> bytes:
    """A page as bytes: the number of rows on all pages, then the frame in Arrow's form."""
    sink = io.BytesIO()
    sink.write(total.to_bytes(8))
    frame.write_ipc(sink)
    return sink.getvalue()


def unpacked(page: bytes) -> tuple[int, pl.DataFrame]:
    """What such bytes hold."""
    return int.from_bytes(page[:8]), pl.read_ipc(page[8:])


def filtered(scan: pl.LazyFrame, filters: Filters) -> pl.LazyFrame:
    """The rows whose columns have the value, or one of the values, given; None filters nothing. Raises Invalid."""
    schema = scan.collect_schema()
    for name, value in filters.items():
        if value is None:
            continue
        if name not in schema:
            raise Invalid(f"There is no column '{name}' to filter by; the columns are {_names(schema)}.")
        values = [value] if isinstance(value, str | int) else list(value)
        scan = scan.filter(_is_one_of(name, schema[name], [str(one) for one in values]))
    return scan


def ordered(scan: pl.LazyFrame, sort: str | None) -> pl.LazyFrame:
    """The rows by a column, with a minus before its name the largest first; those without a value last. Raises Invalid.

    Rows that are equal stay in the order of the table.
    """
    if not sort:
        return scan
    name, schema = sort.removeprefix("-"), scan.collect_schema()
    if name not in schema:
        raise Invalid(f"There is no column '{name}' to sort by; the columns are {_names(schema)}.")
    return scan.sort(name, descending=sort.startswith("-"), nulls_last=True, maintain_order=True)


def of_source(scan: pl.LazyFrame, source: str | None) -> pl.LazyFrame:
    """The rows of one source; all of them when none is named."""
    return scan if source is None else filtered(scan, {"source": source})


def with_rows(scan: pl.LazyFrame, rows: Sequence[int]) -> pl.LazyFrame:
    """The records with these row numbers. Few of them are asked for one by one: the rest of the file is not read."""
    number = pl.col("row")
    if len(rows) <= _FEW:
        return scan.filter(reduce(or_, (number == row for row in rows), pl.lit(False)))
    return scan.filter(number.is_between(min(rows), max(rows)) & number.is_in(list(rows)))


def plain(value: Any) -> Any:
    """The value as JSON holds it without loss."""
    return str(value) if isinstance(value, Decimal | date) else value


def _is_one_of(name: str, kind: pl.DataType, values: Sequence[str]) -> pl.Expr:
    """Compared as the column's own kind, so that nothing is made anew for each of its rows."""
    if isinstance(kind, pl.Enum):
        own = [one for one in values if one in kind.categories]
        return reduce(or_, (pl.col(name) == pl.lit(one, kind) for one in own), pl.lit(False))
    if kind.is_integer():
        return reduce(or_, (pl.col(name) == int(one) for one in values if one.lstrip("-").isdecimal()), pl.lit(False))
    return pl.col(name).cast(pl.String).is_in(list(values))


def _at(scan: pl.LazyFrame, places: pl.Series) -> pl.DataFrame:
    """The rows at these places, in this order."""
    if places.is_empty():
        return scan.head(0).collect()
    ascending = places.sort()
    piece = (ascending.diff() > _NEAR).fill_null(value=True).cum_sum().alias("piece")
    pieces = ascending.to_frame().group_by(piece, maintain_order=True).agg(first=pl.first(_PLACE), last=pl.last(_PLACE))
    read = [
        scan.slice(first, last - first + 1).with_row_index(_PLACE, offset=first)
        for first, last in pieces.select("first", "last").iter_rows()
    ]
    found = pl.concat(pl.collect_all(read))
    return places.to_frame().join(found, on=_PLACE, how="left", maintain_order="left").drop(_PLACE)


def _names(schema: pl.Schema) -> str:
    return ", ".join(name for name in schema.names() if name != _PLACE)
