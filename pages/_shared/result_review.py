"""Suggested matches: what was decided on them, and the buttons that decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Literal

import streamlit as st

from pages._shared import wording
from pages._shared.context import may, services
from pages._shared.messages import explained
from services.database.models import Job
from services.permissions import Action, Actor
from services.reviews import LONGEST_NOTE, Decision, Verdict

KEPT = "Decisions are kept beside the result, whose figures stay as the run found them."
WAYS: tuple[tuple[str, Verdict, str], ...] = (
    ("Confirm", "confirmed", ":material/check:"),
    ("Reject", "rejected", ":material/close:"),
    ("Decide again", "open", ":material/undo:"),
)


def overview(person: Actor, job: Job, made: Mapping[int, Decision]) -> None:
    """How many suggested matches are decided, and the decisions as a file."""
    found = Counter(one.verdict for one in made.values())
    told = ", ".join(f"{wording.number(many)} {verdict}" for verdict, many in sorted(found.items()))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"Suggested matches decided: {told or 'none yet'}. {KEPT}", width="content")
        if made and may(person, Action.RESULT_DOWNLOAD):
            st.download_button(
                "Decisions (.csv)",
                partial(services().reviews.export_csv, person, job.id),
                f"decisions-{job.id}.csv",
                "text/csv",
                on_click="ignore",
            )


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
