"""The editable table of fields of a plan of several sides: a column for each side, and the way back to plan data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages._shared.mapping import NAME, SCALE_HELP, TYPES, Row, fitting, given, row_id
from recon_engine.nway.plan import SidesField, SidesPlan
from recon_engine.plan_changes import with_renamed_fields

LONG = 30  # characters of a heading that is cut: the tip tells all of it
COLUMN = "column-"
"""Before the name of a side: its column in the table."""


def rows_of(plan: SidesPlan, suggested: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row per field, and how sure the suggestion was that it came from."""
    return [
        {
            "id": number,
            "name": spec.name,
            **{f"{COLUMN}{side}": spec.columns.get(side) for side in plan.labels},
            "type": spec.type,
            "scale": spec.scale,
            "compare": spec.name in plan.compare,
            "confidence": suggested.get(spec.name, {}).get("confidence"),
        }
        for number, spec in enumerate(plan.fields)
    ]


def editor(
    base: list[Row], plan: SidesPlan, columns: Mapping[str, Sequence[str]], key: str, disabled: bool
) -> list[Row]:
    """The table itself; returns the rows as edited. `columns`: by side, those of its files."""
    column = st.column_config
    of_sides = {
        f"{COLUMN}{side}": column.SelectboxColumn(
            label, options=list(columns[side]), width=fitting(label, 130), help=label if len(label) > LONG else None
        )
        for side, label in plan.labels.items()
    }
    own = max((fitting(str(row["name"]), 115, editable=False) for row in base), default=115)
    edited: list[Row] = st.data_editor(
        base,
        column_order=["name", *of_sides, "type", "confidence", "compare", "scale"],
        key=key,
        num_rows="fixed" if disabled else "dynamic",
        hide_index=True,
        disabled=disabled or ["confidence"],
        placeholder="",
        column_config={
            "name": column.TextColumn("Field", required=True, pinned=True, width=own, help="The common name"),
            **of_sides,
            "type": column.SelectboxColumn("Type", options=TYPES, required=True, default="text", width=80),
            "confidence": column.ProgressColumn("Confidence", min_value=0, max_value=1, format="percent", width=90),
            "compare": column.CheckboxColumn(
                "Compare", width=fitting("Compare", 80), help="List where its values differ inside a match"
            ),
            "scale": column.NumberColumn("Digits", min_value=0, max_value=18, step=1, width=90, help=SCALE_HELP),
        },
    )
    return edited


def mistake(edited: Sequence[Row]) -> str | None:
    """What still keeps the table from being saved, in one sentence; None when nothing does."""
    for number, row in enumerate(edited, start=1):
        name = row["name"] if given(row["name"]) else ""
        if not NAME.fullmatch(str(name)):
            return f"Line {number} needs a field name: letters, digits and _, starting with a letter."
        if not any(given(value) for key, value in row.items() if key.startswith(COLUMN)):
            return f"'{name}' needs a column on a side."
    return None if edited else "A plan needs at least one field."


def applied(plan: SidesPlan, edited: Sequence[Row], before: Mapping[int, str]) -> dict[str, Any]:
    """The plan's data with the edited fields; a renamed field is renamed in rules, compare and currency too.

    `before` holds the saved name of each row, by its id. What the table has no cell for stays where it applies.
    """
    data = plan.to_data()
    kept = {spec.name: (spec, plain) for spec, plain in zip(plan.fields, data["fields"], strict=True)}
    renamed = {before[row_id(row)]: str(row["name"]) for row in edited if row_id(row) in before}
    data["fields"] = [_field(row, kept.get(before.get(row_id(row), ""))) for row in edited]
    ticked = [str(row["name"]) for row in edited if given(row["compare"])]
    compared = [renamed.get(name, name) for name in plan.compare]
    data["compare"] = [name for name in dict.fromkeys((*compared, *ticked)) if name in ticked]
    for rule in [*data["rules"], *data.get("duplicates", {}).values()]:
        rule.update(with_renamed_fields(rule, renamed))
    if data.get("currency"):
        data["currency"] = {"field": renamed.get(data["currency"]["field"], data["currency"]["field"])}
    return data


def _field(row: Row, kept: tuple[SidesField, dict[str, Any]] | None) -> dict[str, Any]:
    columns = {
        key.removeprefix(COLUMN): str(value) for key, value in row.items() if key.startswith(COLUMN) and given(value)
    }
    data: dict[str, Any] = {"name": str(row["name"]), "columns": columns, "type": str(row["type"])}
    if given(row["scale"]) and data["type"] == "decimal":
        data["scale"] = int(row["scale"])
    if kept is not None and kept[0].type == data["type"]:
        for part in ("formats", "clean"):
            said = kept[1].get(part)
            said = {side: one for side, one in said.items() if side in columns} if isinstance(said, dict) else said
            data |= {part: said} if said else {}
    return data
