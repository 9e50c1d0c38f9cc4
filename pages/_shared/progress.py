"""A running job: what is being done now, rule by rule, how far, for how long."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from pages._shared import layout, wording
from recon_engine.plan import Plan
from services.database.models import Job

STAGES = {
    "read": "Reading both files",
    "match": "Matching",
    "outcome": "Working out breaks and differences",
    "write": "Writing the result",
}


def show(job: Job, plan: Plan, now: datetime) -> None:
    """Status, overall bar and the list of rules with the one at work marked."""
    told = job.progress_json or {}
    stage, rule = str(told.get("stage", "")), told.get("rule")
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            layout.status_badge(job.status)
            since = job.started_at or job.created_at
            st.caption(wording.lasted(max(0.0, (now - since).total_seconds())), width="content")
        doing = (
            "Waiting for a free worker"
            if job.status == "queued"
            else STAGES.get(stage, stage.capitalize() or "Starting")
        )
        st.progress(_fraction(told.get("done"), told.get("total")), text=doing)
        names = [one.name for one in plan.rules]
        at_work = names.index(rule) if rule in names else None
        for place, name in enumerate(names):
            st.markdown(f"{_mark(place, at_work, stage)} {name}")


def _fraction(done: object, total: object) -> float:
    if isinstance(done, int) and isinstance(total, int) and total > 0:
        return min(1.0, done / total)
    return 0.0


def _mark(place: int, at_work: int | None, stage: str) -> str:
    if stage in ("outcome", "write") or (at_work is not None and place < at_work):
        return ":green[:material/check_circle:]"
    if place == at_work:
        return ":blue[:material/progress_activity:]"
    return ":gray[:material/radio_button_unchecked:]"
