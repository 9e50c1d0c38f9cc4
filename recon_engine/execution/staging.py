"""A side's files become typed records on disk, comparable values for matching, and rejected rows: in one scan of the
text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from recon_engine.errors import InputError, Issue, PlanError
from recon_engine.execution.partitions import PARQUET, Parted
from recon_engine.matching.comparables import comparable_columns
from recon_engine.outcome.conservation import CURRENCY, currency_of
from recon_engine.outcome.matches import SIDE
from recon_engine.outcome.places import Places
from recon_engine.plan import Plan, SideName
from recon_engine.reading import TextTable, open_table
from recon_engine.reading.casting import MOST_DECIMALS, Cast, cast_for, cast_native, decimals_written
from recon_engine.reading.table import NATIVE
from recon_engine.total_row import total_row

if TYPE_CHECKING:
    from recon_engine.nway.plan import SidesPlan

REJECTED_SCHEMA = {
    "side": SIDE,
    "source": pl.String,
    "row": pl.Int64,
    "line": pl.Int64,
    "column": pl.String,
    "raw": pl.String,
    "reason": pl.String,
}
# Where a comparable record stands in the files, as the two narrow columns `__file` (number) and `__row`.
PLACE = pl.col("__file", "__row")
AnyPlan = TypeVar("AnyPlan", Plan, "SidesPlan")
# Of a result single rows are looked up, by their number: little is read around each.
LOOKED_UP: dict[str, Any] = PARQUET | {"statistics": True, "row_group_size": 1 << 14}


@dataclass(frozen=True, slots=True)
class StagedSide:
    """One side, ready to match.

    `typed`: Parquet of the readable records by position: `source`, `row`, then the fields. `comparables`: the position
    `__i` and the comparable columns; in memory and in order, or in no order on disk, as `parted` tells. `in_order`:
    the records are the rows of one source, all of them. `rejected`: REJECTED_SCHEMA. `rejected_values`: CURRENCY and
    the decimal fields of rejected rows, null where unreadable. `read`: data rows in the files; `facts`: how each file
    was read.
    """

    side: SideName
    sources: pl.Enum
    typed: Path
    comparables: pl.LazyFrame
    parted: Parted | None
    in_order: bool
    rows: int
    read: int
    rejected: pl.DataFrame
    rejected_values: pl.DataFrame
    issues: tuple[Issue, ...]
    facts: dict[str, Any]

    def table(self) -> pl.DataFrame:
        """All comparable records in memory, in order of position."""
        return self.comparables.collect(engine="streaming").sort("__i") if self.parted else self.comparables.collect()

    def places(self, names: pl.Enum) -> Places:
        """Where the records stand; sources in the categories `names`."""
        if self.in_order:
            return Places(names, self.sources.categories[0], None)
        place = self.records().select(pl.col("source").cast(names), pl.col("row").cast(pl.UInt32))
        found = place.collect(engine="streaming")
        return Places(names, found["source"], found["row"])

    def records(self) -> pl.LazyFrame:
        """The typed records, in order of position."""
        return pl.scan_parquet(self.typed)


def opened(plan: Plan, side: SideName) -> list[TextTable]:
    """The side's files, opened as text. Raises PlanError when there are none or a mapped column does not exist.

    Raises InputError, LimitError and UndecidedError from reading.
    """
    files = plan.side(side).files
    if not files:
        raise PlanError(f"{side} ({plan.side(side).label}) has no files: add files to the plan or pass --{side} FILE")
    places = [Path(file).resolve() for file in files]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise PlanError(f"{side} ({plan.side(side).label}) names {place.name} twice; its rows would count twice")
    tables = [open_table(path, plan.side(side)) for path in files]
    for table in tables:
        missing = sorted({spec.column(side) for spec in plan.fields} - set(table.columns))
        if missing:
            raise PlanError(
                f"{table.name}: there is no column {', '.join(repr(m) for m in missing)}; "
                f"the columns are {', '.join(table.columns[:50])}"
            )
    return tables


def with_scales(plan: AnyPlan, tables: Mapping[Any, list[TextTable]]) -> AnyPlan:
    """The plan with the scale of every decimal field: as given, else the most decimals written in any file (2 to 9)."""
    fields = []
    for spec in plan.fields:
        if spec.type == "decimal" and spec.scale is None:
            columns: Mapping[Any, str] = spec.columns
            written = [
                decimals_written(table.frame, column, plan.side(side))
                for side, column in columns.items()
                for table in tables[side]
            ]
            spec = spec.model_copy(update={"scale": min(max(2, *written), MOST_DECIMALS)})  # noqa: PLW2901
        fields.append(spec)
    return plan.model_copy(update={"fields": tuple(fields)})


def stage(plan: Plan, side: SideName, tables: list[TextTable], typed: Path, parted: Parted | None) -> StagedSide:
    """Reads the opened files of a side. With `parted`, comparables go there instead of memory.

    Raises UndecidedError where the data cannot decide how to read a column.
    """
    staged = _staged(plan, side, tables, typed, parted)
    if isinstance(staged, StagedSide):
        return staged
    # Some file has rows of another length than its header: read those files again with every row checked.
    strict = [t.reopened_strictly() if k in staged else t for k, t in enumerate(tables)]
    again = _staged(plan, side, strict, typed, parted)
    if not isinstance(again, StagedSide):
        raise InputError(f"{side}: the rows of {', '.join(tables[k].name for k in again)} cannot be told apart")
    return again


def source_names(label: str, files: tuple[str, ...]) -> list[str]:
    """How the sources are called: the side's label when it has one file, else the file names, numbered where they
    repeat.
    """
    if len(files) == 1:
        return [label]
    names = [Path(f).name for f in files]
    return [n if names.count(n) == 1 else f"{n} ({names[: k + 1].count(n)})" for k, n in enumerate(names)]


def _staged(
    plan: Plan, side: SideName, tables: list[TextTable], typed: Path, parted: Parted | None
) -> StagedSide | set[int]:
    """The staged side, or the numbers of the files that must be reopened strictly."""
    sources = pl.Enum(source_names(plan.side(side).label, plan.side(side).files))
    casts = [_casts(plan, side, table, padded=False) for table in tables]
    try:
        collected, counts = _scan(plan, side, _typed(tables, casts), sources, typed, parted)
        if counts["bad"].sum() and not any(table.suspect_ragged() for table in tables):
            # Most files have neither padded nor unreadable cells: the first scan does not pay for them.
            casts = [_casts(plan, side, table, padded=True) for table in tables]
            collected, counts = _scan(plan, side, _typed(tables, casts), sources, typed, parted, leave_out=True)
    except pl.exceptions.ComputeError as error:
        if not any(table.suspect_ragged() for table in tables):
            raise InputError(f"{side}: {' '.join(str(error).split())}") from error
    uneven = {k for k, table in enumerate(tables) if table.suspect_ragged()}
    if uneven:
        return uneven
    tally_of = {row["__file"]: row for row in counts.iter_rows(named=True)}
    rejected, values = [], []
    for number, (table, file_casts) in enumerate(zip(tables, casts, strict=True)):
        names = [pl.lit(side, dtype=SIDE).alias("side"), pl.lit(sources.categories[number]).alias("source")]
        rejected.append(table.rejected.select(*names, *list(REJECTED_SCHEMA)[2:]))
        if tally_of.get(number, {"bad": 0})["bad"]:
            unread, kept = _rejected(plan, side, table, file_casts)
            rejected.append(unread.select(*names, *list(REJECTED_SCHEMA)[2:]))
            values.append(kept)
    rows = sum(row["rows"] - row["bad"] for row in tally_of.values())
    return StagedSide(
        side=side,
        sources=sources,
        typed=typed,
        comparables=_apart(plan, _comparable(plan, side, typed), parted)
        if parted
        else collected.rechunk().with_row_index("__i").lazy(),
        parted=parted,
        in_order=len(tables) == 1 and all(row["last"] == rows for row in tally_of.values()),
        rows=rows,
        read=sum(row["rows"] for row in tally_of.values()) + sum(t.rejected.height for t in tables),
        rejected=pl.concat(rejected).cast(REJECTED_SCHEMA),  # type: ignore[arg-type]
        rejected_values=pl.concat([_no_values(plan), *values]),
        issues=(*(issue for t in tables for issue in t.issues), *_total_rows(plan, side, tables, typed, tally_of)),
        facts={
            str(source): {**t.facts.as_dict(), "columns": {c.column: c.how for c in file_casts}}
            for source, t, file_casts in zip(sources.categories, tables, casts, strict=True)
        },
    )


def _typed(tables: list[TextTable], casts: list[list[Cast]]) -> pl.LazyFrame:
    return pl.concat([_typed_file(n, *file) for n, file in enumerate(zip(tables, casts, strict=True))])


def _typed_file(number: int, table: TextTable, casts: list[Cast]) -> pl.LazyFrame:
    """One file's rows: __row, __file, __bad (some cell cannot be read) and the typed fields."""
    # Fields and columns can share names, so the values are made under names that no column has.
    raw = _source(table).select("__row", *dict.fromkeys(c.reads for c in casts))
    valued = raw.with_columns(c.value.alias(f"__={c.field.name}") for c in casts)
    failed = [pl.col(c.reads).is_not_null() & pl.col(f"__={c.field.name}").is_null() for c in casts if c.can_fail]
    return valued.select(
        "__row",
        pl.lit(number, dtype=pl.UInt16).alias("__file"),
        (pl.any_horizontal(failed) if failed else pl.lit(False)).alias("__bad"),
        *(pl.col(f"__={c.field.name}").alias(c.field.name) for c in casts),
    )


