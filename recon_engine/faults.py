"""What is wrong with a plan: every fault at its place, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from recon_engine.errors import Fault, PlanError

Location = tuple[str | int, ...]
Misplaced = tuple[Location, str]
_WORDS = {
    "extra_forbidden": "unknown key; remove it or check its spelling",
    "decimal_parsing": "'{input}' is no number",
    "float_parsing": "'{input}' is no number",
    "int_parsing": "'{input}' is no whole number",
    "int_from_float": "'{input}' is no whole number",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_type": "must be a text; put it in quotes",
    "string_pattern_mismatch": "'{input}' is no name; use letters, digits and _, a letter or _ first",
    "bool_parsing": "'{input}' is neither true nor false",
    "finite_number": "must be a finite number",
    "literal_error": "'{input}' is not known; write {expected}",
    "missing": "is missing; add it",
    "tuple_type": "must be a list, such as [a, b]",
    "model_type": "must be a mapping, such as {{key: value}}",
    "dict_type": "must be a mapping, such as {{key: value}}",
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
}
"""How the usual faults of a value are told, by what the validation calls them."""


def misplaced(faults: Iterable[Misplaced]) -> ValidationError:
    """Faults of a part of a plan, each with its location within that part, for a validator to raise."""
    return ValidationError.from_exception_data(
        "plan",
        [
            InitErrorDetails(type=PydanticCustomError("plan", "{says}", {"says": says}), loc=location, input=None)
            for location, says in faults
        ],
    )


def plan_error(error: ValidationError, where: str) -> PlanError:
    """Every fault of a plan, in one line and one by one."""
    faults = tuple(Fault(_place(e["loc"]), _says(e)) for e in _first_causes(error.errors()))
    told = "; ".join(f"{fault.place or 'plan'}: {fault.says}" for fault in faults)
    return PlanError(f"{where}: {told}", faults)


def _first_causes(errors: Sequence[Any]) -> list[Any]:
    """Without what only follows: a list whose entries are wrong has too few, for they do not count."""
    return [
        e
        for e in errors
        if e["type"] != "too_short" or not any(o is not e and o["loc"][: len(e["loc"])] == e["loc"] for o in errors)
    ]


def _place(location: tuple[Any, ...]) -> str:
    """('rules', 2, 'on', 0, 'within') as 'rules[2].on[0].within', without the names of the kinds that were tried."""
    kinds = r"(tuple|function|literal|MapStep|TimesStep|LastStep|FirstStep|SidedClean).*"
    parts = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in location if not re.fullmatch(kinds, str(p))]
    return "".join(parts).removeprefix(".")


def _says(error: Any) -> str:
    given = {"input": error["input"], **error.get("ctx", {})}
    if error["type"] == "string_type" and error["input"] is None and not isinstance(error["loc"][-1], int):
        return _WORDS["missing"]
    told = _WORDS[error["type"]].format(**given) if error["type"] in _WORDS else str(error["msg"])
    return " ".join(told.removeprefix("Value error, ").split())


def repeated(what: str, names: list[str], *at: str) -> Iterator[Misplaced]:
    """Names that stand there more than once, each time; `at`: the list, and what of its items is the name."""
    several = sorted({n for n in names if names.count(n) > 1})
    told = f"{what} names must be unique; repeated: {', '.join(several)}"
    for number, name in enumerate(names):
        if name in several:
            yield (at[0], number, *at[1:]), told


def unknown(name: str, names: list[str], at: Location, where: str = "") -> Iterator[Misplaced]:
    """A name that no field has."""
    if name not in names:
        yield at, f"{where}there is no field '{name}'; the fields are {', '.join(names)}"
