"""What would make the breaks match: the causes, those that explain most first, each with what its change would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared import chart_clicks, charts, wording
from pages._shared.context import may, services
from pages._shared.messages import explained, notice
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.plan import Plan
from services.database.models import Job
from services.permissions import Action, Actor

FIRST = 6


def show(person: Actor, job: Job, plan: AnyPlan) -> None:
    """The chart and the list; nothing at all when the run found no cause."""
    found = (job.summary_json or {}).get("causes", [])
    if not found:
        return
    with st.container(border=True, key="causes"):
        st.markdown("**What would make breaks match**")
        st.caption(
            (
                "Each change was tried on the whole file. "
                if isinstance(plan, Plan)
                else "Each change was tried on all records of its two sides; what it would add are links between them. "
            )
            + "Taking one changes the plan only; you decide when to run."
        )
        chart, rows = st.columns([1, 3.2], gap="medium") if len(found) > 1 else (None, st.container())
        if chart is not None:  # one bar alone compares nothing
            bars = [("Breaks", {"cause": (cause["cause"], cause["cause"])}) for cause in found[:FIRST]]
            with chart:
                chart_clicks.clickable(charts.causes(found[:FIRST]), "causes-chart", [bars])
        with rows:
            for place, cause in enumerate(found[:FIRST], start=1):
                _cause(person, job, plan, place, cause)
        if len(found) > FIRST:
            with st.expander(wording.count(len(found) - FIRST, "smaller cause")):
                for place, cause in enumerate(found[FIRST:], start=FIRST + 1):
                    _cause(person, job, plan, place, cause)


def _cause(person: Actor, job: Job, plan: AnyPlan, place: int, cause: Mapping[str, Any]) -> None:
    told = str(cause["cause"]) if isinstance(plan, Plan) else f"{wording.between(cause, plan.labels)}: {cause['cause']}"
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(gap=None, width="stretch"):
            st.markdown(f"{place}. **{wording.literal(told)}**")
            st.caption(wording.cause_sentence(cause))
        if may(person, Action.PLAN_EDIT) and st.button("Try this change", key=f"try-cause-{place}"):
            with explained():
                mended = services().plans.try_cause(person, job.id, place)
                notice("The change is in the plan. Look at it, then run again.")
                st.switch_page("map.py", query_params={"r": mended.id})
