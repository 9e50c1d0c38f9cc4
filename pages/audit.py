"""Audit: who did what and when, newest first. For administrators and auditors."""

from __future__ import annotations

import json

import streamlit as st

from pages._shared import layout, tables, wording
from pages._shared.context import actor, services
from pages._shared.messages import explained
from services.database.models import AuditEntry
from services.errors import ServiceError
from services.permissions import Actor

PAGE_ENTRIES = 50
HEADINGS = {
    "at": "When (UTC)",
    "who": "Who",
    "action": "Action",
    "target": "On",
    "detail": "Detail",
    "address": "From",
    "hash": "Hash",
}
WIDTHS = {"detail": 300}


def shown(entry: AuditEntry, names: dict[str, str]) -> dict[str, str]:
    """One entry as a row of the table."""
    return {
        "at": wording.second(entry.at),
        "who": names.get(entry.account_id or "", "system"),
        "action": entry.action,
        "target": f"{entry.target_type} {entry.target_id[:8]}",
        "detail": ", ".join(f"{key}: {_plain(value)}" for key, value in entry.detail_json.items()),
        "address": entry.address,
        "hash": entry.hash[:12],
    }


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def check_chain(person: Actor) -> None:
    """Walk the whole chain on demand."""
    if st.button(
        "Verify the chain", icon=":material/verified_user:", help="Recomputes every entry's hash, oldest first"
    ):
        try:
            found = services().audit.verify(person)
        except ServiceError as error:
            st.error(str(error), icon=":material/error:")
            return
        if found.whole:
            outside = (
                f"It agrees with its end as noted outside the database, up to entry {wording.number(found.anchored)}."
                if found.anchored
                else "Its end is not noted outside the database yet."
            )
            st.success(
                f"All {wording.number(found.entries)} entries hold. {outside} Newest hash: `{found.head}`",
                icon=":material/verified:",
            )
        else:
            st.error(f"The trail is broken: {found.reason}.", icon=":material/gpp_bad:")


def trail(person: Actor) -> None:
    """The table with its way back in time."""
    starts: list[str | None] = st.session_state.setdefault("audit-starts", [None])
    names = {account.id: account.name for account in services().accounts.list(person)}
    entries = services().audit.entries(person, cursor=starts[-1], limit=PAGE_ENTRIES)
    tables.table([shown(entry, names) for entry in entries], HEADINGS, "audit", widths=WIDTHS)
    if len(starts) == 1 and entries.next is None:
        return
    with st.container(horizontal=True):
        if st.button("Newer", icon=":material/chevron_left:", disabled=len(starts) == 1):
            starts.pop()
            st.rerun()
        if st.button("Older", icon=":material/chevron_right:", disabled=entries.next is None):
            starts.append(entries.next)
            st.rerun()


def main() -> None:
    """Draw the page."""
    person = actor()
    layout.page_title("Audit", "Every change, in the order it happened. Each entry's hash covers the one before it.")
    check_chain(person)
    with explained():
        trail(person)


main()
