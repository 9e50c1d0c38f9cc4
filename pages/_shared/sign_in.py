"""The gate: creating the first administrator, signing in, signing out.

The session cookie is HttpOnly, so only an HTTP answer can set it: the screen gets a one-time ticket for a valid
password and sends the browser to `/api/auth/enter`, which swaps the ticket for the cookie.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from types import SimpleNamespace
from urllib.parse import urlencode

import streamlit as st
import streamlit_authenticator as stauth

from pages._shared import gate_forms
from pages._shared.context import ENDED, services
from pages._shared.messages import explained
from services.errors import SecondFactorNeeded


def show(return_to: str, *, ended: bool = False) -> None:
    """The sign-in form, or on a new installation the form that creates the first administrator.

    `ended`: this page was open when its session ended.
    """
    _, middle, _ = st.columns([1, 1.2, 1])
    with middle:
        st.space("large")
        st.title("Reconciliation", anchor=False)
        token = st.query_params.get(gate_forms.LINK)
        if token:
            gate_forms.set_password(token)
        elif services().accounts.first_run():
            _first_administrator(return_to)
        elif gate_forms.shown() == "ask":
            gate_forms.ask()
        elif gate_forms.shown() == "forgot":
            gate_forms.forgot()
        elif gate_forms.shown() == "code":
            account = gate_forms.second_factor()
            if account is not None:
                _enter(account.id, return_to, second_factor=True)
        else:
            if ended:
                st.warning(ENDED, icon=":material/lock_clock:")
            gate_forms.told()
            _sign_in(return_to)
            gate_forms.ways()


def leave() -> None:
    """Send the browser to the address that ends the session and clears the cookie."""
    _visit("/api/auth/leave?next=/")


def _first_administrator(return_to: str) -> None:
    st.caption("Nobody has an account yet. Create the administrator; more people can be added afterwards.")
    with st.form("first-administrator"):
        name = st.text_input("Your name", autocomplete="name")
        email = st.text_input("Email", autocomplete="username")
        password = st.text_input("Password", type="password", autocomplete="new-password")
        st.caption(f"{gate_forms.HINT}.")
        again = st.text_input("Password again", type="password", autocomplete="new-password")
        submitted = st.form_submit_button("Create administrator", type="primary", width="stretch")
    if not submitted:
        return
    if password != again:
        st.error("The two passwords differ. Type the same one twice.", icon=":material/error:")
        return
    with explained():
        account = services().accounts.create_first_admin(name, email, password, st.context.ip_address or "")
        _enter(account.id, return_to)


class _NoCookies:
    """In the place of the library's cookies, which we never set. Theirs are read by a frame in the page, whose answer
    draws the page anew, whenever it comes: what was said to somebody who had signed in meanwhile would be gone.
    """

    def get_cookie(self) -> None:
        """There is none."""


class _Form(stauth.Authenticate):  # type: ignore[misc]  # the library has no types
    """The library's form. The accounts and the session are ours: it gets no credentials and sets no cookie."""

    def __init__(self, login: Callable[[str, str], bool]) -> None:
        self.attrs, self.path = {"login_sleep_time": 0}, None
        self.cookie_controller = _NoCookies()
        # Its own controller would cut spaces off the password; it is checked as it was typed.
        self.authentication_controller = SimpleNamespace(login=lambda email, password, *_, **__: login(email, password))


def _sign_in(return_to: str) -> None:
    def login(email: str, password: str) -> bool:
        with explained():
            try:
                account = services().sessions.prove(email, password, st.context.ip_address or "")
            except SecondFactorNeeded as needed:
                gate_forms.ask_for_code(needed.challenge)
            _enter(account.id, return_to)
        return False  # the browser is on its way to the address that sets the cookie

    _Form(login).login(fields={"Form name": "Sign in", "Username": "Email", "Login": "Sign in"}, key="sign-in")


def _enter(account_id: str, return_to: str, *, second_factor: bool = False) -> None:
    ticket = services().sessions.issue_ticket(account_id, second_factor=second_factor)
    _visit("/api/auth/enter?" + urlencode({"ticket": ticket, "next": return_to}))


def _visit(address: str) -> None:
    """Send the browser to an address outside the screens; a link stands beside it should scripts be blocked."""
    st.html(
        f'<script src="/api/visit.js"></script><a href="{escape(address)}" target="_self">Continue</a>',
        unsafe_allow_javascript=True,
    )
