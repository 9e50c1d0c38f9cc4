"""Users: who asks for an account, who can sign in, with which role. For administrators."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from pages._shared import layout, wording
from pages._shared.context import actor, dialog, may, services
from pages._shared.messages import explained, notice
from services.database.models import Account
from services.permissions import Action, Actor, Role

ROLE_HELP = {
    Role.ANALYST: "prepares and runs reconciliations",
    Role.REVIEWER: "also reviews what others ran",
    Role.ADMIN: "also manages people and sees the platform's health",
    Role.AUDITOR: "reads everything, changes nothing",
}
_LINK = "_link-to-hand-over"


def described(role: Role) -> str:
    """A role and what it is for."""
    return f"{role.capitalize()}: {ROLE_HELP[role]}"


def hand_over(name: str, link: str | None) -> None:
    """Say what happens next; without a mail server the link is shown, once."""
    if link is None:
        notice(f"{name} gets a mail with a link to set the password.")
    else:
        st.session_state[_LINK] = (name, link)
    st.rerun()


def link_to_hand_over() -> None:
    """A link that no mail will carry."""
    name, link = st.session_state.pop(_LINK, (None, None))
    if link:
        st.info(
            f"No mail server is set up. Give this link to {wording.literal(name)} yourself; it works once, "
            "and it is shown only now.",
            icon=":material/link:",
        )
        st.code(link, language=None, wrap_lines=True)


@dialog("Invite a person")
def invite(person: Actor) -> None:
    """Create an account; its owner chooses the password."""
    roles = list(Role)
    with st.form("invite", border=False):
        name = st.text_input("Name", max_chars=200)
        email = st.text_input("Email", max_chars=254)
        role = st.selectbox("Role", roles, index=roles.index(Role.ANALYST), format_func=described)
        submitted = st.form_submit_button("Invite", type="primary")
    if submitted:
        with explained():
            hand_over(name, services().registration.invite(person, name, email, role))


@dialog("Approve")
def approve(person: Actor, account: Account) -> None:
    """Let someone in, with a role."""
    roles = list(Role)
    st.markdown(f"**{wording.literal(account.name)}**")
    st.text(account.email)
    role = st.selectbox("Role", roles, index=roles.index(Role.ANALYST), format_func=described)
    if st.button("Let in", type="primary"):
        with explained():
            services().registration.approve(person, account.id, role)
            notice(f"{account.name} may sign in now and gets a mail.")
            st.rerun()


@dialog("Change account")
def change(person: Actor, account: Account) -> None:
    """Change a role, refuse sign-in, end sessions, or send a link for a new password."""
    st.markdown(f"**{wording.literal(account.name)}**")
    st.text(account.email)
    roles = list(Role)
    role = st.selectbox("Role", roles, index=roles.index(Role(account.role)), format_func=str.capitalize)
    active = st.toggle("May sign in", account.active)
    st.caption("A change signs the person out everywhere.")
    if st.button("Save", type="primary"):
        with explained():
            if role != account.role:
                services().accounts.set_role(person, account.id, role)
            if active != account.active:
                services().accounts.set_active(person, account.id, active)
            notice(f"{account.name}'s account is changed.")
            st.rerun()
    st.divider()
    with st.container(horizontal=True):
        if st.button("Send a link for a new password", icon=":material/key:", disabled=not account.active):
            with explained():
                hand_over(account.name, services().password_links.send_reset(person, account.id))
        if st.button("End all sessions", icon=":material/logout:"):
            with explained():
                services().sessions.end_of(person, account.id)
                notice(f"{account.name} is signed out everywhere.")
                st.rerun()
        theirs = account.totp_since and account.id != person.account_id
        if theirs and st.button("Reset the second factor", icon=":material/remove_moderator:"):
            with explained():
                services().second_factor.reset(person, account.id)
                notice(f"{account.name} signs in with the password alone now, and gets a mail.")
                st.rerun()


def request(person: Actor, account: Account) -> None:
    """Someone who asks for an account."""
    with st.container(border=True):
        who, since, buttons = st.columns([3, 2, 2.2], vertical_alignment="center")
        with who.container(gap="xxsmall"):
            st.markdown(f"**{wording.literal(account.name)}**")
            st.text(account.email)
        with since.container(gap="xxsmall"):
            if account.email_confirmed_at is None:
                st.badge("address not confirmed yet", color="orange", icon=":material/hourglass_top:")
            st.caption(f"Asked {wording.ago(account.created_at, services().clock.now())}")
        with buttons.container(horizontal=True, horizontal_alignment="right"):
            confirmed = account.email_confirmed_at is not None
            if st.button("Refuse", key=f"refuse-{account.id}"):
                services().registration.refuse(person, account.id)
                notice(f"The request of {account.name} is refused.")
                st.rerun()
            if st.button("Approve", key=f"approve-{account.id}", disabled=not confirmed):
                approve(person, account)


def since_when(account: Account, invited: Mapping[str, datetime | None]) -> str:
    """How long the account is there; of one whose owner has not come yet, also how long the link is good."""
    begun = wording.ago(account.created_at, services().clock.now())
    if account.id not in invited:
        return f"Joined {begun}"
    until = invited[account.id]
    if until is None:
        return f"Invited {begun}; the link has run out: send another under Change"
    return f"Invited {begun}; the link is good until {wording.minute(until)} UTC"


def line(person: Actor, account: Account, editable: bool, invited: Mapping[str, datetime | None]) -> None:
    """One person."""
    with st.container(border=True):
        who, role, since, button = st.columns([3, 1.5, 1.5, 1], vertical_alignment="center")
        with who.container(gap="xxsmall"):
            st.markdown(f"**{wording.literal(account.name)}**")
            st.text(account.email)
        with role.container(horizontal=True, gap="xsmall"):
            st.badge(account.role, color="blue" if account.role == Role.ADMIN else "gray")
            if account.totp_since:
                st.badge("second factor", color="green", icon=":material/verified_user:")
            if not account.active:
                st.badge("cannot sign in", color="orange")
            if account.id in invited:
                st.badge("invited", color="orange", icon=":material/hourglass_top:")
        since.caption(since_when(account, invited))
        if editable and button.button("Change", key=f"change-{account.id}", width="stretch"):
            change(person, account)


def main() -> None:
    """Draw the page."""
    person = actor()
    layout.page_title(
        "Users", "Everyone sees the reconciliations of this workspace; the role decides what may be done."
    )
    editable = may(person, Action.ACCOUNT_MANAGE)
    if editable and st.button("Invite a person", type="primary", icon=":material/person_add:"):
        invite(person)
    link_to_hand_over()
    with explained():
        accounts = services().accounts.list(person)
        invited = services().password_links.invited(person)
        waiting = [account for account in accounts if account.waiting]
        if editable and waiting:
            st.subheader("Waiting for you", anchor=False)
            for account in waiting:
                request(person, account)
            st.subheader("People", anchor=False)
        for account in accounts:
            if not account.waiting:
                line(person, account, editable, invited)


main()
