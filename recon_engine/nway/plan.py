"""The plan of more than two sides: `sides` in place of `left` and `right`, and rules that name the two they look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from recon_engine.errors import PlanError
from recon_engine.faults import Location, Misplaced, misplaced, plan_error
from recon_engine.plan import CleanStep, Currency, Duplicates, FieldSpec, FieldType, Plan, ReaderOptions, Version
from recon_engine.rules import Condition, Model, Rule, short_form

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Pair = tuple[str, str]
_NAMING = ("field", "found_in")  # keys of a condition that name a field
# Results have tables of these names, and sides must not.
TABLES = {"matches", "links", "differences", "breaks", "rejected", "certificates", "weights", "duplicates"}


class NamedSide(ReaderOptions):
    """One of the sides: the name that fields and rules call it by, the label that people see, its source files."""

    name: Name
    label: str = ""
    files: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _free(self) -> Self:
        if self.name in TABLES:
            raise ValueError(f"'{self.name}' is the name of a table of the result; call the side something else")
        return self

    @property
    def title(self) -> str:
        """What people call this side."""
        return self.label or self.name


class SidesField(Model):
    """A canonical column, mapped to a column on each side that has it."""

    name: str
    columns: Annotated[dict[str, str], Field(min_length=1)]
    type: FieldType = "text"
    scale: Annotated[int, Field(ge=0, le=18)] | None = None
    formats: str | dict[str, str] = Field(default_factory=dict)
    clean: tuple[CleanStep, ...] | dict[str, tuple[CleanStep, ...]] = ()

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for told in (self.formats, self.clean):
            strange = set(told) - set(self.columns) if isinstance(told, dict) else set()
            if strange:
                raise ValueError(f"field '{self.name}' has no column for side {', '.join(sorted(strange))}")
        for side in self.columns:
            with _one_mistake():
                self.between(side, side)
        return self

    def between(self, left: str, right: str) -> FieldSpec:
        """The field as a pair of sides has it. Raises ValidationError when it cannot be."""
        sided = {
            key: {end: value.get(side) for end, side in (("left", left), ("right", right)) if side in value}
            if isinstance(value, dict)
            else value
            for key, value in (("formats", self.formats), ("clean", self.clean))
        }
        data = {"name": self.name, "type": self.type, "scale": self.scale, **sided}
        return FieldSpec.model_validate({**data, "left": self.columns[left], "right": self.columns[right]})


def lopsided(rule: Rule) -> bool:
    """Whether a rule asks something else of its left side than of its right one."""
    return rule.cardinality in ("one_to_many", "many_to_one") or any(
        c.percent or c.net_of or any(w and w[0] != -w[1] for w in (c.within, c.days)) for c in rule.on
    )


class SidesRule(Rule):
    """A rule and the two sides it looks at, left and right; without them, every two sides that have its fields. One
    with `net` looks at the side of that name alone.
    """

    net: Name | None = None  # type: ignore[assignment]  # a plan of two sides calls them left and right
    between: tuple[str, str] | None = None

    @model_validator(mode="after")
    def _two_ways(self) -> Self:
        if self.net is not None:
            if self.between is not None:
                raise ValueError(f"rule '{self.name}': net looks at one side, {self.net}; leave between out")
            return self
        if self.between is None and lopsided(self):
            raise ValueError(f"rule '{self.name}' looks from a left side to a right one; say between: [left, right]")
        if self.between is not None and self.between[0] == self.between[1]:
            raise ValueError(f"rule '{self.name}': between needs two different sides")
        return self

    @property
    def plain(self) -> Rule:
        """The rule as a plan of its two sides says it, or one in which the side that it nets is the left one."""
        own = {name: getattr(self, name) for name in Rule.model_fields}
        return Rule(**own | {"net": "left" if self.net else None})


def _different(sides: tuple[NamedSide, ...]) -> tuple[NamedSide, ...]:
    for what, names in (("names", [s.name for s in sides]), ("labels", [s.title for s in sides])):
        if len({n.casefold() for n in names}) < len(names):
            raise ValueError(f"the {what} of the sides must differ, also in more than upper and lower case")
    return sides


NamedSides = Annotated[tuple[NamedSide, ...], Field(min_length=2, max_length=20), AfterValidator(_different)]


class SidesPlan(Model):
    """The saved description of a reconciliation of two or more sides."""

    version: Version = 1
    name: Annotated[str, Field(min_length=1, max_length=200)]
    sides: NamedSides
    fields: Annotated[tuple[SidesField, ...], Field(min_length=1, max_length=500)]
    rules: Annotated[tuple[SidesRule, ...], Field(min_length=1, max_length=500)]
    compare: tuple[str, ...] = ()
    currency: Currency | None = None
    incomplete: Literal["break", "suggest", "match"] = "break"
    duplicates: dict[str, Duplicates] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        names = [side.name for side in self.sides]
        for spec in self.fields:
            _known("side", spec.columns, names, f"field '{spec.name}'")
        for rule in self.rules:
            _known("side", rule.between or (), names, f"rule '{rule.name}'")
        for what, given in (("field", [f.name for f in self.fields]), ("rule", [r.name for r in self.rules])):
            if repeated := sorted({name for name in given if given.count(name) > 1}):
                raise ValueError(f"{what} names must be unique; repeated: {', '.join(repeated)}")
        _known("field", self.compare, [f.name for f in self.fields], "compare")
        _known("field", [self.currency.field] if self.currency else [], [f.name for f in self.fields], "currency")
        for rule in self.rules:
            self._check_rule(rule)
        if faults := list(self._faults()):
            raise misplaced(faults)
        with _one_mistake():
            for left, right in self.pairs:
                self.pair_plan(left, right)
            for name in names:
                self.side_plan(name)
        self._check_reach(names)
        return self

    def _check_rule(self, rule: SidesRule) -> None:
        columns = {f.name: f.columns for f in self.fields}
        _known("field", rule.fields, list(columns), f"rule '{rule.name}'")
        for field in rule.fields:
            for side in rule.between or ():
                if side not in columns[field]:
                    raise ValueError(f"rule '{rule.name}': field '{field}' has no column for side '{side}'")
        if rule.net is None and not any(rule in rules for rules in self.pairs.values()):
            raise ValueError(f"rule '{rule.name}': no two sides have all its fields")

    def _faults(self) -> Iterator[Misplaced]:
        """What is wrong with what looks at one side alone, each fault at its place."""
        linking: SidesRule | None = None
        for number, rule in enumerate(self.rules):
            if rule.net is None:
                linking = linking or rule
                continue
            yield from self._faults_of_side(rule.net, rule.on, ("rules", number), "net")
            if linking is not None:
                told = f"rule '{rule.name}' nets one side, which is done before sides are linked"
                yield ("rules", number, "net"), f"{told}: put it above rule '{linking.name}'"
        for name, search in self.duplicates.items():
            faults = list(self._faults_of_side(name, search.on, ("duplicates", name)))
            yield from faults
            if faults:
                continue
            try:
                self.side_plan(name)
            except ValidationError as error:
                for fault in error.errors():
                    if fault["loc"][:2] == ("duplicates", "left"):
                        yield ("duplicates", name, *fault["loc"][2:]), fault["msg"]

    def _faults_of_side(self, name: str, on: Sequence[Condition], at: Location, *key: str) -> Iterator[Misplaced]:
        """That there is no such side (told at `key`), or that it lacks fields of the conditions `on`."""
        if name not in self.labels:
            yield (*at, *key), f"there is no side '{name}'; the sides are {', '.join(self.labels)}"
            return
        columns = {f.name: f.columns for f in self.fields}
        named = [(number, naming, getattr(c, naming)) for number, c in enumerate(on) for naming in _NAMING]
        for number, naming, field in named:
            if field in columns and name not in columns[field]:
                yield (*at, "on", number, naming), f"field '{field}' has no column for side '{name}'"

    def _check_reach(self, names: list[str]) -> None:
        reached = {names[0]}
        for _ in names:
            reached |= {side for pair in self.pairs if reached & set(pair) for side in pair}
        if alone := [n for n in names if n not in reached]:
            raise ValueError(f"no rule leads from {names[0]} to {', '.join(alone)}; add rules between the sides")

    @property
    def labels(self) -> dict[str, str]:
        """What people call the sides, by name."""
        return {side.name: side.title for side in self.sides}

    @cached_property
    def pairs(self) -> dict[Pair, list[SidesRule]]:
        """The pairs of sides that rules look at, each with its rules in order: the same in whatever order the sides
        stand. Raises ValueError when two rules name a pair the other way round.
        """
        turned: dict[Pair, SidesRule] = {}
        for rule in self.rules:
            if rule.between is None:
                continue
            if (other := turned.get((rule.between[1], rule.between[0]))) is not None:
                raise ValueError(
                    f"rules '{other.name}' and '{rule.name}' name {' and '.join(rule.between)} in two orders; "
                    "name the two sides in the same order"
                )
            turned.setdefault(rule.between, rule)
        found: dict[Pair, list[SidesRule]] = {}
        for pair in combinations(sorted(side.name for side in self.sides), 2):
            oriented = (pair[1], pair[0]) if (pair[1], pair[0]) in turned else pair
            shared = {f.name for f in self.fields if set(pair) <= f.columns.keys()}
            both = [r for r in self.rules if r.net is None]
            fits = [r for r in both if r.between == oriented or (not r.between and shared >= set(r.fields))]
            if fits:
                found[oriented] = fits
        return found

    def pair_plan(self, left: str, right: str) -> Plan:
        """The two-sided plan of two sides that share a field. Raises ValidationError where a rule does not fit it."""
        fields = [f.between(left, right) for f in self.fields if {left, right} <= f.columns.keys()]
        return self._two_sided(left, right, fields, self.pairs.get((left, right), []))

    def side_plan(self, name: str) -> Plan:
        """A plan whose left side is this one, with all the fields that it has, all the rules that look at it and its
        search for duplicates.
        """
        fields = self._fields_of(name)
        looking = {r.name: r for pair, rules in self.pairs.items() if name in pair for r in rules}
        rules = [*(rule for rule in self.netting_rules if rule.net == name), *looking.values()]
        return self._two_sided(name, name, fields, rules, self.duplicates_of(name))

    @property
    def netting_rules(self) -> tuple[SidesRule, ...]:
        """The rules that look at one side alone."""
        return tuple(rule for rule in self.rules if rule.net is not None)

    def net_plan(self, name: str) -> Plan | None:
        """A plan whose left side is this one, with the rules that net it alone; None when there are none."""
        rules = [rule for rule in self.netting_rules if rule.net == name]
        return self._two_sided(name, name, self._fields_of(name), rules) if rules else None

    def _fields_of(self, name: str) -> list[FieldSpec]:
        fields = [f.between(name, name) for f in self.fields if name in f.columns]
        if not fields:
            raise ValueError(f"no field has a column for side '{name}'")
        return fields

    def _two_sided(
        self,
        left: str,
        right: str,
        fields: list[FieldSpec],
        rules: Sequence[SidesRule],
        searched: Duplicates | None = None,
    ) -> Plan:
        names = {f.name for f in fields}
        data = {
            "name": self.name,
            "left": self._plain(left, self.side(left).title),
            "right": self._plain(right, self.side(right).title + ("" if left != right else " ")),
            "fields": fields,
            # As a plan of two has them: what is made of its data, such as a change that is tried, is such a plan too.
            "rules": [rule.plain for rule in rules] or [Rule(name="none", on=(fields[0].name,))],
            "compare": [n for n in self.compare if n in names],
            "currency": self.currency if self.currency and self.currency.field in names else None,
            "duplicates": {"left": searched},
        }
        return Plan.model_validate(data)

    def _plain(self, name: str, label: str) -> dict[str, Any]:
        return {**self.side(name).model_dump(exclude={"name"}), "label": label}

    def field(self, name: str) -> SidesField:
        """The field called `name`. Raises KeyError when there is none."""
        for spec in self.fields:
            if spec.name == name:
                return spec
        raise KeyError(name)

    def side(self, name: str) -> NamedSide:
        """The side called `name`. Raises KeyError when there is none."""
        for side in self.sides:
            if side.name == name:
                return side
        raise KeyError(name)

    def duplicates_of(self, name: str) -> Duplicates | None:
        """How a side is searched for duplicates; None when it is not."""
        return self.duplicates.get(name)

    @classmethod
    def build(cls, data: dict[str, Any], base: Path | None = None, where: str = "plan") -> SidesPlan:
        """Validate a plan given as plain data. Raises PlanError with every mistake in one line."""
        try:
            plan = cls.model_validate(data)
        except ValidationError as error:
            raise plan_error(error, where) from error
        return plan.with_files(base=base) if base else plan

    def with_files(self, files: Mapping[str, Sequence[str]] | None = None, base: Path | None = None) -> SidesPlan:
        """A copy in which the sides named in `files` have other files; with `base`, relative names become absolute."""
        given = files or {}
        _known("side", given, [s.name for s in self.sides], "files", PlanError)
        placed = [
            side.model_copy(
                update={"files": tuple(str(base / f) if base else f for f in given.get(side.name, side.files))}
            )
            for side in self.sides
        ]
        return self.model_copy(update={"sides": tuple(placed)})

    def to_data(self) -> dict[str, Any]:
        """Plain data in the short form of the plan file: defaults left out, equality as a bare name."""
        data = {"version": self.version, **self.model_dump(mode="json", exclude_defaults=True)}
        for rule, plain in zip(self.rules, data["rules"], strict=True):
            if rule.on:
                plain["on"] = [short_form(c) for c in rule.on]
        for side, plain in data.get("duplicates", {}).items():
            plain["on"] = [short_form(c) for c in self.duplicates[side].on]
        return data

    def to_yaml(self) -> str:
        """The plan file's text; `load_plan` reads it back to an equal plan."""
        return yaml.safe_dump(self.to_data(), sort_keys=False, allow_unicode=True, width=100)


@contextmanager
def _one_mistake() -> Iterator[None]:
    """The first mistake of a model inside, as one sentence for the validation that is going on around it."""
    try:
        yield
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from error


def _known(what: str, names: Any, known: Sequence[str], where: str, error: type[Exception] = ValueError) -> None:
    for name in names:
        if name not in known:
            raise error(f"{where}: there is no {what} '{name}'; the {what}s are {', '.join(known)}")
