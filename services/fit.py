"""Whether files fit: one file of a side to the others, and today's files to those that a saved plan was made for.

Everything here is judged on profiles: no file is read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any, Literal

from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import SidesField
from recon_engine.plan import SIDES, FieldSpec, Plan, ReaderOptions, SidedFormat, SideName
from recon_engine.reading.two_columns import AMOUNT
from services.database.models import StoredFile
from services.formats import amount, count, number

_NAMED = 4  # columns listed by name in one sentence
_FAR = 3  # times as much, or as little: worth a look
Seen = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that is not as it was when the plan was saved. `stops`: the plan cannot run, or reads wrongly."""

    side: SideName
    kind: Literal["columns", "formats", "values", "totals"]
    sentence: str
    stops: bool = False


@dataclass(frozen=True, slots=True)
class OpenDates:
    """Dates that can be read in more than one order, which neither the values nor the plan decide; `column`: as the
    first file that leaves it open has it.
    """

    side: str
    field: str
    name: str
    column: dict[str, Any]


def misfits(files: Sequence[StoredFile]) -> list[str]:
    """What keeps the files of one side from being read as one, in a sentence each."""
    known = [file for file in files if file.profile_json]
    told = []
    for other in known[1:]:
        base = known[0]
        one, two = _columns([base]), _columns([other])
        lacks, extra = [c for c in one if c not in two], [c for c in two if c not in one]
        if lacks or extra:
            parts = [f"lacks {_listed(lacks)}" if lacks else "", f"has {_listed(extra)}" if extra else ""]
            told.append(
                f"{other.name} has other columns than {base.name}: it {' and '.join(filter(None, parts))}. "
                "Only columns that all files of a side have can be mapped."
            )
        told += [
            f"Column '{name}' of {other.name} {change[1]}; in {base.name} it {change[0]}."
            for name in one
            if name in two and (change := _reading_change(one[name], two[name]))
        ]
    return told


def shared_columns(files: Sequence[StoredFile]) -> dict[str, dict[str, Any]]:
    """The profiles of the columns that every file of a side has, as the first file has them, in its order."""
    return {name: profiles[0] for name, profiles in _profiles(files).items()}


def open_dates(plan: AnyPlan, files: Mapping[str, Sequence[StoredFile]]) -> list[OpenDates]:
    """What must be said of dates before the plan can run on these files, by the names of its sides."""
    every = {side: _profiles(own) for side, own in files.items()}
    found = []
    for spec in plan.fields:
        for side, name in spec.columns.items() if spec.type in ("date", "datetime") else ():
            undecided = (c for c in every[side].get(name, []) if c.get("undecided") and len(c["date_formats"]) > 1)
            if _format(spec, side) is None and (column := next(undecided, None)):
                found.append(OpenDates(side, spec.name, name, column))
    return found


def _format(spec: FieldSpec | SidesField, side: str) -> str | None:
    """How the plan says that the dates of a side are written."""
    if isinstance(spec.formats, SidedFormat):
        return spec.formats.left if side == "left" else spec.formats.right
    return spec.formats if isinstance(spec.formats, str) else spec.formats.get(side)


def seen_in(files: Mapping[SideName, Sequence[StoredFile]]) -> Seen:
    """What is worth remembering of the files of both sides: what `drift` compares with later ones."""
    return {
        side: {"rows": _rows(files[side]), "columns": _columns(files[side])}
        for side in SIDES
        if files[side] and all(file.profile_json for file in files[side])
    }


def drift(plan: Plan, seen: Seen, files: Mapping[SideName, Sequence[StoredFile]]) -> list[Drift]:
    """How the files differ from those that the plan was saved with; what stops the plan comes first."""
    found = []
    now = seen_in(files)
    for side in SIDES:
        if side in now and side in seen:
            found += _side_drift(plan, side, seen[side], now[side])
        elif side in now:
            found += _missing(plan, side, now[side]["columns"])
    return sorted(found, key=lambda one: not one.stops)


def _side_drift(plan: Plan, side: SideName, then: Seen, now: Seen) -> list[Drift]:
    before, after = then["columns"], now["columns"]
    mapped = {spec.column(side) for spec in plan.fields}
    found = _missing(plan, side, after)
    new = [name for name in after if name not in before]
    if new:
        found.append(Drift(side, "columns", f"New {_plural('column', new)} {_listed(new)}."))
    for name in after:
        if name in before and (change := _reading_change(before[name], after[name])):
            sentence = f"'{name}' {change[1]}; before, it {change[0]}."
            found.append(Drift(side, "formats", sentence, stops=name in mapped))
        elif name in before and name in mapped:
            found += _value_drift(side, name, before[name], after[name])
    if _far(then["rows"], now["rows"]):
        found.append(Drift(side, "totals", f"{count(now['rows'], 'row')}; there were {number(then['rows'])}."))
    return found


