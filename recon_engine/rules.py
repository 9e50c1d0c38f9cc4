"""The rules of a plan: conditions on pairs and sets of records, and what to do with what they find."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recon_engine.faults import Misplaced, misplaced

SideName = Literal["left", "right"]
Similarity = Literal["jaro_winkler", "levenshtein", "token_set", "tfidf"]
LinkMethod = Literal["name", "code", "tfidf", "exact", "date", "datetime", "number"]
_WRITTEN: tuple[LinkMethod, ...] = ("name", "code", "tfidf", "exact")
WAYS: dict[str, tuple[LinkMethod, ...]] = {
    "text": _WRITTEN,
    "decimal": ("number", *_WRITTEN),
    "integer": ("number", *_WRITTEN),
    "date": ("date", *_WRITTEN),
    "datetime": ("datetime", *_WRITTEN),
    "boolean": _WRITTEN,
}
"""How a linkage can compare the fields of each type: as such, or as text that is written."""
Cardinality = Literal["one_to_one", "one_to_many", "many_to_one", "many_to_many"]
DecimalWindow = tuple[Decimal, Decimal]
_WINDOWS = ("within", "percent", "days")
_FINEST_PERCENT = 6  # of more digits, products would not fit 128 bits
_WIDEST = {"percent": 1_000_000, "days": 4_000_000}  # beyond, a window is no tolerance: no two dates are so far apart


class Model(BaseModel):
    """What all parts of a plan share: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if faults := list(self._faults()):
            raise misplaced(faults)
        return self

    def _faults(self) -> Iterator[Misplaced]:
        """What is wrong although every value by itself is right, each with its location."""
        yield from ()


def _window(value: Any) -> Any:
    """A single bound v means the symmetric window [-v, v]."""
    if isinstance(value, list | tuple):
        return value
    try:
        if isinstance(value, bool):
            raise ValueError
        magnitude = Decimal(str(value))
    except (ArithmeticError, ValueError):
        raise ValueError(f"'{value}' is no number; write a tolerance such as 0.05, or [-0.05, 0.10]") from None
    if magnitude.is_finite() and magnitude < 0:
        raise ValueError(f"{value} is below zero; a tolerance counts both ways: write {-magnitude}, or [{value}, 0]")
    return (-magnitude, magnitude)


def _is_blank(value: Any) -> bool:
    """A tolerance that was left blank: it is zero, never unlimited."""
    return value is None or (isinstance(value, str) and not value.strip())


def _exact(value: Any) -> Any:
    """YAML reads 0.05 as a float: go through its shortest text, so that the tolerance is what was written."""
    if isinstance(value, list | tuple):
        return tuple(repr(v) if isinstance(v, float) else v for v in value)
    return repr(value) if isinstance(value, float) else value


def _decimals(number: Decimal) -> int:
    """How many digits after the decimal mark a number has, zeros at its end apart."""
    return max(0, -int(number.normalize().as_tuple().exponent))


