"""Breaks: filtered, paged, and one opened beside its nearest counterpart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared.context import may, services
from pages._shared.messages import empty_state
from pages._shared.tables import PAGE_ROWS, amount_fields, as_text, page_number, pager, table
from pages._shared.wizard import labels
from pages._shared.wording import CATEGORY_NAMES
from recon_engine.plan import SIDES, Plan
from services.database.models import Job
from services.permissions import Action, Actor

ALL = "all"


def show(person: Actor, job: Job, plan: Plan) -> None:
    """Draw the section."""
    names = labels(plan)
    filters = _filters(job.summary_json or {}, names)
    found = services().results.page(
        person, job.id, "breaks", page=page_number("breaks"), size=PAGE_ROWS, filters=filters
    )
    if not found.total:
        empty_state("No breaks here", "Every record of this selection is in a match.", ":material/task_alt:")
        return
    st.caption("Select a row to see the record beside its nearest counterpart.")
    rows = [
        {**row, "side_name": names[row["side"]], "category_name": CATEGORY_NAMES.get(row["category"], row["category"])}
        for row in found.rows
    ]
    headings = {"side_name": "Side", "row": "Row", "category_name": "Category", "reason": "Reason"}
    headings |= {spec.name: spec.name for spec in plan.fields if spec.name in found.columns}
    chosen = table(rows, headings, "breaks-table", selectable=True, amounts=amount_fields(plan))
    whole = (
        f"/api/reconciliation/jobs/{job.id}/results/breaks?format=csv" if may(person, Action.RESULT_DOWNLOAD) else ""
    )
    pager("breaks", found.total, ("break", "breaks"), whole)
    if chosen is not None:
        _detail(person, job, plan, rows[chosen])


def _filters(summary: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    breaks = {name: number for name, number in summary["breaks"].items() if number}
    with st.container(horizontal=True):
        side = st.segmented_control(
            "Side",
            [ALL, *SIDES],
            default=ALL,
            required=True,
            key="breaks-side",
            on_change=_first_page,
            format_func=lambda one: "Both sides" if one == ALL else names[one],
        )
        category = st.segmented_control(
            "Category",
            [ALL, *breaks],
            default=ALL,
            required=True,
            key="breaks-category",
            on_change=_first_page,
            format_func=lambda one: "All" if one == ALL else f"{CATEGORY_NAMES.get(one, one)} {breaks[one]:,}",
        )
    chosen = {"side": side, "category": category}
    return {name: value for name, value in chosen.items() if value and value != ALL}


def _first_page() -> None:
    st.session_state.pop("breaks-page", None)


def _detail(person: Actor, job: Job, plan: Plan, row: Mapping[str, Any]) -> None:
    detail = services().results.break_detail(person, job.id, row["side"], row["row"], row["source"])
    names = labels(plan)
    other = names["right" if row["side"] == "left" else "left"]
    nearest = detail["nearest"]
    with st.container(border=True, key="break-detail"):
        st.markdown(f"**{row['side_name']} row {row['row']}** · {row['category_name']}")
        st.markdown(str(row["reason"]))
        headings = {"field": "Field", "record": f"{row['side_name']} row {row['row']}"}
        if nearest is None:
            st.caption(f"No record of {other} is near it.")
        else:
            headings |= {"nearest": f"{other} row {nearest['row']} (nearest)", "differs": ""}
        lines = [
            {
                "field": line["field"],
                "record": as_text(line["record"]),
                "nearest": as_text(line["nearest"]),
                "differs": "differs" if line["same"] is False else "",
            }
            for line in detail["fields"]
        ]
        table(lines, headings, "break-detail-table")