def made_by(reader: ReaderOptions) -> dict[str, tuple[str, ...]]:
    """The columns that a plan makes of several of a side: of debits and credits an amount, of others what it says."""
    amount = {AMOUNT: (reader.debit, reader.credit)} if reader.debit and reader.credit else {}
    return {**amount, **reader.combined}


def made_columns(reader: ReaderOptions, columns: Collection[str]) -> list[str]:
    """The columns that a plan makes of several of a side's `columns`, as far as these are there."""
    return [name for name, parts in made_by(reader).items() if all(part in columns for part in parts)]


def columns_read(reader: ReaderOptions, mapped: Iterable[str]) -> list[str]:
    """What a side's files must have: the columns that are `mapped`, and those that others are made of."""
    made = made_by(reader)
    return list(dict.fromkeys(name for name in (*mapped, *chain(*made.values())) if name not in made))


def _missing(plan: Plan, side: SideName, columns: Seen) -> list[Drift]:
    wanted = columns_read(plan.side(side), [spec.column(side) for spec in plan.fields])
    gone = [name for name in wanted if name not in columns]
    sentence = f"The plan reads {_plural('column', gone)} {_listed(gone)}, which the file does not have."
    return [Drift(side, "columns", sentence, stops=True)] if gone else []


def _value_drift(side: SideName, name: str, before: Seen, after: Seen) -> list[Drift]:
    """Empty cells where there were none, values that are no longer unique, a total of another size."""
    found = []
    if after["nulls"] and not before["nulls"]:
        found.append(Drift(side, "values", f"'{name}' has {count(after['nulls'], 'empty cell')}; it had none."))
    if before["unique"] and not after["unique"]:
        found.append(Drift(side, "values", f"'{name}' has values that occur twice; every value was unique."))
    one, two = before.get("total"), after.get("total")
    if one is not None and two is not None and _far(Decimal(one), Decimal(two)):
        found.append(Drift(side, "totals", f"'{name}' adds up to {amount(two)}; it was {amount(one)}."))
    return found


def _reading_change(before: Seen, after: Seen) -> tuple[str, str] | None:
    """How a column is read before and after, when that is not the same."""
    one, two = _how(before), _how(after)
    empty = not before["filled"] or not after["filled"]
    compatible = {before["type"], after["type"]} <= {"integer", "decimal"} and before["marks"] == after["marks"]
    either = set(before["formats"]) & set(after["formats"])
    return None if one == two or empty or either or compatible else (f"is read as {one}", f"is read as {two}")


def _how(column: Seen) -> str:
    forms = " or ".join(column["formats"])
    if forms:
        return f"{column['type']} {forms}"
    return f"{column['type']} with a decimal comma" if column["marks"] == [","] else str(column["type"])


def _columns(files: Sequence[StoredFile]) -> dict[str, Seen]:
    """The columns that all files have, with what is compared of them; of several files in one."""
    told = {}
    for name, found in _profiles(files).items():
        totals = [Decimal(c["total"]) for c in found if c.get("total") is not None]
        told[name] = {
            "type": found[0]["type"],
            "formats": list(found[0]["date_formats"]),
            "marks": [m for m in found[0]["decimal_marks"] if m == ","],
            "nulls": sum(int(c["nulls"]) for c in found),
            "unique": all(c["unique"] for c in found),
            "filled": any(c["distinct"] for c in found),
            "total": str(sum(totals)) if totals else None,
        }
    return told


def _profiles(files: Sequence[StoredFile]) -> dict[str, list[dict[str, Any]]]:
    """Each file's profile of every column that all of them have; nothing while one has no profile."""
    if not files or not all(file.profile_json for file in files):
        return {}
    every = [{str(c["name"]): c for c in (file.profile_json or {})["columns"]} for file in files]
    return {name: [one[name] for one in every] for name in every[0] if all(name in one for one in every)}


def _rows(files: Sequence[StoredFile]) -> int:
    return sum(int((file.profile_json or {})["rows"]) for file in files)


def _far(one: Decimal | int, two: Decimal | int) -> bool:
    """True when one is many times the other, or has another sign."""
    if not one or not two:
        return one != two
    sizes = abs(Decimal(one)), abs(Decimal(two))
    return (one < 0) != (two < 0) or max(sizes) >= min(sizes) * _FAR


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _plural(word: str, things: Sequence[str]) -> str:
    return word if len(things) == 1 else f"{word}s"