class NetOf(Model):
    """A fee that was kept back: the right value is the left one less `percent` of its size and less `fixed`."""

    fixed: Decimal = Decimal(0)
    percent: Decimal = Decimal(0)

    @field_validator("fixed", "percent", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        return _exact(value)


class Condition(Model):
    """One condition of a rule. With only `field`, equality. Windows are right minus left, both ends included."""

    field: str
    nulls: Literal["equal"] | None = None
    within: DecimalWindow | None = None
    percent: DecimalWindow | None = None
    cap: Decimal | None = None
    days: tuple[int, int] | None = None
    similarity: Similarity | None = None
    at_least: Annotated[float, Field(gt=0, le=1)] | None = None
    found_in: str | None = None
    total: bool = False
    sign: Literal["opposite"] | None = None
    net_of: NetOf | None = None

    @field_validator("within", "percent", mode="before")
    @classmethod
    def _symmetric(cls, value: Any) -> Any:
        if _is_blank(value):
            return (Decimal(0), Decimal(0))
        return _window(_exact(value))

    @field_validator("percent")
    @classmethod
    def _not_too_fine(cls, value: DecimalWindow | None) -> DecimalWindow | None:
        if value is not None and any(_decimals(percent) > _FINEST_PERCENT for percent in value):
            raise ValueError(f"a percentage has at most {_FINEST_PERCENT} digits after the decimal mark")
        return value

    @field_validator("days", mode="before")
    @classmethod
    def _symmetric_days(cls, value: Any) -> Any:
        if _is_blank(value):
            return (0, 0)
        if isinstance(value, list | tuple):
            return value
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?[0-9]+(\.0*)?", str(value)):
            raise ValueError(f"'{value}' is no whole number of days; write one such as 3, or [0, 3]")
        days = int(float(value))
        if days < 0:
            raise ValueError(f"{days} is below zero; days count both ways: write {-days}, or [{days}, 0]")
        return (-days, days)

    @field_validator("cap", mode="before")
    @classmethod
    def _exact_cap(cls, value: Any) -> Any:
        return Decimal(0) if _is_blank(value) else _exact(value)

    def _faults(self) -> Iterator[Misplaced]:
        kinds = [k for k in (*_WINDOWS, "similarity", "found_in") if getattr(self, k) is not None]
        if len(kinds) > 1:
            yield (kinds[1],), f"one of {', '.join(kinds)}; give each its own rule or condition"
        if self.cap is not None and self.percent is None:
            yield ("cap",), "cap goes with percent"
        if self.cap is not None and self.cap < 0:
            yield ("cap",), "cap must not be negative"
        for kind in _WINDOWS:
            low, high = getattr(self, kind) or (0, 0)
            if max(abs(low), abs(high)) > _WIDEST.get(kind, math.inf):
                yield (kind,), f"{kind}: more than {_WIDEST[kind]:,} allows everything; leave the condition out"
            if low > high:
                yield (kind,), f"{kind}: the low end {low} is above the high end {high}"
        if self.nulls and not self.is_equality:
            yield ("nulls",), "nulls: equal goes with equality only"
        if (self.similarity is None) != (self.at_least is None):
            told = "similarity and at_least go together, such as similarity: jaro_winkler, at_least: 0.92"
            yield ("at_least" if self.at_least is None else "similarity",), told
        if not set(kinds) <= {"within", "percent"}:
            for key in ("total", "sign", "net_of"):
                if getattr(self, key):
                    yield (key,), "total, sign and net_of go with within or percent only"

    @property
    def is_equality(self) -> bool:
        """True when the condition compares plain values for equality."""
        return not (self.is_window or self.is_text or self.total)

    @property
    def is_window(self) -> bool:
        """True when a difference between two values, possibly after a sign or a fee, must lie in a window."""
        changed = self.sign is not None or self.net_of is not None
        return not self.total and (any(getattr(self, k) is not None for k in _WINDOWS) or changed)

    @property
    def is_text(self) -> bool:
        """True when texts are compared for likeness."""
        return self.similarity is not None or self.found_in is not None


class Budget(Model):
    """How far a search for sums goes: counted in candidates, not in seconds, so that every machine finds the same."""

    members: Annotated[int, Field(ge=2, le=40)] = 24


MOST_LINKED = 31
"""A linkage tells what the fields of a pair say together by a number of 64 bits: so many fields fit."""


class Link(Model):
    """Probabilistic linkage: which fields speak for a pair being the same, learnt from the files without labels."""

    fields: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_LINKED)]
    probability: Annotated[float, Field(gt=0, lt=1)] = 0.95
    compare_as: dict[str, LinkMethod] = {}
    block_on: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()

    def _faults(self) -> Iterator[Misplaced]:
        for number, name in enumerate(self.fields):
            if name in self.fields[:number]:
                yield ("fields", number), f"'{name}' stands there already; each field speaks once"
        for name in self.compare_as:
            if name not in self.fields:
                yield ("compare_as", name), f"'{name}' is none of the link's fields: {', '.join(self.fields)}"


