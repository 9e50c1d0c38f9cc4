"""The forms around signing in: asking for an account, a forgotten password, and setting one by a mailed link."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from pages._shared.context import services
from pages._shared.messages import explained
from services.database.models import Account
from services.errors import NotFound
from services.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from services.permissions import Actor

HINT = f"At least {MIN_CHARACTERS} characters; a few words in a row are easy to keep"
LINK = "link"  # the parameter of the address that mailed links carry
_FORM, _TOLD, _CHALLENGE = "gate-form", "gate-told", "gate-challenge"


def shown() -> str:
    """Which form stands in the gate: `ask`, `forgot`, `code`, or empty for signing in."""
    return str(st.session_state.get(_FORM, ""))


def told() -> None:
    """The sentence that the last form left, above the sign-in form."""
    text = st.session_state.get(_TOLD)
    if text:
        st.success(text, icon=":material/check_circle:")


def ways() -> None:
    """The two ways on for those who cannot sign in."""
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        if st.button("Forgot password?", type="tertiary"):
            _show("forgot")
        if services().registration.open() and st.button("Create an account", type="tertiary"):
            _show("ask")


def ask() -> None:
    """Ask for an account. The password is chosen later, by the link that is mailed."""
    with st.form("ask-for-account"):
        st.subheader("Create an account", anchor=False)
        st.caption("You get a mail to confirm your address; then an administrator lets you in.")
        name = st.text_input("Your name", autocomplete="name", max_chars=200)
        email = st.text_input("Email", autocomplete="email", max_chars=254)
        submitted = st.form_submit_button("Ask for an account", type="primary", width="stretch")
    _back()
    if submitted:
        with explained():
            _show("", services().registration.request(name, email, st.context.ip_address or ""))


def forgot() -> None:
    """Have a link mailed with which to set a new password."""
    with st.form("forgot-password"):
        st.subheader("Forgot your password?", anchor=False)
        st.caption("Give your address and you get a link to set a new one.")
        email = st.text_input("Email", autocomplete="username", max_chars=254)
        submitted = st.form_submit_button("Send the link", type="primary", width="stretch")
    _back()
    if submitted:
        with explained():
            _show("", services().password_links.forgot(email, st.context.ip_address or ""))


def ask_for_code(challenge: str) -> NoReturn:
    """The password was right: put the form for the code in the gate."""
    st.session_state[_CHALLENGE] = challenge
    _show("code")


def second_factor() -> Account | None:
    """The form for the code of the second factor; the account once it is right."""
    with st.form("second-factor"):
        st.subheader("Second factor", anchor=False)
        st.caption("The code that your authenticator app shows now, or one of your recovery codes.")
        code = st.text_input("Code", autocomplete="one-time-code", max_chars=60)
        submitted = st.form_submit_button("Sign in", type="primary", width="stretch")
    _back()
    if submitted:
        with explained():
            challenge = st.session_state.get(_CHALLENGE, "")
            return services().second_factor.answer(challenge, code, st.context.ip_address or "")
    return None


def set_password(token: str) -> None:
    """The screen that a mailed link opens."""
    try:
        link = services().password_links.look(token)
    except NotFound as error:
        st.warning(str(error), icon=":material/link_off:")
        if st.button("Go to sign-in", icon=":material/arrow_back:", type="tertiary"):
            _leave("")
        return
    with st.form("set-password"):
        st.subheader("Choose your password", anchor=False)
        st.text_input("Email", link.email, disabled=True, autocomplete="username")
        new, again = new_password()
        submitted = st.form_submit_button("Set password", type="primary", width="stretch")
    if not submitted or not same(new, again):
        return
    with explained():
        may_enter = services().password_links.redeem(token, new, st.context.ip_address or "")
        _leave(
            "Your password is set. Sign in with it."
            if may_enter
            else "Your address is confirmed and your password is set. You get a mail when an administrator lets you in."
        )


def new_password() -> tuple[str, str]:
    """The two fields of a new password."""
    options = {"type": "password", "autocomplete": "new-password", "max_chars": MAX_CHARACTERS}
    new = st.text_input("New password", **options)  # type: ignore[call-overload]  # a table of options
    st.caption(f"{HINT}.")
    return new, st.text_input("New password again", **options)  # type: ignore[call-overload]


def same(new: str, again: str) -> bool:
    """Whether both are the same; says so when they are not."""
    if new != again:
        st.error("The two new passwords differ. Type the same one twice.", icon=":material/error:")
    return new == again


def change_password(person: Actor) -> bool:
    """The form with which one changes one's own password; True once it is changed."""
    with st.form("change-password", border=False):
        current = st.text_input("Present password", type="password", autocomplete="current-password")
        new, again = new_password()
        submitted = st.form_submit_button("Change password", type="primary")
    if submitted and same(new, again):
        with explained():
            services().accounts.change_password(person, current, new)
            return True
    return False


def _back() -> None:
    if st.button("Back to sign-in", icon=":material/arrow_back:", type="tertiary"):
        _show("")


def _show(form: str, text: str = "") -> NoReturn:
    st.session_state[_FORM], st.session_state[_TOLD] = form, text
    st.rerun()


def _leave(text: str) -> None:
    st.query_params.clear()
    _show("", text)
