"""Columns that a plan reads and other files call otherwise: what may take their place, and the plan that says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import SidesPlan
from recon_engine.reading.two_columns import AMOUNT, pair_called
from services.database.models import StoredFile
from services.fit import columns_read, made_by, shared_columns

_NUMBERS = ("integer", "decimal")
Replaced = Mapping[str, Mapping[str, str | None]]
"""By the name of a side: the column that takes the place of one that is gone; None leaves its fields out."""


def columns_of(plan: AnyPlan, side: str) -> list[str]:
    """The columns that the plan reads of a side."""
    mapped = [spec.columns[side] for spec in plan.fields if side in spec.columns]  # type: ignore[index]
    return columns_read(plan.side(side), mapped)  # type: ignore[arg-type]


def lacking(plan: AnyPlan, columns: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """By the name of each side the columns that the plan reads and the side does not have."""
    wanted = {side: columns_of(plan, side) for side in columns}
    gone = {side: [name for name in wanted[side] if name not in own] for side, own in columns.items()}
    return {side: names for side, names in gone.items() if names}


def clashing(plan: AnyPlan, files: Mapping[str, Sequence[StoredFile]]) -> dict[str, list[str]]:
    """By the name of each side the columns that the plan makes of others and the files have by that name already."""
    found = {}
    for side, own in files.items():
        columns, made = shared_columns(own), {name for file in own for name in _made_in(file)}
        reader = plan.side(side)  # type: ignore[arg-type]
        found[side] = [name for name in made_by(reader) if name in columns and name not in made]
    return {side: names for side, names in found.items() if names}


def _made_in(file: StoredFile) -> set[str]:
    """The columns of a file that it is read with, but does not have itself."""
    return {*file.options_json.get("combined", {}), *((file.profile_json or {}).get("facts", {}).keys() & {AMOUNT})}


def pair_of(plan: AnyPlan, side: str) -> list[str]:
    """The columns of debits and of credits that the plan makes an amount of; none where it makes none of them."""
    reader = plan.side(side)  # type: ignore[arg-type]
    return [reader.debit, reader.credit] if reader.debit and reader.credit else []


def proposed(
    plan: AnyPlan, side: str, gone: Sequence[str], profiles: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """What probably takes the place of columns that are `gone`, by their names, of those that the plan does not read:
    one that is called nearly so, else the only one of the same type; for debits and credits two that are called so.
    `profiles`: of the columns that there are now.
    """
    free = [name for name in profiles if name not in columns_of(plan, side)]
    pair = pair_of(plan, side)
    found = dict(zip(pair, pair_called(free) or (), strict=False)) if set(pair) <= set(gone) else {}
    for column in (name for name in gone if name not in found):
        kinds: set[str] = {spec.type for spec in plan.fields if spec.columns.get(side) == column}  # type: ignore[call-overload]
        kinds |= set(_NUMBERS) if column in pair else set()
        same = [
            name
            for name in free
            if name not in found.values() and _of_type(str(profiles[name]["type"]), kinds or {"text"})
        ]
        near = get_close_matches(column, same, n=1)
        if near or len(same) == 1:
            found[column] = (near or same)[0]
    return found


def with_columns(plan: AnyPlan, replaced: Replaced) -> dict[str, Any]:
    """The plan's data, reading other columns instead of those that are gone."""
    data = plan.to_data()
    several = isinstance(plan, SidesPlan)
    left_out = set()
    for side, columns in replaced.items():
        instead = dict(columns)
        reader = _reader(data, side)
        for made, parts in reader.pop("combined", {}).items():
            now = [name for part in parts if (name := columns.get(part, part)) is not None]
            if len(now) > 1:
                reader.setdefault("combined", {})[made] = now
            else:
                instead[made] = None  # of one column nothing is made
        if pair := pair_of(plan, side):
            left = [name for part in pair if (name := columns.get(part, part)) is not None]
            if len(left) > 1:
                reader["debit"], reader["credit"] = left
            else:  # one column that has all amounts, or none
                del reader["debit"], reader["credit"]
                instead[AMOUNT] = left[0] if left else None
        for field in data["fields"]:
            own = field["columns"] if several else field
            if own.get(side) in instead:
                own[side] = instead[own[side]]
                left_out |= {field["name"]} if own[side] is None else set()
    data["fields"] = [field for field in data["fields"] if field["name"] not in left_out]
    data["compare"] = [name for name in data.get("compare", []) if name not in left_out]
    return data


def with_made(plan: AnyPlan, made: Mapping[str, Mapping[str, Sequence[str] | None]]) -> dict[str, Any]:
    """The plan's data, making columns of others by the name of each side, or no longer those of which it says None."""
    data = plan.to_data()
    for side, columns in made.items():
        reader = _reader(data, side)
        combined = {**reader.get("combined", {}), **columns}
        reader["combined"] = {name: list(parts) for name, parts in combined.items() if parts}
        if AMOUNT in columns and columns[AMOUNT] is None:
            reader.pop("debit", None)
            reader.pop("credit", None)
    return data


def _reader(data: dict[str, Any], side: str) -> dict[str, Any]:
    """How a plan reads a side."""
    reader: dict[str, Any] = (
        next(one for one in data["sides"] if one["name"] == side) if "sides" in data else data[side]
    )
    return reader


def _of_type(kind: str, kinds: set[str]) -> bool:
    return (
        kind in kinds or (kind in _NUMBERS and not kinds.isdisjoint(_NUMBERS)) or (kind, *kinds) == ("datetime", "date")
    )
