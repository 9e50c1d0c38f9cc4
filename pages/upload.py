"""Step 1, Upload: two files, each read and described at once, so that a wrong guess is seen before it matters."""

from __future__ import annotations

import streamlit as st

from pages._shared import profile_view, wizard
from pages._shared.context import actor, may, services
from pages._shared.messages import explained
from recon_engine.plan import SIDES, SideName
from services.database.models import Reconciliation
from services.permissions import Action, Actor

TITLES = {"left": "First file", "right": "Second file"}
HINTS = {"left": "For example the ledger", "right": "For example the bank statement"}
TYPES = ["csv", "tsv", "txt", "xlsx", "parquet", "json", "jsonl", "ndjson", "gz", "zst", "zip"]


def choose(person: Actor, reconciliation: Reconciliation, side: SideName) -> None:
    """The uploader of one side. A chosen file is stored, read and described before anything else is shown."""
    chosen = st.file_uploader(
        HINTS[side],
        type=TYPES,
        key=f"upload-{reconciliation.id}-{side}",
        help="CSV, Excel .xlsx, Parquet, JSON or JSON lines; .gz, .zst and single-member .zip are unpacked",
    )
    if chosen is None:
        return
    with explained(), st.spinner(f"Storing and reading {chosen.name}"):
        stored = services().files.upload(person, chosen.name, chosen)
        keep(person, reconciliation, side, stored.id)
        services().files.profile(person, stored.id)
        st.rerun()


def keep(person: Actor, reconciliation: Reconciliation, side: SideName, file_id: str) -> None:
    """Remember the file of one side in the reconciliation."""
    services().plans.set_files(person, reconciliation.id, **{f"{side}_file_id": file_id})
    st.session_state.pop(replacing(reconciliation, side), None)


def replacing(reconciliation: Reconciliation, side: SideName) -> str:
    """Where the session remembers that another file is being chosen for a side that has one."""
    return f"replacing-{reconciliation.id}-{side}"


def side_panel(person: Actor, reconciliation: Reconciliation, side: SideName, editable: bool) -> bool:
    """One side: uploader, or the file with its profile. Returns True when the file is ready to be mapped."""
    st.subheader(TITLES[side], anchor=False)
    file_id = reconciliation.left_file_id if side == "left" else reconciliation.right_file_id
    if editable and (file_id is None or st.session_state.get(replacing(reconciliation, side))):
        choose(person, reconciliation, side)
    if file_id is None:
        return False
    stored = services().files.get(person, file_id)
    if stored.status == "uploaded" and editable:
        with explained(), st.spinner(f"Reading {stored.name}"):
            stored = services().files.profile(person, file_id)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        profile_view.heading(stored)
        if editable and st.button("Use another file", key=f"replace-{side}", icon=":material/swap_horiz:"):
            st.session_state[replacing(reconciliation, side)] = True
            st.rerun()
    note = services().files.note(person, stored)
    if note:
        st.info(note, icon=":material/cloud_sync:")
    profile_view.body(person, stored, editable)
    return stored.status == "profiled"


def main() -> None:
    """Draw the page."""
    person = actor()
    reconciliation = wizard.opened(
        person, "upload", "Two files. Nothing is changed in them; every row will be accounted for."
    )
    editable = may(person, Action.FILE_UPLOAD)
    ready = []
    for column, side in zip(st.columns(2, gap="large"), SIDES, strict=True):
        with column:
            ready.append(side_panel(person, reconciliation, side, editable))
    st.space("xsmall")
    if st.button("Continue to mapping", type="primary", icon=":material/arrow_forward:", disabled=not all(ready)):
        services().plans.set_step(person, reconciliation.id, "map")
        wizard.go("map", reconciliation)
    if not all(ready):
        st.caption("Two files that can be read are needed to go on.")


main()
