"""A proposed plan for two files: fields by names and values, rules by what records show, open questions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from recon_engine.cascade_proposals import is_currency, proposed_cascade
from recon_engine.cleaning import cleaned
from recon_engine.column_matching import VALUES_COMPARED, Column, Pair, columns_of, matched_columns, number_key
from recon_engine.column_names import is_identifier
from recon_engine.errors import InputError
from recon_engine.plan import RESERVED_NAMES, CleanName, FieldSpec, Plan, ReaderOptions
from recon_engine.reading import open_table
from recon_engine.reading.table import TextTable, staged
from recon_engine.rule_proposals import MappedField, ProposedRule
from recon_engine.value_types import Reading

_CLEANINGS: tuple[tuple[CleanName, ...], ...] = (
    (),
    ("trim",),
    ("trim", "casefold"),
    ("trim", "casefold", "collapse_spaces"),
    ("casefold", "alphanumeric"),
)
_MAX_SCALE = 6
_MIN_SCALE = 2
_LEAST_COMPARED_OVERLAP = 0.2


@dataclass(frozen=True)
class SuggestedField:
    """A field of the proposed plan, how sure the mapping is (0 to 1), and why."""

    name: str
    left: str
    right: str
    type: str
    confidence: float
    reason: str


@dataclass(frozen=True)
class Suggestion:
    """A plan that can be run, the confidence behind each part, and what the data cannot decide."""

    plan: Plan
    fields: tuple[SuggestedField, ...]
    rules: tuple[ProposedRule, ...]
    questions: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "plan": self.plan.to_data(),
            "fields": [vars(f) for f in self.fields],
            "rules": [{"name": r.rule.name, "confidence": r.confidence, "reason": r.reason} for r in self.rules],
            "questions": list(self.questions),
        }

    def to_yaml(self) -> str:
        """The plan file, with each field's and rule's confidence and reason as a comment above it."""
        data = self.plan.to_data()
        lines = [f"# QUESTION: {question}" for question in self.questions]
        lines += [f"version: {data['version']}", _flow({"name": data["name"]}, flow=False)]
        lines += [_flow({side: data[side]}) for side in ("left", "right")]
        lines.append("fields:")
        for told, plain in zip(self.fields, data["fields"], strict=True):
            lines += [f"  # {told.confidence:.0%} sure: {told.reason}", f"  - {_flow_item(plain)}"]
        lines.append("rules:")
        for proposed, plain in zip(self.rules, data["rules"], strict=True):
            lines += [f"  # {proposed.confidence:.0%} sure: {proposed.reason}", f"  - {_flow_item(plain)}"]
        lines += [_flow({key: data[key]}) for key in ("compare", "currency") if key in data]
        return "\n".join(lines) + "\n"


def suggest(
    left: TextTable | str | Path,
    right: TextTable | str | Path,
    left_options: ReaderOptions | None = None,
    right_options: ReaderOptions | None = None,
) -> Suggestion:
    """Propose a plan. Large files are judged on the same picked values of both sides, about 40,000 a column.

    Raises InputError where the files have no columns in common.
    """
    options = (left_options or ReaderOptions(), right_options or ReaderOptions())
    tables = (_opened(left, options[0]), _opened(right, options[1]))
    rows = tuple(int(t.frame.select(pl.len()).collect(engine="streaming").item()) for t in tables)
    part = max(1, max(rows) // VALUES_COMPARED)
    columns = [columns_of(t, o, n, part) for t, o, n in zip(tables, options, rows, strict=True)]
    pairs = matched_columns(*columns)
    if not pairs:
        raise InputError(
            f"{tables[0].name} and {tables[1].name} have no columns with like names or values; map the fields yourself"
        )
    fields = _fields(pairs)
    questions = _questions(tables, pairs, rows)
    cascade = proposed_cascade(tables, fields, (rows[0], rows[1]), part)
    fields, rules = cascade.fields, cascade.rules
    questions += cascade.questions
    # What every rule demands to be equal cannot differ.
    settled = [{c.field for c in r.rule.on if c.is_equality} for r in rules]
    compared = [f for f in fields if f not in cascade.untold and _worth_comparing(f)]
    compare = [f.spec.name for f in compared if not all(f.spec.name in s for s in settled)]
    currency = next((f for f in fields if is_currency(f)), None)
    labels = _labels(tables)
    plan = Plan.model_validate(
        {
            "name": f"{labels[0]} against {labels[1]}",
            "left": _side(tables[0], labels[0], options[0], [p.left for p in pairs]),
            "right": _side(tables[1], labels[1], options[1], [p.right for p in pairs]),
            "fields": [f.spec for f in fields],
            "rules": [r.rule for r in rules],
            "compare": compare,
            "currency": {"field": currency.spec.name} if currency else None,
        }
    )
    told = tuple(
        SuggestedField(f.spec.name, f.spec.left, f.spec.right, f.spec.type, round(f.pair.score, 2), f.pair.reason)
        for f in fields
    )
    return Suggestion(plan, told, tuple(rules), tuple(questions))


def _opened(source: TextTable | str | Path, options: ReaderOptions) -> TextTable:
    return staged(source if isinstance(source, TextTable) else open_table(source, options))


def _fields(pairs: list[Pair]) -> list[MappedField]:
    taken: set[str] = set()
    fields = []
    for pair in pairs:
        name = _field_name(pair, taken)
        taken.add(name)
        fields.append(MappedField(_spec(name, pair), pair))
    return fields


def _field_name(pair: Pair, taken: set[str]) -> str:
    name = re.sub(r"[^0-9A-Za-z]+", "_", pair.left.name).strip("_").lower()[:60] or "field"
    name = f"f_{name}" if name[0].isdigit() else name
    name = f"{name}_value" if name in RESERVED_NAMES else name
    number, base = 2, name
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def _spec(name: str, pair: Pair) -> FieldSpec:
    a, b = pair.left, pair.right
    kinds = {a.kind if a.filled else b.kind, b.kind if b.filled else a.kind}
    data: dict[str, Any] = {"name": name, "left": a.name, "right": b.name, "type": "text"}
    if kinds <= {"date", "datetime"}:
        # Where one side has only days, days are compared.
        data["type"] = "datetime" if kinds == {"datetime"} else "date"
        data["formats"] = {"left": _format(a), "right": _format(b)}
    elif kinds <= {"integer", "decimal"} and not (kinds == {"integer"} and is_identifier(a.name)):
        data["type"] = "integer" if kinds == {"integer"} else "decimal"
        if data["type"] == "decimal":
            data["scale"] = _scale(a, b)
        if pair.negated:
            data["clean"] = {"right": ["negate"]}
    elif kinds == {"boolean"}:
        data["type"] = "boolean"
    else:
        data["clean"] = list(_cleaning(a, b))
    return FieldSpec.model_validate(data)


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


def _cleaning(a: Column, b: Column) -> tuple[CleanName, ...]:
    """The fewest clean steps that bring nearly as many values together as the strongest do."""
    shares = []
    for steps in _CLEANINGS:
        one, two = (
            c.raw.alias("v").to_frame().select(cleaned(pl.col("v"), steps)).to_series().drop_nulls().unique()
            for c in (a, b)
        )
        small, large = (one, two) if len(one) <= len(two) else (two, one)
        shares.append(float(small.is_in(large.implode()).mean() or 0))  # type: ignore[arg-type]
    best = max(shares)
    return next(steps for share, steps in zip(shares, _CLEANINGS, strict=True) if share >= best - 0.005)


def _questions(tables: tuple[TextTable, TextTable], pairs: list[Pair], rows: tuple[int, ...]) -> list[str]:
    questions = []
    for side, table, count in zip(("left", "right"), tables, rows, strict=True):
        if count == 0:
            questions.append(f"{table.name} has no rows: the plan rests on column names alone")
        for pair in pairs:
            column, other = (pair.left, pair.right) if side == "left" else (pair.right, pair.left)
            if column.undecided:
                questions.append(_question(side, table.name, column, other))
        if table.rejected.height:
            questions.append(
                f"{table.name}: {table.rejected.height:,} rows cannot be read as the header says; see its profile"
            )
    return questions


def _question(side: str, file: str, column: Column, other: Column) -> str:
    dates = column.kind in ("date", "datetime")
    ways = []
    for reading in column.readings:
        told = reading.form if dates else f"decimal mark '{reading.mark}'"
        if not other.undecided and len(other.keys):
            values = (
                column.raw.alias("v")
                .to_frame()
                .select(reading.value("v").cast(pl.Date).cast(pl.String) if dates else number_key(reading.value("v")))
            )
            share = values.to_series().is_in(other.keys.implode()).mean()
            told = f"{told} ({float(share or 0):.0%} of its values then occur on the other side)"  # type: ignore[arg-type]
        ways.append(str(told))
    key = f"set formats for this field ({side})" if dates else f"set {side}.decimal"
    return f"{file}: column '{column.name}' can be read as {' or '.join(ways)}; {key}"


def _worth_comparing(mapped: MappedField) -> bool:
    # Texts that never agree (each side's own wording) would make a difference of every match.
    return mapped.spec.type != "text" or mapped.pair.overlap >= _LEAST_COMPARED_OVERLAP


def _labels(tables: tuple[TextTable, TextTable]) -> tuple[str, str]:
    one, two = (re.sub(r"[_\-.]+", " ", Path(t.name).stem).strip().capitalize() or "File" for t in tables)
    return (one, two) if one != two else (f"{one} (left)", f"{two} (right)")


def _side(table: TextTable, label: str, options: ReaderOptions, columns: list[Column]) -> dict[str, Any]:
    side: dict[str, Any] = {"label": label, "files": [str(table.path.resolve())]}
    side |= options.model_dump(exclude_defaults=True)
    # The marks are the file's: the first decided number column that needs other than the default tells them.
    numbers = [c.readings[0] for c in columns if c.kind == "decimal" and not c.undecided]
    marks = next((r for r in numbers if r.mark == ","), None)
    thousands = next((r.thousands for r in numbers if r.thousands), None)
    if marks and "decimal" not in side:
        side["decimal"] = ","
    if thousands and "thousands" not in side:
        side["thousands"] = thousands
    return side


def _flow(data: dict[str, Any], flow: bool | None = None) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1_000, default_flow_style=flow).rstrip()


def _flow_item(data: dict[str, Any]) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=True).strip()