class Rule(Model):
    """One pass of the cascade."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    on: tuple[Condition, ...] = ()
    link: Link | None = None
    cardinality: Cardinality = "one_to_one"
    net: SideName | None = None
    budget: Budget = Budget()
    when_ambiguous: Literal["best", "leave", "suggest"] = "best"
    outcome: Literal["confirmed", "suggested"] = "confirmed"
    max_false_rate: Annotated[float, Field(gt=0, lt=1)] | None = None

    @field_validator("on", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        return _as_conditions(value)

    def _faults(self) -> Iterator[Misplaced]:
        if bool(self.on) == (self.link is not None):
            yield (), "a rule has either conditions (on) or a link"
        totals = [number for number, c in enumerate(self.on) if c.total]
        for number in totals[1:]:
            yield ("on", number, "total"), "one field can be totalled in a rule"
        if totals and self.cardinality == "one_to_one" and self.net is None:
            yield ("cardinality",), "total needs a cardinality: one_to_many, many_to_one or many_to_many"
        if self.net is not None and (not totals or self.cardinality != "one_to_one"):
            yield ("net",), "net pairs plus and minus inside one side: total: true on the amount, no cardinality"

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that the rule looks at."""
        linked = (*self.link.fields, *(n for key in self.link.block_on for n in key)) if self.link else ()
        return tuple(dict.fromkeys((*(n for c in self.on for n in (c.field, c.found_in) if n), *linked)))

    @property
    def text_fields(self) -> tuple[str, ...]:
        """The fields whose texts are looked at, rather than whether they are equal."""
        return self.fields if self.link else tuple(n for c in self.on if c.is_text for n in (c.field, c.found_in) if n)

    @property
    def total(self) -> Condition | None:
        """The condition whose field is totalled, if any."""
        return next((c for c in self.on if c.total), None)

    @property
    def is_plain(self) -> bool:
        """True for one-to-one rules of equalities and windows."""
        return self.cardinality == "one_to_one" and not self.link and not any(c.is_text or c.total for c in self.on)


class Duplicates(Model):
    """What makes records of one side the same thing twice."""

    on: Annotated[tuple[Condition, ...], Field(min_length=1)]
    exclude: bool = False

    @field_validator("on", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        return _as_conditions(value)

    def _faults(self) -> Iterator[Misplaced]:
        for number, c in enumerate(self.on):
            for key in ("total", "sign", "net_of"):
                if getattr(c, key):
                    yield ("on", number, key), "total, sign and net_of say nothing about duplicates"

    @property
    def rule(self) -> Rule:
        """The conditions as a rule on pairs of the side's own records."""
        return Rule(name="duplicates", on=self.on)


def _as_conditions(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return [{"field": item} if isinstance(item, str) else item for item in value]


def short_form(condition: Condition) -> Any:
    """A condition as a plan file has it: a bare name for equality."""
    plain: dict[str, Any] = {"field": condition.field}
    for kind in ("within", "percent", "days"):
        window = getattr(condition, kind)
        if window is None:
            continue
        low, high = window
        as_text = (lambda v: v) if kind == "days" else str
        plain[kind] = as_text(high) if low == -high else [as_text(low), as_text(high)]
    if condition.cap is not None:
        plain["cap"] = str(condition.cap)
    for key in ("nulls", "similarity", "at_least", "found_in", "sign"):
        if (value := getattr(condition, key)) is not None:
            plain[key] = value
    if condition.total:
        plain["total"] = True
    if condition.net_of:
        plain["net_of"] = condition.net_of.model_dump(mode="json", exclude_defaults=True)
    return condition.field if len(plain) == 1 else plain
