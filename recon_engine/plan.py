"""The plan: the saved description of a reconciliation. One YAML file, validated here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, field_validator

from recon_engine.errors import PlanError
from recon_engine.faults import Location, Misplaced, plan_error, repeated, unknown
from recon_engine.plan_text import plan_data
from recon_engine.rules import WAYS, Budget, Condition, Duplicates, Link, Model, NetOf, Rule, SideName, short_form

__all__ = [
    "Budget",
    "Condition",
    "Duplicates",
    "Link",
    "NetOf",
    "Rule",
    "SideName",
]  # the plan's parts, found where the plan is

FieldType = Literal["text", "decimal", "integer", "date", "datetime", "boolean"]
SIDES: tuple[SideName, SideName] = ("left", "right")
CleanName = Literal[
    "trim",
    "casefold",
    "collapse_spaces",
    "strip_punctuation",
    "digits_only",
    "alphanumeric",
    "unaccent",
    "strip_leading_zeros",
    "sort_words",
    "negate",
    "absolute",
    "swap_day_month",
]
NUMERIC_STEPS = frozenset({"negate", "absolute"})
DATE_STEPS = frozenset({"swap_day_month"})
ISO = "ISO 8601"
"""In place of a strptime format: any of that norm's usual forms, with or without time, fraction and offset."""
_DIRECTIVES = frozenset("YCymbBhdeaAwuUWGgVjDxFvHkIlPpMSfRTXrZzc+stn%")  # of strptime
RESERVED_NAMES = frozenset({"row", "source", "side", "line", "i", "g", "k"})


class MapStep(Model):
    """A lookup table: a value found among the keys becomes the value beside it; others stay as they are."""

    map: dict[str, str]


class TimesStep(Model):
    """A factor: the number is compared as so many times itself, such as 100 for amounts written in whole units."""

    times: Annotated[int, Field(ge=2, le=1_000_000)]


class LastStep(Model):
    """The end of a text: its last so many characters, for codes that each side begins in its own way."""

    last: Annotated[int, Field(ge=1, le=1_000)]


class FirstStep(Model):
    """The beginning of a text: its first so many characters, for codes that each side ends in its own way."""

    first: Annotated[int, Field(ge=1, le=1_000)]


def _kind_of_step(step: Any) -> str | None:
    """Which of the five a step is meant to be, so that only its own mistakes are told."""
    if isinstance(step, MapStep | TimesStep | LastStep | FirstStep):
        return type(step).__name__
    if isinstance(step, str):
        return "literal"
    kinds = {"map": "MapStep", "times": "TimesStep", "last": "LastStep", "first": "FirstStep"}
    return next((kind for key, kind in kinds.items() if key in step), None) if isinstance(step, dict) else None


CleanStep = Annotated[
    Annotated[CleanName, Tag("literal")]
    | Annotated[MapStep, Tag("MapStep")]
    | Annotated[TimesStep, Tag("TimesStep")]
    | Annotated[LastStep, Tag("LastStep")]
    | Annotated[FirstStep, Tag("FirstStep")],
    Discriminator(
        _kind_of_step,
        custom_error_type="clean_step",
        custom_error_message=(
            "no clean step; write a name such as trim, {map: {from: to}}, {times: 100}, {last: 8} or {first: 8}"
        ),
    ),
]
Version = Annotated[Literal[1], BeforeValidator(lambda value: 1 if value == "1" else value)]
"""A plan file's values are text until their models say otherwise; a literal number does not by itself."""


class SidedClean(Model):
    """Clean steps that differ by side."""

    left: tuple[CleanStep, ...] = ()
    right: tuple[CleanStep, ...] = ()


class SidedFormat(Model):
    """strptime formats that differ by side; null means: ISO, or decided from the data."""

    left: str | None = None
    right: str | None = None


class ReaderOptions(Model):
    """How a file is read. Everything left out is detected and reported; what cannot be decided is asked for."""

    format: Literal["csv", "xlsx", "parquet", "json", "jsonl"] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quote: Annotated[str, Field(max_length=1)] | None = None
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'"] | None = None
    sheet: str | None = None
    header_row: Annotated[int, Field(ge=1)] | None = None
    footer_rows: Annotated[int, Field(ge=1, le=1_000)] | None = None
    nulls: tuple[str, ...] = ()
    debit: str | None = None
    credit: str | None = None
    combined: dict[str, Annotated[tuple[str, ...], Field(min_length=2, max_length=20)]] = Field(
        default_factory=dict, max_length=100
    )

    def _faults(self) -> Iterator[Misplaced]:
        if (self.debit is None) != (self.credit is None):
            missing = "debit" if self.debit is None else "credit"
            yield (missing,), "debit and credit name the two columns of an amount: give both, or neither"
        elif self.debit is not None and self.debit == self.credit:
            yield ("credit",), "debit and credit are two columns; they cannot be the same one"
        for name, parts in self.combined.items():
            if len(set(parts)) < len(parts):
                yield ("combined", name), f"'{name}' is made of a column twice; name each once"
        if self.decimal is not None and self.decimal == self.thousands:
            told = f"'{self.decimal}' cannot be the decimal mark too; name the other mark, or leave thousands out"
            yield ("thousands",), told


