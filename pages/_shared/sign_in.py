"""The gate: creating the first administrator, signing in, signing out.

The session cookie is HttpOnly, so only an HTTP answer can set it: the screen gets a one-time ticket for a valid
password and sends the browser to `/api/auth/enter`, which swaps the ticket for the cookie.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

import streamlit as st
import streamlit_authenticator as stauth

from pages._shared.context import services
from pages._shared.messages import explained
from services.limits import Limited
from services.permissions import Actor


def show(return_to: str) -> None:
    """The sign-in form, or on a new installation the form that creates the first administrator."""
    _, middle, _ = st.columns([1, 1.2, 1])
    with middle:
        st.space("large")
        st.title("Reconciliation", anchor=False)
        if services().accounts.first_run():
            _first_administrator(return_to)
        else:
            _sign_in(return_to)


def leave() -> None:
    """Send the browser to the address that ends the session and clears the cookie."""
    _visit("/api/auth/leave?next=/")


@st.dialog("Change password")
def change_password(person: Actor) -> None:
    """Set another password of one's own. Every session of the person ends with the old one."""
    with st.form("change-password", border=False):
        current = st.text_input("Present password", type="password", autocomplete="current-password")
        new = st.text_input("New password", type="password", autocomplete="new-password", help="At least 10 characters")
        again = st.text_input("New password again", type="password", autocomplete="new-password")
        submitted = st.form_submit_button("Change", type="primary")
    st.caption("You sign in again afterwards, here and everywhere else.")
    if not submitted:
        return
    if new != again:
        st.error("The two new passwords differ. Type the same one twice.", icon=":material/error:")
        return
    with explained():
        services().accounts.change_password(person, current, new)
        leave()


def _first_administrator(return_to: str) -> None:
    st.caption("Nobody has an account yet. Create the administrator; more people can be added afterwards.")
    with st.form("first-administrator"):
        name = st.text_input("Your name", autocomplete="name")
        email = st.text_input("Email", autocomplete="username")
        password = st.text_input(
            "Password", type="password", autocomplete="new-password", help="At least 10 characters"
        )
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


def _sign_in(return_to: str) -> None:
    # The form is the library's, the accounts and the session are ours: it gets no credentials and sets no cookie.
    form = stauth.Authenticate({"usernames": {}}, cookie_key="", cookie_expiry_days=0, login_sleep_time=0)

    def login(email: str | None, password: str | None, *_: object) -> bool:
        with explained():
            services().limits.hit(Limited.SIGN_IN, st.context.ip_address)
            account = services().accounts.verify(email or "", password or "")
            if account is not None:
                _enter(account.id, return_to)
                return True
            services().sessions.refused(email or "", st.context.ip_address or "")
            st.error("This email and password do not belong together. Try again.", icon=":material/error:")
        return False

    form.authentication_controller.authentication_model.login = login
    form.login(fields={"Form name": "Sign in", "Username": "Email", "Login": "Sign in"}, key="sign-in")


def _enter(account_id: str, return_to: str) -> None:
    ticket = services().sessions.issue_ticket(account_id)
    _visit("/api/auth/enter?" + urlencode({"ticket": ticket, "next": return_to}))


def _visit(address: str) -> None:
    """Send the browser to an address outside the screens; a link stands beside it should scripts be blocked."""
    st.html(
        f"<script>window.location.assign({json.dumps(address)})</script>"
        f'<a href="{address.replace("&", "&amp;")}" target="_self">Continue</a>',
        unsafe_allow_javascript=True,
    )
