"""A proposed plan for two files: fields by names and values, rules by what records show, open questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import polars as pl
import yaml

from recon_engine.cascade_proposals import Cascade, Columns, or_linked, proposed_cascade
from recon_engine.column_matching import Pair, every_pair, matched_columns
from recon_engine.columns import VALUES_COMPARED, Column, columns_of
from recon_engine.combined_proposals import with_proposed
from recon_engine.errors import InputError
from recon_engine.field_proposals import (
    mapped_field,
    question,
    read_as,
    title_of,
    unreadable,
    unsigned,
    worth_comparing,
)
from recon_engine.field_roles import is_currency
from recon_engine.plan import Plan, ReaderOptions
from recon_engine.reading import open_table
from recon_engine.reading.table import TextTable, staged
from recon_engine.record_agreement import agreeing
from recon_engine.reference_proposals import spoken, spoken_rules
from recon_engine.rule_proposals import MappedField, ProposedRule
from recon_engine.wordy_columns import with_wordy

if TYPE_CHECKING:
    from recon_engine.nway.plan import SidesPlan


# Where a key joins fewer records, codes may be in another spelling; so many more values in common show it without one.
JOINS_MOST, MEET_BETTER = 0.5, 0.3
# What names records: columns so much filled and so little repeated, of so many values; so many are spoken of.
_FILLED, _REPEATS, _FEWEST_NAMED, _NAMED = 0.5, 0.5, 20, 3


class HasReason(Protocol):
    """A part of a proposed plan: how sure it is, and why."""

    @property
    def confidence(self) -> float:
        """From 0 to 1."""

    @property
    def reason(self) -> str:
        """In words."""


AnyPlan = TypeVar("AnyPlan", Plan, "SidesPlan")
AnyField = TypeVar("AnyField", bound=HasReason)


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
class Proposed(Generic[AnyPlan, AnyField]):
    """A plan that can be run, the confidence behind each part, and what the data cannot decide."""

    plan: AnyPlan
    fields: tuple[AnyField, ...]
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
        return commented(self.plan.to_data(), self.fields, self.rules, self.questions)


class Suggestion(Proposed[Plan, SuggestedField]):
    """What is proposed for two sides."""


def commented(
    data: dict[str, Any],
    fields: Sequence[HasReason],
    rules: Sequence[HasReason],
    questions: Sequence[str],
) -> str:
    """A plan file's text from its `data`, with what is to be known of fields and rules above each."""
    lines = [f"# QUESTION: {_line(question)}" for question in questions]
    for key, value in data.items():
        if key in ("fields", "rules"):
            lines.append(f"{key}:")
            for told, plain in zip({"fields": fields, "rules": rules}[key], value, strict=True):
                lines += [f"  # {told.confidence:.0%} sure: {_line(told.reason)}", f"  - {_flow(plain)}"]
        elif key == "sides":
            lines += ["sides:", *(f"  - {_flow(side)}" for side in value)]
        else:
            lines.append(f"{key}: {_flow(value)}" if isinstance(value, dict | list) else _block({key: value}))
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
    every = [columns_of(t, o, n, part) for t, o, n in zip(tables, options, rows, strict=True)]
    for side, wider in enumerate(with_proposed(tables, every, rows)):
        if wider is not tables[side]:
            tables = (wider, tables[1]) if side == 0 else (tables[0], wider)
            every[side] = columns_of(wider, options[side], rows[side], part)
    columns = [[c for c in own if c.name not in (t.parts or ())] for own, t in zip(every, tables, strict=True)]
    pairs = matched_columns(agreeing(tables, every_pair(*columns), part))
    if not pairs:  # in another spelling they may have
        pairs = matched_columns(agreeing(tables, every_pair(*columns, spelt=True), part))
    pairs = with_wordy(pairs, *columns)
    fields = _fields(pairs)
    cascade = (
        proposed_cascade(tables, fields, (rows[0], rows[1]), part, (columns[0], columns[1]))
        if pairs
        else _by_codes(tables, (columns[0], columns[1]))
    )
    if pairs and cascade.coverage < JOINS_MOST:
        spelt = with_wordy(matched_columns(agreeing(tables, every_pair(*columns, spelt=True), part)), *columns)
        # Codes that meet in another spelling are half of a key, as an article is beside its shelf; of words that are
        # in common already nothing is gained.
        met = [sum(1.0 if p.alike else p.overlap for p in each) for each in (pairs, spelt)]
        better = met[1] >= met[0] + MEET_BETTER
        keyed = proposed_cascade(
            tables, _fields(spelt), (rows[0], rows[1]), part, (columns[0], columns[1]) if better else None
        )
        if keyed.coverage > cascade.coverage or (cascade.keyless and better):
            pairs, cascade = spelt, keyed
    cascade = or_linked(tables, cascade, (rows[0], rows[1]), part) if pairs else cascade
    pairs = pairs or [f.pair for f in cascade.fields]
    questions = _questions(tables, columns, pairs, rows)
    fields, rules = cascade.fields, cascade.rules
    questions += [
        *cascade.questions,
        *cascade.doubts,
        *(_without_counterpart(columns, cascade.fields) if cascade.doubts else []),
    ]
    # What every rule demands to be equal, or to add up, cannot differ.
    settled = [{c.field for c in r.rule.on if c.is_equality or c.total} for r in rules]
    compared = [f for f in fields if f not in cascade.untold and worth_comparing(f)]
    compare = [f.spec.name for f in compared if not all(f.spec.name in s for s in settled)]
    currency = next((f for f in fields if is_currency(f)), None)
    labels = _labels(tables)
    plan = Plan.model_validate(
        {
            "name": f"{labels[0]} against {labels[1]}"[:200],
            "left": _side(tables[0], labels[0], options[0], [p.left for p in pairs]),
            "right": _side(tables[1], labels[1], options[1], [p.right for p in pairs]),
            "fields": [f.spec for f in fields],
            "rules": [r.rule for r in rules],
            "compare": compare,
            "currency": {"field": currency.spec.name} if currency else None,
        }
    )
    told = tuple(
        SuggestedField(f.spec.name, f.spec.left, f.spec.right, f.spec.type, round(f.pair.score, 2), _reason(f, tables))
        for f in fields
    )
    return Suggestion(plan, told, tuple(rules), tuple(questions))


