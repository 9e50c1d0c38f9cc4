"""A job under way: what is being done now, rule by rule, how far, for how long; and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import streamlit as st

from pages._shared import layout, wording
from pages._shared.context import actor, fragment, may, services
from pages._shared.messages import explained
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import SidesPlan
from services.database.models import Job
from services.jobs.queue import UNDER_WAY
from services.permissions import Action, Actor

STAGES = {
    "read": "Reading the files",
    "match": "Matching",
    "explain": "Explaining what stayed open",
    "evidence": "Writing the evidence",
}
WAITING = {"queued": "Waiting for a free worker", "paused": "Paused by an administrator"}


@fragment(run_every=1)
def watch(person: Actor, job_id: str, plan: AnyPlan) -> None:
    """The running job, asked for once a second. Ends by showing the whole page again."""
    job = services().jobs.get(person, job_id)
    if job.status not in UNDER_WAY:
        st.rerun()
    show(job, plan, services().clock.now())
    if may(person, Action.JOB_CANCEL) and st.button(
        "Cancel run", icon=":material/cancel:", disabled=job.status == "cancelling"
    ):
        with explained():
            services().jobs.cancel(actor(), job_id)
            st.rerun(scope="fragment")


def ended(job: Job) -> None:
    """How a run ended: done, failed with its reason, or cancelled."""
    layout.status_badge(job.status)
    if job.status == "failed":
        st.error(job.error or "The run ended without saying why.", icon=":material/error:")
    elif job.status == "cancelled":
        st.markdown("The run was cancelled. Nothing of it is kept.")
    else:
        seconds = float((job.summary_json or {}).get("seconds", 0))
        st.markdown(f"The run finished in {wording.lasted(seconds)}.")


def show(job: Job, plan: AnyPlan, now: datetime) -> None:
    """Status, a bar for the stage at work, and the rules with the one at work marked."""
    told = job.progress_json or {}
    rules = [rule.name for rule in plan.rules]
    if isinstance(plan, SidesPlan):  # each pair of sides has rules of its own, after those of one side
        rules = [rule.name for own in (plan.netting_rules, *plan.pairs.values()) for rule in own]
    stage, done, total = str(told.get("stage", "")), told.get("done"), told.get("total")
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            layout.status_badge(job.status)
            since = job.started_at or job.created_at
            st.caption(wording.lasted(max(0.0, (now - since).total_seconds())), width="content")
        waiting = WAITING.get(job.status, "Starting")
        st.progress(_fraction(done, total), text=STAGES.get(stage, stage.capitalize() or waiting))
        at_work = stage == "match"
        if at_work and isinstance(done, int):
            st.caption(f"Rule {min(done + 1, len(rules))} of {len(rules)}")
        took = _seconds(told) if len(set(rules)) == len(rules) else {}  # a rule of several pairs has no time of its own
        finished = {"": 0, "read": 0, "match": done if isinstance(done, int) else 0}.get(stage, len(rules))
        for place, name in enumerate(rules):
            time = f" :gray[{wording.lasted(took[name])}]" if place < finished and name in took else ""
            st.markdown(f"{_mark(place, finished, at_work=at_work)} {wording.literal(name)}{time}")


def _seconds(told: Mapping[str, Any]) -> dict[str, float]:
    """How long each rule took that is done: from the end of the step before it to its own end."""
    took, before = {}, 0.0
    for step in told.get("steps", []):
        ended = float(step.get("seconds") or 0)
        if step.get("stage") == "match" and step.get("rule"):
            took[str(step["rule"])] = max(0.0, ended - before)
        before = ended
    return took


def _fraction(done: object, total: object) -> float:
    if isinstance(done, int) and isinstance(total, int) and total > 0:
        return min(1.0, done / total)
    return 0.0


def _mark(place: int, finished: int, at_work: bool) -> str:
    if place < finished:
        return ":green[:material/check_circle:]"
    if at_work and place == finished:
        return ":blue[:material/progress_activity:]"
    return ":gray[:material/radio_button_unchecked:]"
