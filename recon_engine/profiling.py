"""What a file looks like: for each column its type, range, distinct values, and what the data cannot decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from recon_engine.errors import Issue
from recon_engine.plan import ReaderOptions
from recon_engine.reading.casting import MOST_DECIMALS
from recon_engine.reading.table import ROW, TextTable, staged
from recon_engine.total_row import total_row
from recon_engine.value_types import MOSTLY, Reading, candidates

SAMPLE_ROWS = 50_000
# Up to here everything is counted exactly; above, distinct values are estimated and top values come from the sample.
_EXACT_ROWS = 1_000_000
_CELLS_AT_ONCE = 4_000_000
_TOP = 5
_FIRST = 5
_BINS = 12
_SHOWN = 200


@dataclass(frozen=True)
class ColumnProfile:
    """One column. `minimum` and `maximum` are in the order of the type; texts by their characters.

    `date_formats` and `decimal_marks` list every reading that fits all values: more than one means undecided.
    `proof` are data rows with a value that decided between day and month, `proofs` says how many there are.
    `unreadable` cells do not fit the type. `spread` counts the values in twelfths of their range, `total` is the exact
    sum of a decimal column.
    """

    name: str
    type: str
    nulls: int
    distinct: int
    distinct_is_estimate: bool
    unique: bool
    minimum: str | None
    maximum: str | None
    top: tuple[tuple[str, int], ...]
    samples: tuple[str, ...]
    scale: int | None
    date_formats: tuple[str, ...]
    decimal_marks: tuple[str, ...]
    thousands: str | None
    undecided: bool
    proof: tuple[int, ...]
    proofs: int
    spread: tuple[int, ...]
    total: str | None
    unreadable: int
    unreadable_samples: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """A file as it looks. `rows` counts data rows, rejected ones included; `basis` says what was sampled."""

    name: str
    rows: int
    rejected: int
    basis: str
    facts: dict[str, dict[str, Any]]
    columns: tuple[ColumnProfile, ...]
    issues: tuple[Issue, ...]
    rejected_samples: tuple[dict[str, Any], ...]
    first_rows: tuple[dict[str, Any], ...]

    def column(self, name: str) -> ColumnProfile:
        """The column called `name`. Raises KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def text(self) -> str:
        """The profile for people, one block a column."""
        told = ", ".join(
            f"{k} {v['value']!r} ({v['decided_by']})" for k, v in self.facts.items() if v["value"] is not None
        )
        lines = [
            f"{self.name}: {self.rows:,} rows, {len(self.columns)} columns, {self.rejected:,} rejected",
            f"  {told}",
        ]
        lines += [f"  note: {issue.message}" for issue in self.issues]
        lines += [f"  rejected: row {r['row']}, line {r['line']}: {r['reason']}" for r in self.rejected_samples]
        for column in self.columns:
            lines += ["", *_column_lines(column)]
        return "\n".join([*lines, "", f"({self.basis})"])


