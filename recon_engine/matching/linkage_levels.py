"""The level of a pair of values `a`, `b` by each method, as an expression: 0 says they differ, the highest equal."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

JARO_WINKLER = (0.80, 0.88, 0.94)
RELATIVE = (0.20, 0.05, 0.01)

A, B = pl.col("a"), pl.col("b")


def _exact() -> pl.Expr:
    return pl.when(A == B).then(1).otherwise(0)


def _name() -> pl.Expr:
    from polars_ds import str_jw

    closeness = str_jw("a", "b", parallel=True)
    several = A.str.contains(" ", literal=True) | B.str.contains(" ", literal=True)
    # Lists of words are dear: made only where there are several.
    short, long = (pl.when(several).then(value).str.split(" ") for value in (A, B))
    fewest = pl.min_horizontal(short.list.len(), long.list.len())
    contained = (short.list.set_intersection(long).list.len() >= fewest) & (
        pl.min_horizontal(A.str.len_chars(), B.str.len_chars()) >= 4
    )
    level = pl.sum_horizontal([(closeness >= cut).cast(pl.UInt8) for cut in JARO_WINKLER])
    return pl.when(A == B).then(6).when(several & contained).then(4).otherwise(level)


def _code() -> pl.Expr:
    from polars_ds import str_osa

    edits = str_osa("a", "b", parallel=True)
    longest = pl.max_horizontal(A.str.len_chars(), B.str.len_chars())
    begins = (A.str.starts_with(B) | B.str.starts_with(A)) & (
        pl.min_horizontal(A.str.len_chars(), B.str.len_chars()) >= 3
    )
    return (
        pl.when(A == B)
        .then(4)
        .when(edits == 1)
        .then(3)
        .when((edits == 2) & (longest >= 4))
        .then(2)
        .when(begins)
        .then(1)
        .otherwise(0)
    )


def _date() -> pl.Expr:
    from polars_ds import str_osa

    a, b = A.cast(pl.Date), B.cast(pl.Date)
    written = pl.struct(x=a.dt.strftime("%Y%m%d"), y=b.dt.strftime("%Y%m%d"))
    edits = str_osa(written.struct.field("x"), written.struct.field("y"), parallel=True)
    swapped = (a.dt.year() == b.dt.year()) & (a.dt.month() == b.dt.day()) & (a.dt.day() == b.dt.month())
    days = (A.cast(pl.Int64) - B.cast(pl.Int64)).abs()
    return (
        pl.when(A == B)
        .then(5)
        .when((edits == 1) | swapped)
        .then(4)
        .when(days <= 7)
        .then(3)
        .when(days <= 31)
        .then(2)
        .when(a.dt.year() == b.dt.year())
        .then(1)
        .otherwise(0)
    )


def _datetime() -> pl.Expr:
    apart = (A - B).abs()
    return (
        pl.when(A == B).then(3).when(apart <= 3_600_000_000).then(2).when(apart <= 86_400_000_000).then(1).otherwise(0)
    )


def _number() -> pl.Expr:
    from polars_ds import str_osa

    apart = (A.cast(pl.Float64) - B.cast(pl.Float64)).abs()
    size = pl.max_horizontal(A.abs(), B.abs()).cast(pl.Float64)
    written = pl.struct(x=A.cast(pl.String), y=B.cast(pl.String))
    digit = str_osa(written.struct.field("x"), written.struct.field("y"), parallel=True) == 1
    level = pl.sum_horizontal([(apart <= size * cut).cast(pl.UInt8) for cut in RELATIVE])
    return pl.when(A == B).then(5).when(digit).then(4).otherwise(level)


RULES: dict[str, Callable[[], pl.Expr]] = {
    "name": _name,
    "code": _code,
    "exact": _exact,
    "date": _date,
    "datetime": _datetime,
    "number": _number,
}