class Side(ReaderOptions):
    """One side of the reconciliation: a label and its source files."""

    label: Annotated[str, Field(min_length=1, max_length=200)]
    files: tuple[str, ...] = ()


class FieldSpec(Model):
    """A canonical column, mapped to a column on each side, with a type."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
    left: str
    right: str
    type: FieldType = "text"
    scale: Annotated[int, Field(ge=0, le=18)] | None = None
    formats: SidedFormat = SidedFormat()
    clean: SidedClean = SidedClean()

    @field_validator("formats", mode="before")
    @classmethod
    def _same_format_on_both_sides(cls, value: Any) -> Any:
        return {"left": value, "right": value} if isinstance(value, str) else value

    @field_validator("clean", mode="before")
    @classmethod
    def _same_steps_on_both_sides(cls, value: Any) -> Any:
        return {"left": value, "right": value} if isinstance(value, list | tuple) else value

    def _faults(self) -> Iterator[Misplaced]:
        if self.name in RESERVED_NAMES or self.name.startswith("__"):
            yield ("name",), f"'{self.name}' is a reserved name; call the field something else"
        if self.scale is not None and self.type != "decimal":
            yield ("scale",), "scale is only for type decimal"
        for side in SIDES:
            if (form := getattr(self.formats, side)) is not None:
                yield from self._faults_of_format(form, ("formats", side))
        for side, steps in (("left", self.clean.left), ("right", self.clean.right)):
            for number, step in enumerate(steps):
                name, types = _step(step)
                if self.type not in types:
                    told = f"clean step '{name}' is for {' and '.join(types)} fields, this one is {self.type}"
                    yield ("clean", side, number), told

    def _faults_of_format(self, form: str, at: Location) -> Iterator[Misplaced]:
        directives = re.findall(r"%[-_0]?[.:#]*[0-9]?(.?)", form)
        if self.type not in ("date", "datetime"):
            yield at, f"formats are for dates, this field is {self.type}"
        elif form != ISO and (not directives or not _DIRECTIVES.issuperset(directives)):
            yield at, f"'{form}' is no format of dates; write one such as %d/%m/%Y or %Y-%m-%d %H:%M:%S"

    @property
    def digits(self) -> int:
        """Digits after the decimal mark: `scale` (default 2) for decimals, 0 otherwise."""
        return (2 if self.scale is None else self.scale) if self.type == "decimal" else 0

    @property
    def columns(self) -> dict[SideName, str]:
        """The file's own column by side."""
        return {"left": self.left, "right": self.right}

    def column(self, side: SideName) -> str:
        """The name of the file's own column on `side`."""
        return self.left if side == "left" else self.right


class Currency(Model):
    """Control totals are kept per value of this field."""

    field: str


class SidedDuplicates(Model):
    """Which sides are searched for duplicates before matching, and by what."""

    left: Duplicates | None = None
    right: Duplicates | None = None


