"""Your account: the password, the second factor, tokens for programs, and where one is signed in."""

from __future__ import annotations

import streamlit as st

from pages._shared import formats_form, gate_forms, layout, second_factor, sign_in, token_section, wording
from pages._shared.context import actor, dialog, services
from pages._shared.messages import explained, notice
from services.database.models import UserSession
from services.permissions import Actor

PROGRAMS = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}


def program(agent: str) -> str:
    """The browser in a word, as far as it says what it is."""
    return next((name for mark, name in PROGRAMS.items() if mark in agent), "another program")


@dialog("Change password")
def change_password(person: Actor) -> None:
    """Set another password. Every session ends with the old one."""
    if gate_forms.change_password(person):
        sign_in.leave()
    st.caption("You sign in again afterwards, here and everywhere else.")


@dialog("End the other sessions")
def end_others(person: Actor) -> None:
    """Sign out everywhere but here."""
    with st.form("end-others", border=False):
        password = st.text_input("Your password", type="password", autocomplete="current-password")
        submitted = st.form_submit_button("End them", type="primary")
    if submitted:
        with explained():
            count = services().sessions.end_others(person, password)
            notice(f"Ended: {wording.count(count, 'session')}.")
            st.rerun()


def line(session: UserSession, here: bool) -> None:
    """One session."""
    now = services().clock.now()
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{program(session.agent)}**", width="content")
        if here:
            st.badge("this one", color="green")
        st.caption(f"from {wording.literal(session.address or 'this machine')}", width="content")
        st.space("stretch")
        st.caption(
            f"signed in {wording.ago(session.created_at, now)}, last used {wording.ago(session.last_seen_at, now)}",
            width="content",
        )


def main() -> None:
    """Draw the page."""
    person = actor()
    layout.page_title("Your account", f"{wording.literal(person.name)}, {person.role}")
    st.text(person.email)
    st.subheader("Password", anchor=False)
    if st.button("Change password", icon=":material/key:"):
        change_password(person)
    second_factor.section(person)
    formats_form.section(person)
    token_section.section(person)
    st.subheader("Where you are signed in", anchor=False)
    sessions = services().sessions.own(person)
    for session in sessions:
        line(session, session.id == person.session_id)
    if len(sessions) > 1 and st.button("End the other sessions", icon=":material/logout:"):
        end_others(person)


main()
