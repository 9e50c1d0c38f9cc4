"""One click on every page: how is it, in a face and a sentence."""

from __future__ import annotations

import streamlit as st

from pages._shared.context import services
from pages._shared.messages import explained, notice
from services.feedback import LONGEST_SENTENCE, RATINGS
from services.permissions import Actor

_SENT = "feedback-sent"


def corner(person: Actor, page: str) -> None:
    """The button in the sidebar, and what opens under it. What was sent is gone from the form."""
    sent = st.session_state.setdefault(_SENT, 0)
    with (
        st.popover("Feedback", icon=":material/reviews:", type="tertiary"),
        st.form(f"feedback-{sent}", border=False),
    ):
        st.markdown("**How is this page?**")
        face = st.feedback("faces", key=f"feedback-face-{sent}")
        sentence = st.text_input(
            "A sentence, if you like",
            key=f"feedback-sentence-{sent}",
            max_chars=LONGEST_SENTENCE,
            help="Kept with the page, the version and your name; administrators read it. No data of yours goes along.",
        )
        if st.form_submit_button("Send"):
            _send(person, page, face, sentence)


def _send(person: Actor, page: str, face: int | None, sentence: str) -> None:
    if face is None:
        st.warning("Choose a face first.", icon=":material/mood:")
        return
    with explained():
        services().feedback.give(person, page, RATINGS[face], sentence)
        st.session_state[_SENT] += 1
        notice("Thank you. The people who run this will read it.")
        st.rerun()