def _scan(
    plan: Plan,
    side: SideName,
    every: pl.LazyFrame,
    sources: pl.Enum,
    typed: Path,
    parted: Parted | None,
    *,
    leave_out: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One scan of the text: writes the typed records, collects the comparables (not those that are to be `parted`),
    counts rows and bad rows by file. `leave_out`: bad rows are counted only.
    """
    fields = [spec.name for spec in plan.fields]
    rows = every.filter(~pl.col("__bad")) if leave_out else every
    source = pl.col("__file").cat.to(sources).alias("source")
    record = rows.select(source, pl.col("__row").cast(pl.Int64).alias("row"), *fields)
    comparable = rows.select(PLACE, *comparable_columns({n: pl.col(n) for n in fields}, plan, side))
    amounts = [pl.col(spec.name).sum().alias(f"__sum of {spec.name}") for spec in plan.fields if spec.type == "decimal"]
    tally = every.group_by("__file").agg(
        *amounts, rows=pl.len(), bad=pl.col("__bad").sum(), last=pl.col("__row").filter(~pl.col("__bad")).max()
    )
    sink = record.sink_parquet(typed, lazy=True, **LOOKED_UP)
    if parted is None:
        _, collected, counts = pl.collect_all([sink, comparable, tally], engine="streaming")
        return collected, counts
    # One by one: of two that are fed by one scan, the faster would wait for the slower in memory.
    sink.collect(engine="streaming")
    return pl.DataFrame(), tally.collect(engine="streaming")


def _total_rows(
    plan: Plan, side: SideName, tables: list[TextTable], typed: Path, tally_of: Mapping[int, Mapping[str, Any]]
) -> list[Issue]:
    """What is to be told of files that end with a total, by the sums of the scan and each file's last record."""
    amounts = {spec.name: spec.column(side) for spec in plan.fields if spec.type == "decimal"}
    found, end = [], 0
    for number, tally in sorted(tally_of.items() if amounts else ()):
        end += tally["rows"] - tally["bad"]
        if tally["rows"] == tally["bad"]:
            continue
        last = pl.scan_parquet(typed).select("row", *amounts).slice(end - 1, 1).collect().row(0, named=True)
        sums = {column: (tally[f"__sum of {name}"], last[name]) for name, column in amounts.items()}
        found += total_row(tables[number].name, last["row"], sums)
    return found


def restaged(plan: Plan, side: SideName, typed: Path, rejected: pl.DataFrame, parted: Parted | None) -> StagedSide:
    """A side of which a result has the typed records and the `rejected` rows (REJECTED_SCHEMA); its files are not read,
    so that how they are read and the values of rejected rows are not known.
    """
    sources = pl.read_parquet_schema(typed)["source"]
    assert isinstance(sources, pl.Enum)
    rows, last = pl.scan_parquet(typed).select(pl.len(), pl.col("row").max()).collect(engine="streaming").row(0)
    comparable = _comparable(plan, side, typed)
    return StagedSide(
        side=side,
        sources=sources,
        typed=typed,
        comparables=_apart(plan, comparable, parted) if parted else comparable.collect(engine="streaming").lazy(),
        parted=parted,
        in_order=len(sources.categories) == 1 and rows == (last or 0),
        rows=rows,
        read=rows + rejected.height,
        rejected=rejected,
        rejected_values=_no_values(plan),
        issues=(),
        facts={},
    )


def _comparable(plan: Plan, side: SideName, typed: Path) -> pl.LazyFrame:
    """The comparables of the typed records, by position."""
    place = pl.col("source").to_physical().cast(pl.UInt16).alias("__file"), pl.col("row").cast(pl.UInt32).alias("__row")
    values = comparable_columns({spec.name: pl.col(spec.name) for spec in plan.fields}, plan, side)
    return pl.scan_parquet(typed).select(*place, *values).with_row_index("__i")


def _apart(plan: Plan, comparable: pl.LazyFrame, parted: Parted) -> pl.LazyFrame:
    """The comparables in parts on disk."""
    parted.sink(comparable, plan).collect(engine="streaming")
    return parted.scan(comparable.collect_schema())


def _casts(plan: Plan, side: SideName, table: TextTable, *, padded: bool) -> list[Cast]:
    options, kinds = plan.side(side), {} if table.native is None else table.native.collect_schema()
    casts = []
    for spec in plan.fields:
        kind = kinds.get(f"{NATIVE}{spec.column(side)}")
        native = None if kind is None else cast_native(spec, side, options, kind)
        casts.append(native or cast_for(spec, side, options, table.frame, table.name, padded=padded))
    return casts


def _source(table: TextTable) -> pl.LazyFrame:
    """The file's text, and its own values where it has types."""
    return table.frame if table.native is None else table.native


def _rejected(plan: Plan, side: SideName, table: TextTable, casts: list[Cast]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows with an unreadable cell: the first such cell with its raw text and reason; and their readable money."""
    bad = _source(table).filter(pl.any_horizontal([c.failed for c in casts]))
    first_column, first_raw, first_reason = (
        pl.coalesce(
            [pl.when(c.failed).then(pl.lit(literal) if isinstance(literal, str) else literal) for c, literal in pick]
        )
        for pick in (
            [(c, c.column) for c in casts],
            [(c, pl.col(c.column)) for c in casts],
            [(c, f"{c.column} ({c.field.name}) is {c.reason}") for c in casts],
        )
    )
    others = pl.sum_horizontal([c.failed.cast(pl.UInt8) for c in casts]) - 1
    more = (
        pl.when(others > 0)
        .then(pl.format("; {} more cell(s) of this row cannot be read", others))
        .otherwise(pl.lit(""))
    )
    rows = bad.select(
        pl.col("__row").cast(pl.Int64).alias("row"),
        first_column.alias("column"),
        first_raw.alias("raw"),
        (first_reason + more).alias("reason"),
    ).collect()
    values = bad.select([c.value.alias(c.field.name) for c in casts])
    decimals = [f.name for f in plan.fields if f.type == "decimal"]
    kept = values.select(currency_of(plan, side), *decimals).collect()
    return rows.with_columns(line=table.lines(rows["row"]).cast(pl.Int64)), kept


def _no_values(plan: Plan) -> pl.DataFrame:
    decimals = {f.name: pl.Decimal(18, f.digits) for f in plan.fields if f.type == "decimal"}
    return pl.DataFrame(schema={CURRENCY: pl.String, **decimals})
