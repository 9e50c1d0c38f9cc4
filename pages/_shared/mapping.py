"""The editable table of fields: rows as the editor shows them, and the way back to plain plan data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any, get_args
from unicodedata import east_asian_width

import streamlit as st

from pages._shared.wording import literal
from recon_engine.plan import SIDES, CleanName, CleanStep, FieldSpec, FieldType, MapStep, Plan, SideName
from recon_engine.plan_changes import with_renamed_fields

TYPES = list(get_args(FieldType))
CLEAN_STEPS = list(get_args(CleanName))
VALUES_PIXELS, MOST_CHOSEN = 160, 150
MOST_PIXELS = 260  # of a column that is as wide as its heading
# The rows carry an id, not shown, that tells which saved field a row was; a new row has none.
SHOWN = ["name", "left", "left_values", "right", "right_values", "type", "compare"]
STEPS = ["left_clean", "right_clean"]
READING = [*STEPS, "left_format", "right_format", "scale"]
EDITABLE = ["name", "left", "right", "type", "scale", "left_format", "right_format", *STEPS]
Row = dict[str, Any]
LONGEST_HEAD = 8  # with the word after it, and the sign of a column that can be edited
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
SCALE_HELP = "Digits after the decimal mark"
NUMBERED_STEP = re.compile(r"(first|last|times) ([0-9]{1,7})")
CLEAN_HELP = (
    "Done before values are compared: trim drops space at both ends, casefold makes A and a equal; "
    "type first 8 or last 8 for so many characters, times 100 for a factor"
)
FORMAT_HELP = "%d/%m/%Y reads 31/12/2026, %m/%d/%Y reads 12/31/2026. Empty: ISO, or decided by the data"


def rows_of(
    plan: Plan,
    suggested: Mapping[str, Mapping[str, Any]],
    samples: Mapping[tuple[str, str], str] | None = None,
) -> list[Row]:
    """One row per field of the plan, with a few values of both files, and how sure the suggestion was it came from."""
    return [
        {
            "id": number,
            **_row(spec, spec.name in plan.compare, suggested.get(spec.name, {})),
            "left_values": (samples or {}).get(("left", spec.left), ""),
            "right_values": (samples or {}).get(("right", spec.right), ""),
        }
        for number, spec in enumerate(plan.fields)
    ]


def _row(spec: FieldSpec, compared: bool, suggestion: Mapping[str, Any]) -> Row:
    return {
        "name": spec.name,
        "left": spec.left,
        "right": spec.right,
        "type": spec.type,
        "scale": spec.scale,
        "left_format": spec.formats.left,
        "right_format": spec.formats.right,
        "left_clean": [told for step in spec.clean.left if (told := _worded(step))],
        "right_clean": [told for step in spec.clean.right if (told := _worded(step))],
        "compare": compared,
        "confidence": suggestion.get("confidence"),
    }


def _worded(step: CleanStep) -> str | None:
    """A clean step as a cell shows it: trim, last 8, times 100; None for a lookup table, which no cell can hold."""
    if isinstance(step, str):
        return step
    return None if isinstance(step, MapStep) else " ".join(f"{key} {value}" for key, value in step.model_dump().items())


def _meant(text: str) -> str | dict[str, int]:
    """The step of a plan that such words stand for; what they do not mean is left to the plan to refuse."""
    numbered = NUMBERED_STEP.fullmatch(text.strip())
    return {numbered[1]: int(numbered[2])} if numbered else text.strip()


def fitting(text: str, least: int, editable: bool = True) -> int:
    """The pixels of a column that shows all of this heading, or of this name in a cell; a sign stands before the
    headings of columns that can be edited. A very long one is cut: it must not push the others out of sight.
    """
    wide = sum(2 if east_asian_width(one) in "WF" else 1 for one in text)
    return min(max(least, 7 * wide + (42 if editable else 22)), MOST_PIXELS)


def editor(
    base: list[Row],
    columns: tuple[Sequence[str], Sequence[str]],
    names: Mapping[str, str],
    key: str,
    disabled: bool,
    reading: bool,
) -> list[Row]:
    """The table itself; returns the rows as edited. `columns` are those of the left and of the right file; `reading`:
    with the columns that say how values are read, for which a desk has no room.
    """
    column = st.column_config
    left, right = columns
    names = heads(names)
    wide = {side: _for_chosen(names[side], base, side) for side in SIDES}
    own = max((fitting(str(row["name"]), 115, False) for row in base), default=115)
    values, clean, dates = (
        {side: form.format(names[side]) for side in SIDES} for form in ("{} values", "Clean {}", "{} dates")
    )
    suggested = any(row["confidence"] is not None for row in base)  # a plan that was saved has nothing to say of it
    shown = (step for row in base for cell in STEPS for step in _steps(row.get(cell)))
    steps = list(dict.fromkeys([*CLEAN_STEPS, *shown]))
    edited: list[Row] = st.data_editor(
        base,
        column_order=[
            *SHOWN,
            *(["confidence"] if suggested else []),
            *(READING if reading else []),
        ],
        key=key,
        num_rows="fixed" if disabled else "dynamic",
        hide_index=True,
        disabled=disabled or ["confidence", "left_values", "right_values"],
        placeholder="",
        column_config={
            "name": column.TextColumn("Field", required=True, pinned=True, width=own, help="The common name"),
            "left": column.SelectboxColumn(names["left"], options=list(left), required=True, width=wide["left"]),
            "right": column.SelectboxColumn(names["right"], options=list(right), required=True, width=wide["right"]),
            "left_values": column.TextColumn(values["left"], width=fitting(values["left"], VALUES_PIXELS, False)),
            "right_values": column.TextColumn(values["right"], width=fitting(values["right"], VALUES_PIXELS, False)),
            "type": column.SelectboxColumn("Type", options=TYPES, required=True, default="text", width=80),
            "confidence": column.ProgressColumn("Confidence", min_value=0, max_value=1, format="percent", width=90),
            "compare": column.CheckboxColumn(
                "Compare", width=fitting("Compare", 80), help="List where its values differ inside a match"
            ),
            "left_clean": column.MultiselectColumn(
                clean["left"],
                options=steps,
                accept_new_options=True,
                width=_for_chips(clean["left"], base, "left_clean"),
                help=CLEAN_HELP,
            ),
            "right_clean": column.MultiselectColumn(
                clean["right"],
                options=steps,
                accept_new_options=True,
                width=_for_chips(clean["right"], base, "right_clean"),
                help=CLEAN_HELP,
            ),
            "left_format": column.TextColumn(dates["left"], width=fitting(dates["left"], 130), help=FORMAT_HELP),
            "right_format": column.TextColumn(dates["right"], width=fitting(dates["right"], 130), help=FORMAT_HELP),
            "scale": column.NumberColumn("Digits", min_value=0, max_value=18, step=1, width=90, help=SCALE_HELP),
        },
    )
    return edited


def read_specially(plan: Plan) -> int:
    """How many fields say more of how they are read than their type."""
    rows = (_row(spec, compared=False, suggestion={}) for spec in plan.fields)
    return sum(any(given(row[name]) and row[name] != [] for name in READING) for row in rows)


def _for_chips(head: str, base: list[Row], cell: str) -> int:
    """The pixels of a column that shows its heading and each row's steps side by side, up to a limit."""
    chips = (sum(8 * len(step) + 26 for step in _steps(row.get(cell))) for row in base)
    return min(MOST_PIXELS, max(fitting(head, 110), *chips, 0))


