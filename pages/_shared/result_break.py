"""Breaks: filtered, paged, and one opened beside its nearest counterpart."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import Any

import streamlit as st

from pages._shared import side_by_side
from pages._shared.context import fragment, may, services
from pages._shared.messages import empty_state, explained
from pages._shared.tables import (
    PAGE_ROWS,
    amount_fields,
    as_text,
    first_page,
    order,
    orders,
    page_number,
    pager,
    part,
    table,
    whole_table,
)
from pages._shared.wizard import labels
from pages._shared.wording import CATEGORY_NAMES, literal
from recon_engine.nway.any_plan import AnyPlan
from services.database.models import Job
from services.permissions import Action, Actor

ALL = "all"


@fragment()
def show(person: Actor, job: Job, plan: AnyPlan) -> None:
    """Draw the section. What is pressed in it draws it alone."""
    with explained():
        _show(person, job, plan)


def _show(person: Actor, job: Job, plan: AnyPlan) -> None:
    names = labels(plan)
    filters, sort = _filters(job.summary_json or {}, plan, names)
    found = services().results.page(
        person, job.id, "breaks", page=page_number("breaks"), size=PAGE_ROWS, filters=filters, sort=sort
    )
    if not found.total:
        empty_state("No breaks here", "Every record of this selection is in a match.", ":material/task_alt:")
        return
    reasons = {str(row["reason"]) for row in found.rows}
    same = reasons.pop() if len(reasons) == 1 and len(found.rows) > 1 else None  # said once, it leaves room for fields
    told = f" Of all on this page: {literal(same)}." if same else ""
    st.caption(f"Select a row to see the record beside its nearest counterpart.{told}")
    rows = [
        {
            **row,
            "side_name": names[row["side"]],
            "category_name": CATEGORY_NAMES.get(row["category"], row["category"]),
            "reason": f"{row['reason'][:1].upper()}{row['reason'][1:]}",
        }
        for row in found.rows
    ]
    headings = {"side_name": "Side", "row": "Row", "category_name": "Category"} | ({} if same else {"reason": "Reason"})
    if "missing" in found.columns:
        headings = {"side_name": "Side", "row": "Row", "missing_names": "Missing", **headings}
        for row in rows:
            row["missing_names"] = ", ".join(names[side] for side in (row["missing"] or "").split(", ") if side)
    headings |= {spec.name: spec.name for spec in plan.fields if spec.name in found.columns}
    chosen = table(rows, headings, "breaks-table", selectable=True, amounts=amount_fields(plan))
    whole = partial(whole_table, job, "breaks", filters, sort) if may(person, Action.RESULT_DOWNLOAD) else None
    pager("breaks", found.total, ("break", "breaks"), whole)
    if chosen is not None:
        _detail(person, job, plan, rows[chosen])


def _filters(summary: Mapping[str, Any], plan: AnyPlan, names: Mapping[str, str]) -> tuple[dict[str, Any], str | None]:
    """What is chosen above the table, and the order."""
    breaks = [name for name, number in summary["breaks"].items() if number]
    with st.container(horizontal=True):
        side = part("breaks", "side", "Both sides" if len(names) == 2 else "All sides", names)
        missing = part("breaks", "missing", "Any", names) if len(names) > 2 else None
        kinds = {name: CATEGORY_NAMES.get(name, name) for name in breaks}
        category = part("breaks", "category", "All", kinds) if len(kinds) > 1 else None
        sort = order("breaks", orders(plan))
        cause = _cause(summary)
    chosen = {"side": side, "category": category, "cause": cause, "missing": _with(missing, names)}
    return {name: value for name, value in chosen.items() if value}, sort


def _with(side: str | None, names: Mapping[str, str]) -> list[str] | None:
    """Every list of missing sides that has this one in it, as results write it."""
    if side is None:
        return None
    others = sorted(set(names) - {side})
    every = (several for number in range(len(others) + 1) for several in combinations(others, number))
    return [", ".join(sorted((side, *several))) for several in every]


def _cause(summary: Mapping[str, Any]) -> str | None:
    """The cause whose breaks are shown, when the run found any."""
    found = list(dict.fromkeys(cause["cause"] for cause in summary.get("causes", [])))
    if not found:
        return None
    chosen: str | None = st.selectbox(
        "Cause",
        [ALL, *found],
        key="breaks-cause",
        bind="query-params",
        on_change=first_page,
        args=("breaks",),
        format_func=lambda one: "Any or none" if one == ALL else one,
        width=400,
    )
    return None if chosen == ALL else chosen


def _detail(person: Actor, job: Job, plan: AnyPlan, row: Mapping[str, Any]) -> None:
    detail = services().results.break_detail(person, job.id, row["side"], row["row"], row["source"])
    names = labels(plan)
    other = names[row.get("nearest_side") or next(side for side in names if side != row["side"])]
    nearest = detail["nearest"]
    with st.container(border=True, key="break-detail"):
        st.markdown(f"**{row['side_name']} row {row['row']}** · {row['category_name']}")
        st.markdown(literal(f"{row['reason']}."))
        if row.get("cause"):
            st.caption(f"Smallest change that would match it: {literal(row['cause'])}.")
        if nearest is not None:
            fields = [(line["field"], line["record"], line["nearest"]) for line in detail["fields"]]
            notes = {line["field"]: "differs" for line in detail["fields"] if line["same"] is False}
            titles = (f"{row['side_name']} row {row['row']}", f"{other} row {nearest['row']} (nearest)")
            side_by_side.show(fields, titles, notes, amount_fields(plan))
            return
        lines = [{"field": line["field"], "record": as_text(line["record"])} for line in detail["fields"]]
        table(lines, {"field": "Field", "record": f"{row['side_name']} row {row['row']}"}, "break-detail-table")
