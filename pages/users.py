"""Users: who can sign in, with which role. For administrators."""

from __future__ import annotations

import streamlit as st

from pages._shared import layout, wording
from pages._shared.context import actor, may, services
from pages._shared.messages import explained, notice
from services.database.models import Account
from services.permissions import Action, Actor, Role

ROLE_HELP = {
    Role.ANALYST: "prepares and runs reconciliations",
    Role.REVIEWER: "also reviews what others ran",
    Role.ADMIN: "also manages people and sees the platform's health",
    Role.AUDITOR: "reads everything, changes nothing",
}


def described(role: Role) -> str:
    """A role and what it is for."""
    return f"{role.capitalize()}: {ROLE_HELP[role]}"


@st.dialog("Add a person")
def add(person: Actor) -> None:
    """Create an account."""
    roles = list(Role)
    with st.form("add-person", border=False):
        name = st.text_input("Name")
        email = st.text_input("Email")
        role = st.selectbox("Role", roles, index=roles.index(Role.ANALYST), format_func=described)
        password = st.text_input("First password", type="password", help="At least 10 characters; tell it in person")
        if st.form_submit_button("Add", type="primary"):
            with explained():
                services().accounts.create(person, name, email, password, role)
                notice(f"{name} can sign in now.")
                st.rerun()


@st.dialog("Change account")
def change(person: Actor, account: Account) -> None:
    """Change a role, set a password, or refuse sign-in. Each ends the person's sessions."""
    st.markdown(f"**{wording.literal(account.name)}**")
    st.text(account.email)
    roles = list(Role)
    role = st.selectbox("Role", roles, index=roles.index(Role(account.role)), format_func=str.capitalize)
    password = st.text_input("New password", type="password", placeholder="leave empty to keep the present one")
    active = st.toggle("May sign in", account.active)
    st.caption("A change signs the person out everywhere.")
    if st.button("Save", type="primary"):
        with explained():
            if role != account.role:
                services().accounts.set_role(person, account.id, role)
            if active != account.active:
                services().accounts.set_active(person, account.id, active)
            if password:
                services().accounts.reset_password(person, account.id, password)
            notice(f"{account.name}'s account is changed.")
            st.rerun()


def line(person: Actor, account: Account, editable: bool) -> None:
    """One person."""
    with st.container(border=True):
        who, role, since, button = st.columns([3, 1.5, 1.5, 1], vertical_alignment="center")
        with who.container(gap="xxsmall"):
            st.markdown(f"**{wording.literal(account.name)}**")
            st.text(account.email)
        with role.container(horizontal=True, gap="xsmall"):
            st.badge(account.role, color="blue" if account.role == Role.ADMIN else "gray")
            if not account.active:
                st.badge("cannot sign in", color="orange")
        since.caption(f"Since {wording.ago(account.created_at, services().clock.now())}")
        if editable and button.button("Change", key=f"change-{account.id}", width="stretch"):
            change(person, account)


def main() -> None:
    """Draw the page."""
    person = actor()
    layout.page_title(
        "Users", "Everyone sees the reconciliations of this workspace; the role decides what may be done."
    )
    editable = may(person, Action.ACCOUNT_MANAGE)
    if editable and st.button("Add a person", type="primary", icon=":material/person_add:"):
        add(person)
    with explained():
        for account in services().accounts.list(person):
            line(person, account, editable)


main()
