"""Tokens of the API on the account page: made with the password, shown once, revoked at once."""

from __future__ import annotations

import streamlit as st

from pages._shared import wording
from pages._shared.context import dialog, may, services
from pages._shared.messages import explained, notice
from services.api_tokens import MOST_DAYS, USUAL_DAYS
from services.database.models import ApiToken
from services.permissions import Action, Actor, Scope

WHAT = {
    Scope.READ: "Read files, plans, runs and results",
    Scope.UPLOAD: "Upload files",
    Scope.RUN: "Start and cancel runs, change plans",
    Scope.ADMIN: "Administration, as far as your role goes",
}


def section(person: Actor) -> None:
    """The living tokens, and the way to another."""
    if not may(person, Action.TOKEN_MANAGE):
        return
    st.subheader("Tokens for programs", anchor=False)
    tokens = services().api_tokens.list(person)
    st.caption("A program that calls the API signs in with a token. It may do no more than you may.")
    for token in tokens:
        _line(person, token)
    if st.button("Make a token", icon=":material/add:"):
        _make(person)


def _line(person: Actor, token: ApiToken) -> None:
    now = services().clock.now()
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{wording.literal(token.name)}**", width="content")
        st.caption(token.scopes.replace(" ", ", "), width="content")
        st.space("stretch")
        used = f"last used {wording.ago(token.last_used_at, now)}" if token.last_used_at else "not used yet"
        st.caption(f"{used}, until {wording.moment(token.expires_at)}", width="content")
        if st.button("Revoke", key=f"revoke-{token.id}", type="tertiary", icon=":material/block:"):
            _revoke(person, token.id, token.name)


@dialog("Make a token", on_dismiss="rerun")
def _make(person: Actor) -> None:
    """Ask for a name, what it is for, and the password; then show the token, this one time."""
    made = st.empty()
    with made.container(), st.form("make-token", border=False):
        name = st.text_input("Name", placeholder="the program that calls", max_chars=100)
        scopes = st.multiselect("It may", list(Scope), default=[Scope.READ], format_func=WHAT.__getitem__)
        days = st.number_input("Good for so many days", 1, MOST_DAYS, USUAL_DAYS)
        password = st.text_input("Your password", type="password", autocomplete="current-password")
        submitted = st.form_submit_button("Make it", type="primary")
    if submitted:
        with explained():
            token, _ = services().api_tokens.create(person, name, scopes, password, int(days))
            with made.container():
                st.markdown("Copy it now: it is not shown again.")
                st.code(token, language=None, wrap_lines=True)


@dialog("Revoke the token")
def _revoke(person: Actor, token_id: str, name: str) -> None:
    """Ask once more."""
    st.markdown(f"The program that uses **{wording.literal(name)}** is refused from now on.")
    if st.button("Revoke it", type="primary"):
        with explained():
            services().api_tokens.revoke(person, token_id)
            notice(f"{name} is revoked.")
            st.rerun()
