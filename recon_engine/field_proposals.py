"""Fields for a plan from columns that mean the same: name, type, formats and cleaning; how their file is read."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.column_matching import Pair
from recon_engine.column_names import concepts, is_identifier, own_part
from recon_engine.columns import Column, number_key
from recon_engine.plan import RESERVED_NAMES, CleanName, FieldSpec, FieldType, ReaderOptions
from recon_engine.reading.footer import misread
from recon_engine.reading.table import TextTable
from recon_engine.rule_proposals import MappedField
from recon_engine.value_types import Reading

_CLEANINGS: tuple[tuple[CleanName, ...], ...] = (
    (),
    ("trim",),
    ("trim", "casefold"),
    ("trim", "casefold", "collapse_spaces"),
    ("casefold", "alphanumeric"),
)
# What a file's name ends with where there is one a month: the next one's is another.
_PERIOD = re.compile(r"( (19|20)[0-9]{2}( ?(0[1-9]|1[0-2])( ?[0-3][0-9])?)?)+$")
_MAX_SCALE = 6
_MIN_SCALE = 2
_LEAST_COMPARED_OVERLAP = 0.2


def field_name(column: str, taken: Collection[str]) -> str:
    """A name for the field that `column` stands for, other than those `taken`."""
    plain = pl.select(cleaned(pl.lit(own_part(column)), ("unaccent",))).item() or ""
    name = re.sub(r"[^0-9A-Za-z]+", "_", plain).strip("_").lower()[:60] or "field"
    name = f"f_{name}" if name[0].isdigit() else name
    name = f"{name}_value" if name in RESERVED_NAMES else name
    number, base = 2, name
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def mapped_field(pair: Pair, taken: Collection[str]) -> MappedField:
    """The field that two columns are, under a name other than those `taken`."""
    times = dict(zip(("left", "right"), pair.times, strict=True))
    turned = ["right"] if pair.negated else []
    told = described({"left": pair.left, "right": pair.right}, turned, times, unsigned=pair.unsigned)
    spec = {"name": field_name(pair.left.name, taken), "left": pair.left.name, "right": pair.right.name, **told}
    return MappedField(FieldSpec.model_validate(spec), pair)


def described(
    columns: Mapping[str, Column],
    negated: Collection[str],
    times: Mapping[str, int] | None = None,
    *,
    unsigned: bool = False,
) -> dict[str, Any]:
    """What a plan says of a field besides its name, from its column on each side: `type`, and where they apply `scale`,
    `formats` and `clean`. `negated`: the sides that write it with the other sign; `times`: what they multiply it by;
    `unsigned`: the sign is left out.
    """
    every = list(columns.values())
    kinds = {column.kind for column in every if column.filled} or {column.kind for column in every}
    kind: FieldType = "text"
    data: dict[str, Any] = {}
    if kinds <= {"date", "datetime"}:
        # Where one side has only days, days are compared.
        kind = "datetime" if kinds == {"datetime"} else "date"
        data["formats"] = {side: _format(column) for side, column in columns.items()}
    elif kinds <= {"integer", "decimal"} and not (kinds == {"integer"} and _are_codes(every)):
        kind = "integer" if kinds == {"integer"} else "decimal"
        if kind == "decimal":
            data["scale"] = _scale(*every)
        steps: dict[str, list[Any]] = {side: ["negate"] for side in columns if side in negated}
        for side, factor in (times or {}).items():
            steps[side] = [*steps.get(side, []), *([{"times": factor}] if factor > 1 else [])]
        if unsigned:
            data["clean"] = ["absolute"]
        elif any(steps.values()):
            data["clean"] = {side: each for side, each in steps.items() if each}
    elif kinds == {"boolean"}:
        kind = "boolean"
    else:
        spelling = next((c.spelling for c in every if c.spelling), None)
        data["clean"] = list(spelling or _cleaning(every))
    return {"type": kind, **data}


def _are_codes(columns: Collection[Column]) -> bool:
    """Whole numbers that are called so, or that are no amounts and have letters here and there: a row must not be lost
    over a mistyped postcode.
    """
    name = next(iter(columns)).name
    if is_identifier(name) or concepts(name) & {"amount", "quantity"}:
        return is_identifier(name)
    return not all(column.sound for column in columns)


def _format(column: Column) -> str | None:
    """The date format when the data decides it; null leaves it open."""
    return None if column.undecided or not column.readings else column.readings[0].form


def _scale(*columns: Column) -> int:
    digits = [_MIN_SCALE]
    for column in columns:
        reading = column.readings[0] if column.readings else Reading("decimal", mark=".")
        if reading.kind == "decimal":
            decimals = (
                column.raw.alias("v")
                .to_frame()
                .select(reading.plain("v").str.extract(r"\.(\d*?)0*$").str.len_chars().max())
            )
            digits.append(int(decimals.item() or 0))
    return min(max(digits), _MAX_SCALE)


def _cleaning(columns: list[Column]) -> tuple[CleanName, ...]:
    """The fewest clean steps that bring nearly as many values together as the strongest do."""
    shares = []
    for steps in _CLEANINGS:
        values = [
            c.raw.alias("v").to_frame().select(cleaned(pl.col("v"), steps)).to_series().drop_nulls().unique()
            for c in columns
        ]
        # Both ways: GLU is among GLU and glu, but not the other way round.
        shares.append(fmean(_contained(*each) for pair in combinations(values, 2) for each in (pair, pair[::-1])))
    best = max(shares)
    return next(steps for share, steps in zip(shares, _CLEANINGS, strict=True) if share >= best - 0.005)


def _contained(one: pl.Series, two: pl.Series) -> float:
    return float(one.is_in(two.implode()).mean() or 0)  # type: ignore[arg-type]


def question(side: str, place: str, file: str, column: Column, other: Column, decided: Reading | None = None) -> str:
    """What a person must say of a column that can be read in two ways. `side` is its name in fields, `place` where the
    plan says how its files are read; `decided`: the reading by which alone the other file's values agree.
    """
    dates = column.kind in ("date", "datetime")
    ways = []
    for reading in column.readings:
        told = reading.told
        if not other.undecided and len(other.keys):
            values = (
                column.raw.alias("v")
                .to_frame()
                .select(reading.value("v").cast(pl.Date).cast(pl.String) if dates else number_key(reading.value("v")))
            )
            share = values.to_series().is_in(other.keys.implode()).mean()
            told = f"{told} ({float(share or 0):.0%} of its values then occur on the other side)"  # type: ignore[arg-type]
        ways.append(told)
    key = f"set formats for this field ({side})" if dates else f"set {place}.decimal"
    asked = f"the plan reads it as {decided.told}, by which records agree: check this" if decided else key
    return f"{file}: column '{column.name}' can be read as {' or '.join(ways)}; {asked}"


def unreadable(table: TextTable, rows: int) -> list[str]:
    """What a person must know of a file without rows, or with rows that its header does not fit."""
    told = [f"{table.name} has no rows: the plan rests on column names alone"] if rows == 0 else []
    if many := misread(table):
        rows_are = "1 row" if many == 1 else f"{many:,} rows"
        told.append(f"{table.name}: {rows_are} cannot be read as the header says; see its profile")
    return told


def worth_comparing(mapped: MappedField) -> bool:
    """Whether a difference in this field tells something."""
    # Texts that never agree (each side's own wording) would make a difference of every match.
    return mapped.spec.type != "text" or mapped.pair.overlap >= _LEAST_COMPARED_OVERLAP


def read_as(options: ReaderOptions, columns: Collection[Column]) -> dict[str, Any]:
    """The reader options of a side whose files have these columns, beyond those given."""
    side = options.model_dump(exclude_defaults=True)
    # The marks are the file's: the first decided number column that needs other than the default tells them.
    numbers = [c.readings[0] for c in columns if c.kind == "decimal" and not c.undecided]
    marks = next((r for r in numbers if r.mark == ","), None)
    thousands = next((r.thousands for r in numbers if r.thousands), None)
    if marks and "decimal" not in side:
        side["decimal"] = ","
    if thousands and "thousands" not in side:
        side["thousands"] = thousands
    return side


def unsigned(column: str) -> str:
    """The question of amounts that are compared without their sign."""
    return (
        f"{column}: of the same records one file often has the amount with the other sign, so signs are not compared: "
        "a wrong one would not show; without `absolute` in the field's cleaning it would"
    )


def title_of(file: str) -> str:
    """What people may call the side of a file: its name without suffix and period, in words."""
    stem = Path(re.sub(r"\.(gz|zst|zip)$", "", file)).stem
    words = re.sub(r"[_\-.]+", " ", stem).strip()
    return _PERIOD.sub("", words).capitalize() or words.capitalize() or "File"