def _for_chosen(head: str, base: list[Row], cell: str) -> int:
    """The pixels of a column in which one is chosen for each field: long names are seen as far as there is room."""
    longest = max((fitting(str(row[cell]), 0, False) for row in base), default=0)
    return max(fitting(head, 115), min(longest, MOST_CHOSEN))


def heads(names: Mapping[str, str]) -> dict[str, str]:
    """What the sides are called at the head of a narrow column: by their names, where both fit."""
    fit = all(len(name) <= LONGEST_HEAD for name in names.values())
    return {side: names[side] if fit else side.capitalize() for side in SIDES}


def applied(plan: Plan, edited: Sequence[Row], before: Mapping[int, str]) -> dict[str, Any]:
    """The plan's data with the edited fields; a renamed field is renamed in rules, compare and currency too.

    `before` holds the saved name of each row, by its id.
    """
    data = plan.to_data()
    kept = {spec.name: (spec, plain) for spec, plain in zip(plan.fields, data["fields"], strict=True)}
    named = {number: str(row["name"]) for row in edited if (number := row_id(row)) in before and given(row["name"])}
    renamed = {before[number]: name for number, name in named.items()}
    data["fields"] = [_field(row, kept.get(before.get(row_id(row), ""))) for row in edited]
    ticked = [str(row["name"]) for row in edited if given(row["compare"])]
    compared = [renamed.get(name, name) for name in plan.compare]
    data["compare"] = [name for name in dict.fromkeys((*compared, *ticked)) if name in ticked]
    for rule in [*data["rules"], *data.get("duplicates", {}).values()]:
        rule.update(with_renamed_fields(rule, renamed))
    if data.get("currency"):
        data["currency"] = {"field": renamed.get(data["currency"]["field"], data["currency"]["field"])}
    return data


