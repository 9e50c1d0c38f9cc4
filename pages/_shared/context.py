"""What every screen needs to know: the services, who is signed in, and which reconciliation the address names."""

from __future__ import annotations

import streamlit as st

from services.container import Container, get_container
from services.errors import NotAllowed, NotSignedIn
from services.permissions import Action, Actor, check

SESSION_COOKIE = "recon_session"


def services() -> Container:
    """The process-wide services."""
    return get_container()


def signed_in() -> Actor | None:
    """Who is signed in, by the session cookie, or None.

    Asked on every rerun: the browser's first request stays the source of the cookie for as long as the page is
    open, so only the server knows that a session has ended.
    """
    token = st.context.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    try:
        return services().sessions.resolve(token)
    except NotSignedIn:
        return None


def actor() -> Actor:
    """Who is signed in. Ends this run with a notice when the session has ended meanwhile."""
    person = signed_in()
    if person is None:
        st.warning("Your session has ended. Sign in again to go on; nothing is lost.", icon=":material/lock_clock:")
        st.stop()
    return person


def may(person: Actor, action: Action) -> bool:
    """True when the person's role allows the action: decides what is shown, the service decides what is done."""
    try:
        check(person, action)
    except NotAllowed:
        return False
    return True


def address_parameter(name: str) -> str | None:
    """A parameter of the page's address, such as the `r` of `/map?r=...`; None when absent."""
    value = st.query_params.get(name)
    return value or None
