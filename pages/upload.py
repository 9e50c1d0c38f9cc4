"""Step 1, Upload: the files of both sides, each read and described at once, so that a wrong guess is seen early."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from typing import Any

import streamlit as st

from pages._shared import draft, drift_view, profile_view, wizard
from pages._shared.context import actor, may, services
from pages._shared.draft import files_of
from pages._shared.messages import explained
from pages._shared.uploader import drop_zone
from pages._shared.wizard import TITLES
from pages._shared.wording import ago, count, literal
from services.database.models import Reconciliation, StoredFile
from services.errors import NotFound
from services.fit import misfits, shared_columns
from services.permissions import Action, Actor
from services.sides import EVERY, MOST_SIDES

HINTS = {
    "left": "One file, or several with the same columns: for example the ledger.",
    "right": "What it is compared with: for example the bank's statements.",
}
FURTHER_HINT = "For example the shop's orders: what belongs together on all sides becomes one match."
SLOTS = {"left": "left_file_id", "right": "right_file_id"}


def take_in(person: Actor, reconciliation: Reconciliation, side: str) -> None:
    """Where files are dropped; says once of one that came a second time that it was left out."""
    arrived = drop_zone(reconciliation.id, side, services().settings.upload_max_mb, TITLES[side])
    if arrived:
        st.session_state[f"arrived-{side}"] = arrived
        st.rerun()
    kept = {file.sha256: file for file in files_of(person, reconciliation, side)}
    for file_id in st.session_state.get(f"arrived-{side}", []):
        try:
            file = services().files.get(person, file_id)
        except NotFound:
            continue
        same = kept.get(file.sha256)
        if same is not None and same.id != file_id:
            st.info(
                f"{literal(file.name)} is, byte for byte, {literal(same.name)}, which is here already: left out.",
                icon=":material/content_copy:",
            )


def remove(person: Actor, reconciliation: Reconciliation, side: str, stored: StoredFile) -> None:
    """Take one file off its side, and remember it for the way back."""
    ids = [one for one in reconciliation.file_ids(side) if one != stored.id]
    services().plans.set_files(person, reconciliation.id, **{SLOTS.get(side, side): ids})
    st.session_state[f"removed-{reconciliation.id}-{side}"] = stored.id, stored.name


def reread(
    person: Actor, reconciliation: Reconciliation, side: str, stored: StoredFile, options: dict[str, Any]
) -> None:
    """Read a file by other options; a plan that there is reads it so, too."""
    now = services().files.set_options(person, stored.id, options)
    draft.follow_reading(person, reconciliation, side, (stored.options_json, now.options_json))
    st.rerun()


def put_back(person: Actor, reconciliation: Reconciliation, side: str) -> None:
    """The way back for the file that was removed last."""
    key = f"removed-{reconciliation.id}-{side}"
    file_id, name = st.session_state.get(key, ("", ""))
    if not file_id:
        return
    with st.container(horizontal=True, vertical_alignment="center", key=f"back-{side}"):
        st.caption(f"{literal(name)} is removed.", width="content")
        if st.button("Put it back", key=f"put-back-{side}", icon=":material/undo:", type="tertiary"):
            with explained():
                del st.session_state[key]
                services().plans.add_file(person, reconciliation.id, side, file_id)
                st.rerun()


def side_removal(person: Actor, reconciliation: Reconciliation, side: str) -> None:
    """The button that takes a further side off; one with files asks before that."""
    key, icon, files = f"remove-{side}", ":material/close:", reconciliation.file_ids(side)
    if files:
        with st.popover("Remove side", key=key, icon=icon, type="tertiary", help=TITLES[side]):
            st.markdown(f"Remove the {TITLES[side].lower()} with its {count(len(files), 'file')}?")
            sure = st.button("Remove it", key=f"remove-now-{side}", type="primary")
    else:
        sure = st.button("Remove side", key=key, icon=icon, type="tertiary", help=TITLES[side])
    if sure:
        with explained():
            services().plans.remove_side(person, reconciliation.id, side)
            st.rerun()


def file_card(
    person: Actor, reconciliation: Reconciliation, side: str, stored: StoredFile, editable: bool
) -> StoredFile:
    """One file: what it is, whether it can be read, and what it holds."""
    if stored.status == "uploaded" and editable:
        with explained(), st.spinner(f"Reading {stored.name}"):
            stored = services().files.profile(person, stored.id)
    with st.container(border=True, key=f"file-{stored.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            profile_view.heading(stored)
            if editable and st.button(
                "Remove", key=f"remove-{stored.id}", icon=":material/close:", type="tertiary", help=stored.name
            ):
                with explained():
                    remove(person, reconciliation, side, stored)
                    st.rerun()
        if earlier := services().files.twins(person, stored.id):
            when = ago(earlier[0].created_at, services().clock.now())
            st.caption(
                f":material/history: The same content was uploaded before, as {literal(earlier[0].name)}, {when}."
            )
        if note := services().files.note(person, stored):
            st.info(note, icon=":material/cloud_sync:")
        again = partial(reread, person, reconciliation, side, stored) if editable else None
        profile_view.body(stored, again, alone=len(reconciliation.file_ids(side)) == 1)
    return stored


def side_panel(person: Actor, reconciliation: Reconciliation, side: str, editable: bool) -> list[StoredFile]:
    """One side: where files are dropped, and a card for each. Returns the files."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader(TITLES[side], anchor=False)
        if editable and side in EVERY[2:]:
            side_removal(person, reconciliation, side)
    plan = wizard.saved_plan(reconciliation)
    label = list(plan.labels.values())[reconciliation.sides.index(side)] if plan else ""
    st.caption(f"The plan calls it **{literal(label)}**." if label else HINTS.get(side, FURTHER_HINT))
    if editable:
        take_in(person, reconciliation, side)
        put_back(person, reconciliation, side)
    told = st.container()
    files = [
        file_card(person, reconciliation, side, stored, editable) for stored in files_of(person, reconciliation, side)
    ]
    for sentence in misfits(files):
        told.warning(sentence, icon=":material/join_left:")
    return files