def mistake(edited: Sequence[Row]) -> str | None:
    """What still keeps the table from being saved, in one sentence; None when nothing does."""
    for number, row in enumerate(edited, start=1):
        name = row["name"] if given(row["name"]) else ""
        if not name:
            return f"Line {number} has no field name yet."
        if not NAME.fullmatch(str(name)):
            return f"'{name}' cannot be a field name: use letters, digits and _, starting with a letter."
        if not (given(row["left"]) and given(row["right"])):
            return f"'{name}' needs a column on both sides."
    return None if edited else "A plan needs at least one field."


def cell_names(names: Mapping[str, str]) -> dict[str, str]:
    """What a part of a field is called in the table, by its place in the plan."""
    told = {"name": "Field", "type": "Type", "scale": "Digits"}
    for side in SIDES:
        told |= {side: names[side], f"clean.{side}": f"Clean {names[side]}", f"formats.{side}": f"{names[side]} dates"}
    return told


def what_changed(before: Mapping[int, str], edited: Sequence[Row]) -> str:
    """What editing did, in a sentence: which fields are gone. `before` holds the saved name of each row, by its id."""
    kept = set(map(row_id, edited))
    gone = [f"'{literal(name)}'" for number, name in before.items() if number not in kept]
    if not gone:
        return "The change is saved."
    return f"{'Field' if len(gone) == 1 else 'Fields'} {', '.join(gone)} removed."


def row_id(row: Row) -> int:
    """The id of a row of the table; -1 for a row added in it."""
    return int(row["id"]) if given(row.get("id")) else -1


def _field(row: Row, kept: tuple[FieldSpec, dict[str, Any]] | None) -> dict[str, Any]:
    """The field that a row describes; one whose cells are untouched stays as the plan has it, to the last detail."""
    if kept is not None:
        cells = {name: row[name] for name in EDITABLE}
        if _plain(cells) == _plain(_row(kept[0], compared=False, suggestion={})):
            return kept[1]
    return _spec(row, kept[0] if kept else None)


def _plain(row: Row) -> Row:
    """The cells that say how a field is read, empty ones alike however the editor writes them."""
    return {name: (list(row[name]) if name in STEPS else row[name]) if given(row[name]) else None for name in EDITABLE}


def _spec(row: Row, kept: FieldSpec | None) -> dict[str, Any]:
    spec = {name: str(row[name]) if given(row[name]) else "" for name in ("name", "left", "right", "type")}
    data: dict[str, Any] = dict(spec)
    if given(row["scale"]) and spec["type"] == "decimal":
        data["scale"] = int(row["scale"])
    if spec["type"] in ("date", "datetime"):
        formats = {side: row[f"{side}_format"] for side in SIDES}
        data["formats"] = {side: str(text).strip() for side, text in formats.items() if given(text)}
    data["clean"] = {side: _clean(row[f"{side}_clean"], kept, side, spec["type"]) for side in SIDES}
    return data


def _clean(cell: Any, kept: FieldSpec | None, side: SideName, kind: str) -> list[Any]:
    """The chosen steps. A lookup table of the plan, for which the editor has no cell, stays where it was, as long as it
    fits the field's type.
    """
    chosen = [_meant(step) for step in _steps(cell)]
    if kept is None or kept.type != kind:
        return chosen
    before = kept.clean.left if side == "left" else kept.clean.right
    steps: list[Any] = [s if isinstance(s, str) else s.model_dump() for s in before]
    stay = [plain for plain, step in zip(steps, before, strict=True) if isinstance(step, MapStep) or plain in chosen]
    return [*stay, *(s for s in chosen if s not in stay)]


def _steps(cell: Any) -> list[str]:
    return [str(step) for step in cell] if isinstance(cell, list | tuple) else []


def given(value: Any) -> bool:
    """An empty cell of the editor is None, NaN, an empty text or an unticked box."""
    return not (value is None or value is False or value == "" or (isinstance(value, float) and isnan(value)))
