"""One plan over its runs: the share matched as a line, and what became of its breaks since the run before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages._shared import charts, wording
from pages._shared.context import services
from pages._shared.tables import amount_fields, table
from pages._shared.wizard import labels
from recon_engine.nway.any_plan import AnyPlan, build_plan
from services.database.models import Job
from services.permissions import Actor

_SHOWN = "shown-breaks"


def show(person: Actor, finished: Sequence[Job]) -> None:
    """The history of the plan that is chosen, at first of the one that ran last; `finished` has the newest first."""
    runs: dict[str, list[Job]] = {}
    for job in finished:
        runs.setdefault(str(job.plan_json["name"]), []).append(job)
    several = [name for name, jobs in runs.items() if len(jobs) > 1]
    if not several:
        return
    with st.container(border=True, key="history"):
        if len(several) > 1:
            name = st.selectbox("Plan", several, key="plan", bind="query-params", width=360)
        else:
            name = several[0]
        jobs = runs[name or several[0]]
        left, right = st.columns([1.2, 1], gap="large")
        with left:
            st.markdown(f"**Share of rows matched** :gray[{wording.literal(name or several[0])}, by run]")
            st.plotly_chart(charts.trend(jobs), config=charts.CONFIG, key="trend")
        found = services().results.since(person, jobs[0].id)
        if found is not None:
            with right:
                _changes(found, jobs[0])
            shown = st.session_state.get(_SHOWN)
            if shown and found.get(shown):
                _rows(found, shown, build_plan(jobs[0].plan_json))


def _changes(found: dict[str, Any], job: Job) -> None:
    st.markdown(f"**Breaks since the run of {wording.moment(found['finished_at'])}**")
    if "new" not in found:
        st.caption("There are too many breaks to compare them here one by one.")
        st.page_link("results.py", label="Latest result", icon=":material/fact_check:", query_params={"job": job.id})
        return
    with st.container(horizontal=True, gap="small"):
        for kind, label in (("new", "New"), ("gone", "Gone"), ("still", "Still open")):
            st.metric(label, wording.number(found[kind]), border=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("results.py", label="Latest result", icon=":material/fact_check:", query_params={"job": job.id})
        if found["new"] and st.button("Show new", key="new-breaks", type="tertiary", icon=":material/add_circle:"):
            st.session_state[_SHOWN] = "new"
        if found["gone"] and st.button("Show gone", key="gone-breaks", type="tertiary", icon=":material/task_alt:"):
            st.session_state[_SHOWN] = "gone"


def _rows(found: dict[str, Any], kind: str, plan: AnyPlan) -> None:
    rows, names = found[f"{kind}_rows"], labels(plan)
    values = {spec.name: spec.name for spec in plan.fields if spec.name in rows[0]}
    headings = {"side": "Side", "row": "Row", "category": "Category", "reason": "Reason"} | values
    lines = [
        {**row, "side": names[row["side"]], "category": wording.CATEGORY_NAMES.get(row["category"], row["category"])}
        for row in rows
    ]
    of = "" if len(rows) == found[kind] else f", the first {len(rows)} of {wording.number(found[kind])}"
    when = "in the latest run" if kind == "new" else "in the run before"
    st.caption(f"{kind.capitalize()} breaks{of}; rows as they were numbered {when}.")
    table(lines, headings, "changed-breaks", amounts=amount_fields(plan))