def _opened(source: TextTable | str | Path, options: ReaderOptions) -> TextTable:
    return staged(source if isinstance(source, TextTable) else open_table(source, options))


def _by_codes(tables: tuple[TextTable, TextTable], columns: Columns) -> Cascade:
    """Where no columns go together: the codes of one file that the texts of the other speak of, alone. Without amounts
    that agree, whether they mean the same is for a person to judge.
    """
    codes = spoken(tables, columns, None, None, ())
    if codes is None:
        raise InputError(
            f"{tables[0].name} and {tables[1].name} have no columns with like names or values; map the fields yourself"
        )
    rules = spoken_rules(codes, codes.amount, None)
    if codes.amount is None:
        rules = [replace(r, rule=r.rule.model_copy(update={"outcome": "suggested"})) for r in rules]
    asked = {name for each in rules for name in each.rule.fields}
    fields = [f for f in (codes.amount, codes.field, codes.date) if f and f.spec.name in asked]
    return Cascade(rules, fields, [f for f in fields if f is codes.date], [])


def _fields(pairs: list[Pair]) -> list[MappedField]:
    taken: set[str] = set()
    fields = []
    for pair in pairs:
        fields.append(mapped_field(pair, taken))
        taken.add(fields[-1].spec.name)
    return fields


def _reason(mapped: MappedField, tables: tuple[TextTable, TextTable]) -> str:
    """Why two columns are one field, and of which columns one of them is made."""
    made = [
        f"{column} is made of {' and '.join(table.combined[column])}"
        for column, table in zip((mapped.spec.left, mapped.spec.right), tables, strict=True)
        if column in table.combined
    ]
    return ", ".join([mapped.pair.reason, *made])


def _questions(
    tables: tuple[TextTable, TextTable], columns: list[list[Column]], pairs: list[Pair], rows: tuple[int, ...]
) -> list[str]:
    questions = []
    for side, table, own, count in zip(("left", "right"), tables, columns, rows, strict=True):
        as_written = {c.name: c for c in own}
        for pair in pairs:
            read, other = (pair.left, pair.right) if side == "left" else (pair.right, pair.left)
            column = as_written[read.name]
            if read.undecided or column.undecided:
                decided = None if read.undecided else read.readings[0]
                questions.append(question(side, side, table.name, column, other, decided))
        questions += unreadable(table, count)
    return questions + [unsigned(pair.left.name) for pair in pairs if pair.unsigned]


def _without_counterpart(columns: list[list[Column]], fields: list[MappedField]) -> list[str]:
    """A question about columns of both files that name most records and are not mapped."""
    mapped = ({f.spec.left for f in fields}, {f.spec.right for f in fields})
    names = [
        [c.name for c in own if c.name not in known and c.kind in ("text", "integer") and _names_records(c)][:_NAMED]
        for own, known in zip(columns, mapped, strict=True)
    ]
    if not all(names):
        return []
    left, right = (" and ".join(own) for own in names)
    told = f"{left} in the left file and {right} in the right one name most records and have no values in common"
    return [f"{told}: where two of them mean the same, map them with the cleaning that makes them equal"]


def _names_records(column: Column) -> bool:
    return column.filled >= _FILLED and column.repeats <= _REPEATS and column.distinct >= _FEWEST_NAMED


def _labels(tables: tuple[TextTable, TextTable]) -> tuple[str, str]:
    one, two = (title_of(t.name) for t in tables)
    return (one, two) if one != two else (f"{one} (left)", f"{two} (right)")


def _side(table: TextTable, label: str, options: ReaderOptions, columns: list[Column]) -> dict[str, Any]:
    return {"label": label, "files": [str(table.path.resolve())], **read_as(options, columns), **table.made}


def _line(text: str) -> str:
    """A comment is one line, whatever names of columns are in it."""
    return " ".join(text.split())


def _block(data: dict[str, Any]) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000).rstrip()


def _flow(data: dict[str, Any] | list[Any]) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=True).strip()