class Plan(Model):
    """The saved description of a reconciliation."""

    version: Version = 1
    name: Annotated[str, Field(min_length=1, max_length=200)]
    left: Side
    right: Side
    fields: Annotated[tuple[FieldSpec, ...], Field(min_length=1, max_length=500)]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=500)]
    compare: tuple[str, ...] = ()
    currency: Currency | None = None
    duplicates: SidedDuplicates = SidedDuplicates()

    def _faults(self) -> Iterator[Misplaced]:
        names = [f.name for f in self.fields]
        yield from repeated("field", names, "fields", "name")
        yield from repeated("rule", [r.name for r in self.rules], "rules", "name")
        if self.left.label == self.right.label:
            yield ("right", "label"), "left and right need different labels"
        for number, rule in enumerate(self.rules):
            yield from self._faults_of_rule(rule, names, ("rules", number))
        for side in SIDES:
            if (search := self.duplicates_of(side)) is not None:
                yield from self._faults_of_rule(search.rule, names, ("duplicates", side))
        yield from repeated("compared field", list(self.compare), "compare")
        for number, name in enumerate(self.compare):
            yield from unknown(name, names, ("compare", number))
        if self.currency is not None:
            yield from unknown(self.currency.field, names, ("currency", "field"))

    def _faults_of_rule(self, rule: Rule, names: list[str], at: Location) -> Iterator[Misplaced]:
        where = f"rule '{rule.name}': "
        for number, condition in enumerate(rule.on):
            yield from self._faults_of_condition(condition, names, (*at, "on", number), where)
        if rule.link is not None:
            yield from self._faults_of_link(rule.link, names, (*at, "link"), where)

    def _faults_of_link(self, link: Link, names: list[str], at: Location, where: str) -> Iterator[Misplaced]:
        named: list[tuple[Location, str]] = [(("fields", n), name) for n, name in enumerate(link.fields)]
        named += [(("compare_as", name), name) for name in link.compare_as]
        named += [(("block_on", n), name) for n, key in enumerate(link.block_on) for name in key]
        for place, name in named:
            yield from unknown(name, names, (*at, *place), where)
        for name, method in link.compare_as.items():
            kind = self.field(name).type if name in names else None
            if kind and method not in WAYS[kind]:
                told = f"'{name}' is {kind}, which can be compared as {', '.join(WAYS[kind])}; not as {method}"
                yield (*at, "compare_as", name), where + told

    def _faults_of_condition(
        self, condition: Condition, names: list[str], at: Location, where: str
    ) -> Iterator[Misplaced]:
        named = {"field": condition.field, **({"found_in": condition.found_in} if condition.found_in else {})}
        for key, name in named.items():
            yield from unknown(name, names, (*at, key), where)
        kinds = {key: self.field(name).type for key, name in named.items() if name in names}
        kind = kinds.get("field")
        measured = [k for k in ("within", "percent", "total", "sign", "net_of") if getattr(condition, k)]
        if kind and measured and kind not in ("decimal", "integer"):
            told = f"within, percent, total, sign and net_of are for numbers, '{condition.field}' is {kind}"
            yield (*at, measured[0]), where + told
        if kind and condition.days is not None and kind not in ("date", "datetime"):
            yield (*at, "days"), f"{where}days is for dates, '{condition.field}' is {kind}"
        for key, found in kinds.items() if condition.is_text else ():
            if found != "text":
                yield (*at, key), f"{where}texts are compared, '{named[key]}' is {found}"

    def field(self, name: str) -> FieldSpec:
        """The field called `name`. Raises KeyError when there is none."""
        for spec in self.fields:
            if spec.name == name:
                return spec
        raise KeyError(name)

    def duplicates_of(self, name: str) -> Duplicates | None:
        """How a side is searched for duplicates; None when it is not."""
        return self.duplicates.left if name == "left" else self.duplicates.right

    @property
    def labels(self) -> dict[str, str]:
        """What people call the sides."""
        return {"left": self.left.label, "right": self.right.label}

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules, and the searches for duplicates as rules: everything that looks at fields."""
        searches = [self.duplicates_of(side) for side in SIDES]
        return (*self.rules, *(s.rule for s in searches if s is not None))

    def side(self, name: SideName) -> Side:
        """The left or the right side."""
        return self.left if name == "left" else self.right

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan file. File names in it become absolute, relative to the plan file. Raises PlanError."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"plan {path}: cannot be read ({error})") from error
        return cls.parse(text, base=path.resolve().parent, where=str(path))

    @classmethod
    def parse(cls, text: str, base: Path | None = None, where: str = "plan") -> Plan:
        """Read a plan from YAML text. Raises PlanError with every mistake in one line."""
        return cls.build(plan_data(text, where), base=base, where=where)

    @classmethod
    def build(cls, data: dict[str, Any], base: Path | None = None, where: str = "plan") -> Plan:
        """Validate a plan given as plain data. Raises PlanError with every mistake in one line."""
        if "sides" in data:
            raise PlanError(f"{where}: a plan with sides; here a plan has left and right")
        try:
            plan = cls.model_validate(data)
        except ValidationError as error:
            raise plan_error(error, where) from error
        return plan.with_files(base=base) if base else plan

    def with_files(
        self,
        left: Sequence[str | Path] | None = None,
        right: Sequence[str | Path] | None = None,
        base: Path | None = None,
    ) -> Plan:
        """A copy with other files (None keeps them); with `base`, relative names become absolute."""

        def place(files: Sequence[str | Path]) -> tuple[str, ...]:
            return tuple(str(base / f if base else f) for f in files)

        sides = {
            "left": self.left.model_copy(update={"files": place(self.left.files if left is None else left)}),
            "right": self.right.model_copy(update={"files": place(self.right.files if right is None else right)}),
        }
        return self.model_copy(update=sides)

    def to_data(self) -> dict[str, Any]:
        """Plain data in the short form of the plan file: defaults left out, equality as a bare name."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        data = {"version": self.version, **data}
        for spec, plain in zip(self.fields, data["fields"], strict=True):
            plain["type"] = spec.type
            if spec.clean.left == spec.clean.right and "clean" in plain:
                plain["clean"] = plain["clean"]["left"]
        for rule, plain in zip(self.rules, data["rules"], strict=True):
            if rule.on:
                plain["on"] = [short_form(c) for c in rule.on]
        for side, plain in data.get("duplicates", {}).items():
            search = self.duplicates_of(side)
            plain["on"] = [short_form(c) for c in search.on] if search else []
        return data

    def to_yaml(self) -> str:
        """The plan file's text; `Plan.parse` reads it back to an equal plan."""
        return yaml.safe_dump(self.to_data(), sort_keys=False, allow_unicode=True, width=100)


def _step(step: CleanStep) -> tuple[str, tuple[FieldType, ...]]:
    """A clean step's name, and the types it is for."""
    if isinstance(step, TimesStep):
        return "times", ("decimal", "integer")
    if isinstance(step, MapStep):
        return "map", ("text",)
    if isinstance(step, LastStep | FirstStep):
        return "last" if isinstance(step, LastStep) else "first", ("text",)
    if step in NUMERIC_STEPS:
        return step, ("decimal", "integer")
    return step, ("date", "datetime") if step in DATE_STEPS else ("text",)
