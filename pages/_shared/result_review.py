"""Suggested matches: what was decided on them, and the buttons that decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import streamlit as st

from pages._shared import wording
from pages._shared.context import dialog, may, services
from pages._shared.layout import download_link
from pages._shared.messages import explained
from services.database.models import Job
from services.permissions import Action, Actor
from services.reviews import LONGEST_NOTE, MOST_AT_ONCE, Decision, Verdict

KEPT = "Decisions are kept beside the result, whose figures stay as the run found them."
UNDECIDED = "Suggested matches decided: none yet."
WAYS: tuple[tuple[str, Verdict, str], ...] = (
    ("Confirm", "confirmed", ":material/check:"),
    ("Reject", "rejected", ":material/close:"),
    ("Decide again", "open", ":material/undo:"),
)


def standing_of(person: Actor, job: Job) -> tuple[str, int]:
    """What was decided on the run's suggested matches, in a sentence, and how many wait."""
    made = services().reviews.counts(person, job.id)
    told = ", ".join(f"{wording.number(many)} {verdict}" for verdict, many in made.items())
    waits = services().results.suggested_matches(person, job.id) - sum(made.values())
    return (f"Suggested matches decided: {told}." if made else UNDECIDED), waits


def waiting(many: int) -> str:
    """'1 waits', '7 wait'."""
    return wording.count(many, "waits", "wait")


def overview(person: Actor, job: Job, filters: Mapping[str, str]) -> None:
    """How many suggested matches are decided, the decisions as a file, and the ways to decide on all that `filters`
    leave, while some wait and not only confirmed ones are shown.
    """
    made, waits = standing_of(person, job)
    told = f"{made}{f' {waiting(waits)}.' if waits else ''}"
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{told} {KEPT}", width="content")
        with st.container(horizontal=True, width="content", gap="small"):
            if waits and filters.get("outcome") != "confirmed" and may(person, Action.RESULT_REVIEW):
                for label, verdict, icon in WAYS[:2]:
                    if st.button(f"{label} all suggested", key=f"all-{verdict}", icon=icon):
                        _decide_all(person, job, verdict, filters)
            if made != UNDECIDED and may(person, Action.RESULT_DOWNLOAD):
                download_link("Decisions (.csv)", f"/api/reconciliation/jobs/{job.id}/decisions")


@dialog("Decide on all of these")
def _decide_all(person: Actor, job: Job, verdict: Verdict, filters: Mapping[str, str]) -> None:
    """Ask once more, and say how many they are."""
    with explained():
        waiting = services().reviews.waiting(person, job.id, filters)
        if not waiting:
            st.markdown("Every suggested match in this view is decided already.")
            return
        many = wording.count(waiting, "match", "matches")
        if waiting > MOST_AT_ONCE:
            most = wording.number(MOST_AT_ONCE)
            st.markdown(f"{many} in this view wait for a decision; at most {most} are decided at once. Filter them.")
            return
        st.markdown(
            f"**{many}** in this view, on all of its pages, {'waits' if waiting == 1 else 'wait'} for a decision and "
            f"will be **{verdict}**. What was decided before stays. Decisions are taken back one by one."
        )
        note = st.text_input("Note", max_chars=LONGEST_NOTE, placeholder="why")
        if st.button(f"{'Confirm' if verdict == 'confirmed' else 'Reject'} {many}", type="primary"):
            services().reviews.decide_all(person, job.id, verdict, note, filters, waiting)
            st.rerun()


def standing(outcome: str, made: Decision | None) -> str:
    """What holds of a match, in words: what a person decided, and that the run only suggested it."""
    return f"{made.verdict} by a person, suggested by the run" if made else outcome


def decide(person: Actor, job: Job, match_id: int, made: Decision | None) -> None:
    """What was decided on this match, or the buttons that do."""
    if made is not None:
        colour = "green" if made.verdict == "confirmed" else "red"
        note = f": {wording.literal(made.note)}" if made.note else ""
        about = f"by {wording.literal(made.person)}, {wording.moment(made.at)}{note}"
        st.markdown(f":{colour}-badge[{made.verdict}] {about}")
    if not may(person, Action.RESULT_REVIEW):
        return
    note = "" if made else st.text_input("Note", key=f"note-{match_id}", max_chars=LONGEST_NOTE, placeholder="why")
    with st.container(horizontal=True):
        for label, verdict, icon in WAYS[2:] if made else WAYS[:2]:
            kind: Literal["primary", "secondary"] = "primary" if verdict == "confirmed" else "secondary"
            if st.button(label, key=f"{verdict}-{match_id}", icon=icon, type=kind):
                with explained():
                    services().reviews.decide(person, job.id, match_id, verdict, note)
                    st.rerun(scope="fragment")
