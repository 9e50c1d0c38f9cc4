"""Backups: what there is, why it is kept, when it goes, and whether it can be restored. For administrators."""

from __future__ import annotations

import streamlit as st

from pages._shared import layout, tables, wording
from pages._shared.context import actor, fragment, may, services
from pages._shared.messages import empty_state, explained, notice
from services.operations import Activity, BackupLine, Backups
from services.permissions import Action, Actor

HEADINGS = {
    "made": "Made (UTC)",
    "age": "Age",
    "state": "State",
    "size": "Size",
    "rows": "Rows",
    "how": "How",
    "why": "Kept because",
    "id": "Id",
}
DRILL_HEADINGS = {"made": "Begun (UTC)", "state": "Result", "detail": "What it proved", "backup": "Backup"}
WORK = {"backup": "Backup", "drill": "Drill"}


def why(line: BackupLine) -> str:
    """Why a backup stays, or when it goes."""
    if line.error:
        return line.error
    if line.removal_at is not None:
        return f"nothing: removed after {wording.minute(line.removal_at)}"
    return ", ".join(line.kept_because)


def shown(line: BackupLine) -> dict[str, str]:
    """One backup as a row of the table."""
    return {
        "made": wording.second(line.started_at),
        "age": wording.ago(line.started_at, services().clock.now()),
        "state": line.status,
        "size": "" if line.size_bytes is None else wording.size(line.size_bytes),
        "rows": "" if line.rows is None else wording.number(line.rows),
        "how": "scheduled" if line.scheduled else "by hand",
        "why": why(line),
        "id": line.id[:8],
    }


def figures(found: Backups) -> None:
    """The four numbers that matter."""
    now = services().clock.now()
    going = [line.removal_at for line in found.lines if line.removal_at is not None]
    drill = found.drills[0] if found.drills else None
    with st.grid(4):
        newest = found.newest
        st.metric("Newest verified", wording.ago(newest.started_at, now) if newest else "none", border=True)
        st.metric(
            "Last drill", f"{drill.status}, {wording.ago(drill.started_at, now)}" if drill else "none", border=True
        )
        st.metric("Next removal", wording.minute(min(going)) if going else "none due", border=True)
        st.metric("Schedule", "hourly" if found.automated else "off", border=True)


def progress(activity: Activity | None) -> None:
    """What is being done, or how it ended."""
    if activity is None:
        return
    what = WORK[activity.work]
    if activity.running:
        st.info(f"{what}: {activity.doing} …", icon=":material/progress_activity:")
    elif activity.failed:
        st.error(f"{what} failed: {wording.literal(activity.doing)}", icon=":material/error:")
    else:
        st.success(f"{what}: {wording.literal(activity.doing)}", icon=":material/verified:")


@fragment(run_every=2)
def state(person: Actor) -> None:
    """The present state, asked for every two seconds."""
    with explained():
        progress(services().operations.activity(person))
        found = services().operations.backups(person)
        figures(found)
        if found.lines:
            tables.table([shown(line) for line in found.lines], HEADINGS, "backups", amounts=("size", "rows"))
        else:
            empty_state("No backups yet", "Make the first one with the button above.", ":material/backup:")
        if found.drills:
            st.subheader("Drills", anchor=False)
            rows = [
                {
                    "made": wording.second(drill.started_at),
                    "state": drill.status,
                    "detail": drill.detail,
                    "backup": (drill.backup_id or "")[:8],
                }
                for drill in found.drills
            ]
            tables.table(rows, DRILL_HEADINGS, "drills")


def buttons(person: Actor) -> None:
    """What an administrator may have done."""
    with st.container(horizontal=True):
        if st.button("Back up now", type="primary", icon=":material/backup:"):
            with explained():
                services().operations.back_up(person)
                notice("The backup has begun.")
                st.rerun()
        if st.button(
            "Run a drill", icon=":material/fitness_center:", help="Restores the newest into a scratch database"
        ):
            with explained():
                services().operations.drill(person)
                notice("The drill has begun.")
                st.rerun()


def main() -> None:
    """Draw the page."""
    person = actor()
    layout.page_title("Backups", "Verified copies of the database and the files. They are restored on the server.")
    if may(person, Action.BACKUP_RUN):
        buttons(person)
    state(person)


main()