def profile(table: TextTable, options: ReaderOptions | None = None) -> Profile:
    """Profile an opened file. Ranges, nulls and types are of all rows; what is sampled is said in `basis`."""
    options = options or ReaderOptions()
    table = staged(table)
    rows = int(table.frame.select(pl.len()).collect(engine="streaming").item())
    exact = rows <= _EXACT_ROWS
    step = max(1, rows // SAMPLE_ROWS)
    sampled = table.frame if step == 1 else table.frame.filter(pl.col(ROW) % step == 0)
    sample = sampled.collect(engine="streaming")
    readings = {c: _chosen(_allowed(candidates(c, sample[c]), options)) for c in table.columns}
    # A few columns at a time: memory stays bounded however large the file.
    at_once = max(1, _CELLS_AT_ONCE // max(1, rows))
    groups = [table.columns[i : i + at_once] for i in range(0, len(table.columns), at_once)]
    counts: dict[str, int] = {}
    distinct: dict[str, int] = {}
    ranges: dict[str, dict[str, Any]] = {}
    for group in groups:
        frame = table.frame.select(ROW, *group)
        counts |= frame.select(pl.col(group).null_count()).collect(engine="streaming").row(0, named=True)
        readings |= _checked(frame, {c: readings[c] for c in group if readings[c]}, sample, options)
        distinct |= _distinct(frame, group, rows, exact=exact)
        ranges |= _ranges(frame, group, readings)
    columns = tuple(
        _column(
            table,
            c,
            readings[c],
            sample[c],
            nulls=counts[c],
            distinct=distinct[c],
            exact=exact,
            span=ranges[c],
        )
        for c in table.columns
    )
    sums = {c: (span["total"], span["last"]) for c, span in ranges.items()}
    parts = ["all rows were read"]
    if not exact:
        parts = [
            f"types, ranges and nulls are of all rows; top values of every {step}th row; distinct values estimated"
        ]
    elif step > 1:
        parts = [f"counted over all rows; top values of every {step}th row"]
    return Profile(
        name=table.name,
        rows=rows + table.rejected.height,
        rejected=table.rejected.height,
        basis="; ".join(parts),
        facts=table.facts.as_dict(),
        columns=columns,
        issues=(*table.issues, *total_row(table.name, rows, sums)),
        rejected_samples=tuple(table.rejected.head(3).select("row", "line", "reason").rows(named=True)),
        first_rows=tuple(
            table.frame.head(_FIRST).select(pl.col(table.columns).str.head(_SHOWN)).collect().rows(named=True)
        ),
    )


def _allowed(found: list[Reading], options: ReaderOptions) -> list[Reading]:
    """What the options leave of the readings; a given decimal mark decides."""
    if options.decimal is None and options.thousands is None:
        return found
    numbers = [
        r
        for r in found
        if r.kind == "decimal"
        and (options.decimal is None or r.mark == options.decimal)
        and (options.thousands is None or r.thousands in (None, options.thousands))
    ]
    return numbers or found


def _chosen(found: list[Reading]) -> list[Reading]:
    """Only readings of the first one's kind: a column is one thing."""
    return [r for r in found if r.kind == found[0].kind] if found else []


def _checked(
    frame: pl.LazyFrame, asked: dict[str, list[Reading]], sample: pl.DataFrame, options: ReaderOptions
) -> dict[str, list[Reading]]:
    """The readings that hold for all rows, not only for the sample: failing cells join it and all is asked anew."""
    result: dict[str, list[Reading]] = {}
    for c, found in asked.items():
        fails = ~pl.all_horizontal(r.fits(c) for r in found)
        cells = frame.filter(fails).select(c).head(10_000).collect(engine="streaming")[c].unique().head(1_000)
        if len(cells):
            values = pl.concat([sample[c].drop_nulls(), cells])
            result[c] = _chosen(_allowed(candidates(c, values), options))
            if not result[c] and _mostly_fits(sample[c], found[0]):
                result[c] = found[:1]
    return result


def _mostly_fits(values: pl.Series, reading: Reading) -> bool:
    share = values.drop_nulls().alias("v").to_frame().select(reading.fits("v").mean()).item()
    return share is not None and float(share) >= MOSTLY


def _distinct(frame: pl.LazyFrame, columns: Sequence[str], rows: int, *, exact: bool) -> dict[str, int]:
    count = pl.Expr.n_unique if exact else pl.Expr.approx_n_unique
    row = frame.select(count(pl.col(c).drop_nulls()).alias(c) for c in columns).collect(engine="streaming")
    found: dict[str, int] = row.row(0, named=True)
    # An estimate cannot prove a key: columns that may be one are counted exactly, by the hashes of their values.
    for c in columns if not exact else ():
        if found[c] > 0.85 * rows:
            found[c] = int(frame.select(pl.col(c).drop_nulls().hash().n_unique()).collect(engine="streaming").item())
    return found


def _ranges(
    frame: pl.LazyFrame, columns: Sequence[str], readings: dict[str, list[Reading]]
) -> dict[str, dict[str, Any]]:
    """Smallest and largest value, most decimals, cells that cannot be read, of all rows in one scan."""
    wanted: list[pl.Expr] = []
    for i, c in enumerate(columns):
        reading = readings[c][0] if readings[c] else None
        value = reading.value(c) if reading else pl.col(c)
        if reading and reading.kind == "decimal":
            shown = pl.col(c).filter(value == value.min()).first(), pl.col(c).filter(value == value.max()).first()
            decimals = reading.plain(c).str.extract(r"\.(\d*?)0*$").str.len_chars().max()
            exact = reading.plain(c).str.strip_prefix("+").cast(pl.Decimal(38, MOST_DECIMALS), strict=False)
            wanted += [shown[0].alias(f"min{i}"), shown[1].alias(f"max{i}"), decimals.alias(f"scale{i}")]
            wanted += [exact.sum().alias(f"total{i}"), exact.last().alias(f"last{i}")]
        else:
            wanted += [value.min().alias(f"min{i}"), value.max().alias(f"max{i}")]
        wanted.append(pl.col(c).count().alias(f"filled{i}"))
        if reading:
            bad = ~reading.fits(c)
            wanted += [bad.sum().alias(f"bad{i}"), pl.col(c).filter(bad).head(3).implode().alias(f"cells{i}")]
    row = frame.select(wanted).collect(engine="streaming").row(0, named=True)
    return {
        c: {key: row.get(f"{key}{i}") for key in ("min", "max", "filled", "scale", "bad", "cells", "total", "last")}
        for i, c in enumerate(columns)
    }


def _column(
    table: TextTable,
    name: str,
    readings: list[Reading],
    sample: pl.Series,
    *,
    nulls: int,
    distinct: int,
    exact: bool,
    span: dict[str, Any],
) -> ColumnProfile:
    first = readings[0] if readings else None
    kind = first.kind if first else "text"
    undecided = _differ(readings, sample)
    filled = span["filled"]
    values = sample.drop_nulls()
    top = values.value_counts(sort=True).head(_TOP).rows() if distinct < filled else []
    decided = first is not None and not undecided and kind in ("date", "datetime")
    proof, proofs = _proof(table, name, first) if first and decided else ((), 0)
    forms = tuple(r.form for r in readings if r.form) if undecided else tuple(r.form for r in readings[:1] if r.form)
    is_number = kind == "decimal"
    return ColumnProfile(
        name=name,
        type=kind,
        nulls=nulls,
        distinct=distinct,
        distinct_is_estimate=not exact and distinct != filled,
        unique=filled > 0 and distinct == filled,
        minimum=_shown(span["min"]),
        maximum=_shown(span["max"]),
        top=tuple((str(v)[:_SHOWN], int(n)) for v, n in top),
        samples=tuple(v[:_SHOWN] for v in values.unique(maintain_order=True).head(_TOP)),
        scale=int(span["scale"] or 0) if is_number else None,
        date_formats=forms,
        decimal_marks=tuple(dict.fromkeys(r.mark for r in readings if r.mark))
        if is_number and undecided
        else tuple(r.mark for r in readings[:1] if r.mark and is_number),
        thousands=first.thousands if first and is_number and not undecided else None,
        undecided=undecided,
        proof=proof,
        proofs=proofs,
        spread=_spread(first, values),
        total=_total(span["total"], int(span["scale"] or 0)) if is_number else None,
        unreadable=int(span["bad"] or 0),
        unreadable_samples=tuple(v[:_SHOWN] for v in span["cells"] or ()),
        reasons=tuple(_reasons(readings, values, proof, proofs, undecided, int(span["bad"] or 0))),
    )


def _differ(readings: list[Reading], sample: pl.Series) -> bool:
    """True when two readings give different values: the data cannot decide."""
    if len(readings) < 2:
        return False
    unique = sample.drop_nulls().unique().alias("v").to_frame()
    values = unique.select(r.value("v").alias(str(i)) for i, r in enumerate(readings))
    return any(not values["0"].equals(values[str(i)].alias("0")) for i in range(1, len(readings)))


def _spread(reading: Reading | None, values: pl.Series) -> tuple[int, ...]:
    """How many numbers or dates of the sample lie in each twelfth of their range; nothing for texts."""
    if reading is None or reading.kind == "boolean":
        return ()
    typed = values.alias("v").to_frame().select(reading.value("v").to_physical().cast(pl.Float64)).to_series()
    numbers = typed.drop_nulls().to_numpy()
    if not len(numbers) or not np.isfinite(numbers).all() or numbers.min() == numbers.max():
        return ()
    return tuple(int(n) for n in np.histogram(numbers, bins=_BINS)[0])


def _total(value: Any, scale: int) -> str | None:
    return None if value is None else f"{value:.{min(scale, MOST_DECIMALS)}f}"


def _proof(table: TextTable, name: str, reading: Reading) -> tuple[tuple[int, ...], int]:
    """The first rows whose value fits the format but not the one with day and month swapped; how many there are."""
    form = reading.form or ""
    if form.startswith("%Y") or "%d" not in form or "%m" not in form:
        return (), 0
    swapped = Reading(reading.kind, form=form.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m"))
    rows = table.frame.filter(reading.fits(name) & ~swapped.fits(name)).select(ROW).collect(engine="streaming")[ROW]
    return tuple(rows.sort().head(3).to_list()), len(rows)


def _reasons(
    readings: list[Reading], values: pl.Series, proof: tuple[int, ...], proofs: int, undecided: bool, unreadable: int
) -> list[str]:
    if not readings:
        return _text_reasons(values)
    told: list[str] = []
    first = readings[0]
    if undecided and first.kind in ("date", "datetime"):
        told.append(f"can be read as {' or '.join(r.form or '' for r in readings)}; no value decides")
    elif undecided:
        ways = [
            f"decimal mark '{r.mark}'" + (f" with '{r.thousands}' between thousands" if r.thousands else "")
            for r in readings
        ]
        told.append(f"can be read with {' or '.join(ways)}; no value decides")
    elif proof:
        form = first.form or ""
        order = "day first" if form.index("%d") < form.index("%m") else "month first"
        if form.lower().startswith("%y"):
            order = "year, month, day" if order == "month first" else "year, day, month"
        have = "value has" if proofs == 1 else "values have"
        told.append(f"{proofs:,} {have} a day above 12, the first in row {proof[0]}: dates are {order}")
    elif first.mark == "," and (shown := values.filter(values.str.contains(",", literal=True)).head(1)).len():
        told.append(f"values such as {shown[0]!r} have a decimal comma")
    if unreadable:
        told.append(f"{unreadable:,} cells cannot be read as {first.kind}")
    return told


def _text_reasons(values: pl.Series) -> list[str]:
    if values.is_empty():
        return ["the column is empty"]
    text = values.str.strip_chars()
    if bool(text.str.contains(r"^[+-]?\d+$").all()):
        if bool(text.str.contains("[^0-9+-]").any()):
            return ["other digits than 0 to 9: kept as text"]
        if bool(text.str.contains(r"^[+-]?0\d").any()):
            return ["digits with leading zeros: a code, kept as text"]
        return ["more than 18 digits: a code, kept as text"]
    signs = text.str.contains(r"^[-+(]?\s?[$€£¥]|[$€£¥%]\s?\)?$|^\(.*\d\)$")
    if bool(signs.any()) and float(signs.mean() or 0) > MOSTLY:  # type: ignore[arg-type]
        return ["amounts in several currencies or with a percent sign: kept as text"]
    return []


def _shown(value: Any) -> str | None:
    return None if value is None else str(value)[:_SHOWN]


def _column_lines(c: ColumnProfile) -> list[str]:
    how = ", ".join((*c.date_formats, *(f"decimal mark '{m}'" for m in c.decimal_marks)))
    kind = c.type + (f"({c.scale} decimals)" if c.scale is not None else "") + (f" [{how}]" if how else "")
    about = "~" if c.distinct_is_estimate else ""
    lines = [
        f"  {c.name}: {kind}{' UNDECIDED' if c.undecided else ''}",
        f"      {c.nulls:,} empty, {about}{c.distinct:,} distinct{' (unique)' if c.unique else ''}"
        + (f", {c.minimum} to {c.maximum}" if c.minimum is not None else ""),
    ]
    if c.top:
        lines.append("      most frequent: " + ", ".join(f"{v!r} x{n:,}" for v, n in c.top))
    else:
        lines.append("      such as: " + ", ".join(repr(v) for v in c.samples))
    return [*lines, *(f"      {reason}" for reason in c.reasons)]