def another_side(person: Actor, reconciliation: Reconciliation) -> None:
    """The button for more sides than two."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Add another side", icon=":material/add:", type="tertiary"):
            with explained():
                services().plans.add_side(person, reconciliation.id)
                st.rerun()


def lacking(sides: dict[str, list[StoredFile]]) -> str | None:
    """What keeps the mapping from beginning, in one sentence; None when nothing does."""
    *others, last = [f"the {TITLES[side].lower()}" for side, files in sides.items() if not files] or [""]
    if last:
        told = f"{', '.join(others)} and {last} need" if others else f"{last} needs"
        return f"{told[0].upper()}{told[1:]} a file to go on."
    for files in sides.values():
        refused = [file.name for file in files if file.status != "profiled"]
        if refused:
            return f"{', '.join(refused)} cannot be read: remove it, or read it differently, to go on."
        if not shared_columns(files):
            return (
                f"{', '.join(file.name for file in files)} have no column in common: remove those that do not belong."
            )
    return None


def main() -> None:
    """Draw the page."""
    person = actor()
    reconciliation = wizard.opened(
        person, "upload", "The files of each side, whichever way round. Nothing is changed in them."
    )
    editable = may(person, Action.FILE_UPLOAD)
    drift_view.show(person, reconciliation)
    sides: dict[str, list[StoredFile]] = {}
    for pair in zip_longest(reconciliation.sides[::2], reconciliation.sides[1::2]):
        for column, side in zip(st.columns(2, gap="large"), filter(None, pair), strict=False):
            with column:
                sides[side] = side_panel(person, reconciliation, side, editable)
    if editable and len(sides) < MOST_SIDES:
        another_side(person, reconciliation)
    seen: dict[str, str] = {}
    for side, file in ((side, file) for side, files in sides.items() for file in files):
        if seen.setdefault(file.sha256, side) != side:
            where = "both sides" if len(sides) == 2 else "two sides"
            st.warning(f"{literal(file.name)} is on {where}: it would match itself.", icon=":material/content_copy:")
    st.space("xsmall")
    lacks = lacking(sides)
    if not lacks and wizard.saved_plan(reconciliation) is None and may(person, Action.PLAN_EDIT):
        services().files.suggest_ahead(person, *wizard.file_ids(reconciliation))
    with st.container(horizontal=True, vertical_alignment="center", key="onwards"):
        if st.button("Continue to mapping", type="primary", icon=":material/arrow_forward:", disabled=bool(lacks)):
            services().plans.set_step(person, reconciliation.id, "map")
            if reconciliation.plan_json is None and may(person, Action.PLAN_EDIT):
                draft.suggest(person, reconciliation)  # before the next page begins, else that is drawn twice
            wizard.go("map", reconciliation)
        if lacks:
            st.caption(lacks)


main()
