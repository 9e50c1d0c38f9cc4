"""Health: whether the platform and what it depends on are well. For administrators and auditors."""

from __future__ import annotations

import streamlit as st

from pages._shared import layout
from pages._shared.context import actor, fragment, services
from pages._shared.messages import explained
from services.permissions import Actor

LOOKS = {
    "ok": ("Well", "green", ":material/check_circle:"),
    "degraded": ("Degraded", "orange", ":material/warning:"),
    "down": ("Down", "red", ":material/error:"),
}
WHAT = {
    "database": "Accounts, plans, jobs and the audit trail",
    "storage": "Uploaded files and results",
    "worker": "Takes runs from the queue",
}
JOB_STATES = {
    "queued": "Waiting",
    "running": "Running",
    "succeeded": "Finished",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


@fragment(run_every=5)
def state(person: Actor) -> None:
    """The present state, asked for every five seconds."""
    with explained():
        health = services().health.overview(person)
        label, colour, icon = LOOKS[health.status]
        st.badge(f"Platform: {label.lower()}", color=colour, icon=icon)  # type: ignore[arg-type]  # table of badge colours
        with st.grid(3):
            for name, part in health.parts.items():
                with st.container(border=True, height="stretch", gap="xsmall"):
                    label, colour, icon = LOOKS[part.state]
                    st.markdown(f"**{name.capitalize()}**")
                    st.badge(label, color=colour, icon=icon)  # type: ignore[arg-type]  # table of badge colours
                    st.caption(WHAT.get(name, ""))
                    st.markdown(f":small[{part.detail} · answered in {part.latency_ms:.0f} ms]")
        counts = services().jobs.counts(person)
        st.subheader("Runs", anchor=False)
        with st.grid(5):
            for status, heading in JOB_STATES.items():
                st.metric(heading, f"{counts.get(status, 0):,}", border=True)


layout.page_title("Health", "Refreshed every five seconds. Machines ask `/api/health` for the same.")
state(actor())
