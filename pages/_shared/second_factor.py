"""The second factor on the page Your account: set it up, renew its recovery codes, remove it."""

from __future__ import annotations

import segno
import streamlit as st

from pages._shared import wording
from pages._shared.context import dialog, services
from pages._shared.messages import explained, notice
from services.permissions import Actor
from services.second_factor import RECOVERY_CODES, Enrolment

_SECRET, _CODES = "_factor-secret", "_factor-codes"  # shown once: kept for as long as the dialog is open
FEW_CODES = 3


def section(person: Actor) -> None:
    """Whether there is a second factor, and what can be done about it."""
    st.subheader("Second factor", anchor=False)
    standing = services().second_factor.standing(person)
    if standing.since is None:
        if person.must_enrol:
            st.warning(
                "Your role needs a second factor here. Set it up, and everything else opens.", icon=":material/shield:"
            )
        else:
            st.caption("Off. Once it is set up, signing in asks for a code from your phone after the password.")
        if st.button("Set up", icon=":material/add_moderator:", type="primary" if person.must_enrol else "secondary"):
            _forget()
            set_up(person)
        return
    st.badge("on", icon=":material/verified_user:", color="green")
    st.caption(
        f"Set up {wording.ago(standing.since, services().clock.now())}. "
        f"{wording.count(standing.codes_left, 'recovery code')} left."
    )
    if standing.codes_left < FEW_CODES:
        st.warning("Few recovery codes are left: make new ones.", icon=":material/key:")
    with st.container(horizontal=True):
        if st.button("New recovery codes", icon=":material/password:"):
            _forget()
            renew(person)
        if st.button("Remove", icon=":material/remove_moderator:"):
            remove(person)


@dialog("Set up a second factor", on_dismiss="rerun")
def set_up(person: Actor) -> None:
    """First the password, then the secret for the app and a code from it, then the recovery codes."""
    if _CODES in st.session_state:
        _recovery_codes()
    elif _SECRET in st.session_state:
        _confirm(person, st.session_state[_SECRET])
    else:
        _begin(person)


@dialog("New recovery codes", on_dismiss="rerun")
def renew(person: Actor) -> None:
    """Ten new ones; the old ones are worth nothing then."""
    if _CODES in st.session_state:
        _recovery_codes()
        return
    given = _password_and_code("Make new codes", "The old recovery codes stop working.")
    if given:
        with explained():
            st.session_state[_CODES] = services().second_factor.renew_codes(person, *given)
            st.rerun(scope="fragment")


@dialog("Remove the second factor")
def remove(person: Actor) -> None:
    """Back to the password alone."""
    given = _password_and_code("Remove", "Afterwards your password alone signs you in, unless your role needs more.")
    if given:
        with explained():
            services().second_factor.remove(person, *given)
            notice("Your second factor is removed.")
            st.rerun()


def _begin(person: Actor) -> None:
    st.caption("You need an authenticator app on your phone, such as Aegis, FreeOTP or Google Authenticator.")
    with st.form("factor-begin", border=False):
        password = st.text_input("Your password", type="password", autocomplete="current-password")
        submitted = st.form_submit_button("Go on", type="primary")
    if submitted:
        with explained():
            st.session_state[_SECRET] = services().second_factor.begin(person, password)
            st.rerun(scope="fragment")


def _confirm(person: Actor, given: Enrolment) -> None:
    st.markdown("Scan this with the app, then type the code that it shows. The picture is shown only now.")
    st.image(segno.make(given.address).svg_inline(scale=5, border=4, dark="#000", light="#fff"))
    with st.expander("Or type the key into the app"):
        st.code(" ".join(given.secret[at : at + 4] for at in range(0, len(given.secret), 4)), language=None)
    with st.form("factor-confirm", border=False):
        code = st.text_input("Code that the app shows", autocomplete="one-time-code", max_chars=20)
        submitted = st.form_submit_button("Confirm", type="primary")
    if submitted:
        with explained():
            st.session_state[_CODES] = services().second_factor.confirm(person, code)
            del st.session_state[_SECRET]
            st.rerun(scope="fragment")


def _recovery_codes() -> None:
    codes = "\n".join(st.session_state[_CODES])
    st.markdown(
        f"**Keep these {RECOVERY_CODES} recovery codes** where your phone is not. Each signs you in once when you "
        "have lost it. They are shown only now."
    )
    st.code(codes, language=None)
    with st.container(horizontal=True):
        st.download_button("Download", codes + "\n", "recovery-codes.txt", "text/plain", icon=":material/download:")
        if st.button("I have kept them", type="primary"):
            _forget()
            st.rerun()


def _password_and_code(action: str, caption: str) -> tuple[str, str] | None:
    with st.form("factor-prove", border=False):
        st.caption(caption)
        password = st.text_input("Your password", type="password", autocomplete="current-password")
        code = st.text_input("Code from the app, or a recovery code", autocomplete="one-time-code", max_chars=60)
        submitted = st.form_submit_button(action, type="primary")
    return (password, code) if submitted else None


def _forget() -> None:
    for key in (_SECRET, _CODES):
        st.session_state.pop(key, None)
