"""Health: whether the platform and what it depends on are well. A page to leave open on a wall; for administrators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import streamlit as st

from pages._shared import health_board as board
from pages._shared import layout, wording
from pages._shared.charts import CONFIG
from pages._shared.context import actor, dialog, fragment, may, services
from pages._shared.messages import explained, notice
from services.errors import Unavailable
from services.permissions import Action, Actor
from services.rolling import STEP

SECONDS = 5
SPANS = {
    "5 min": (timedelta(minutes=5), STEP),
    "1 h": (timedelta(hours=1), timedelta(minutes=1)),
    "24 h": (timedelta(hours=24), timedelta(minutes=15)),
}
LIMITS_SHOWN = 4


def backups(person: Actor, now: datetime) -> list[board.Card]:
    """The newest backup, and the last drill."""
    found = services().operations.backups(person)
    newest, drill = found.newest, found.drills[0] if found.drills else None
    old = found.automated and (newest is None or now - newest.started_at > timedelta(hours=2))
    activity = services().operations.activity(person)
    doing = [f"{activity.work}: {activity.doing}"] if activity and (activity.running or activity.failed) else []
    made = [f"newest {wording.ago(newest.started_at, now)}" if newest else "none yet", *doing]
    drilled = [f"{drill.status} {wording.ago(drill.started_at, now)}" if drill else "never drilled"]
    failed = drill is not None and drill.status == "failed"
    return [
        board.Card("Backups", made, "degraded" if old else "ok", "hourly" if found.automated else "by hand"),
        board.Card("Drill", drilled, "degraded" if failed else "ok" if drill else "quiet"),
    ]


def queues(person: Actor) -> list[board.Card]:
    """What waits, and what was paused."""
    depths = services().rolling.depths(person)
    under_way = services().jobs.under_way(person)
    paused = sum(job.status == "paused" for job in under_way)
    lines = [
        f"{wording.count(depths['jobs'], 'run')} waiting" + (f", {paused} paused" if paused else ""),
        f"{wording.count(depths['mails'], 'mail')} waiting",
        f"{wording.count(depths['spool'], 'file')} waiting for S3",
    ]
    return [board.Card("Queues", lines)]


@fragment(run_every=SECONDS, through_outages=True)
def state(person: Actor) -> None:
    """The present state, asked for every few seconds; it needs nothing that may be away."""
    with explained():
        now = services().clock.now()
        health = services().health.overview(person)
        windows = {name: services().rolling.figures(person, *span) for name, span in SPANS.items()}
        tiles = board.figures({name: window.whole for name, window in windows.items()})
        refused = list(windows["24 h"].whole.refused.items())[:LIMITS_SHOWN]
        limits = [f"{action.replace('_', ' ')}: {wording.count(count, 'call')} refused" for action, count in refused]
        try:
            known = [] if health.status == "down" else [*queues(person), *backups(person, now)]
        except Unavailable:
            known = []
        cards = board.dependencies(health) + (
            known
            or [board.Card(title, ["not known while the database is away"]) for title in ("Queues", "Backups", "Drill")]
        )
        board.style()
        note = f"{now:%H:%M:%S} UTC · version {board.version()}"
        board.banner(*board.sentence(health, tiles, cards), note)
        board.row(tiles, 5)
        if not all(tile.is_judged for tile in tiles if tile.title != "Requests"):
            st.caption(board.JUDGED)
        board.row([*cards, board.Card("Limits", limits or ["nobody was refused"], aside="24 h")], 5)
        span = st.segmented_control("Charts of the last", list(SPANS), default="1 h", key="span", required=True)
        for place, draw in zip(st.columns(3), (board.crash_free, board.traffic, board.times), strict=True):
            with place:
                figure = draw(windows[str(span)])
                st.plotly_chart(figure, config=CONFIG, key=f"chart-{draw.__name__}", alt=str(figure.layout.title.text))


def confirm(person: Actor, title: str, what: str, act: Callable[[Actor], str]) -> None:
    """Ask once more; then do it, as whoever is signed in by then, and say how it went."""

    def ask(asked: Actor) -> None:
        st.markdown(what)
        if st.button(title, type="primary", key="confirmed"):
            with explained():
                notice(act(asked))
                st.rerun()

    dialog(title)(ask)(person)


def back_up(person: Actor) -> str:
    """Make a backup."""
    services().operations.back_up(person)
    return "The backup has begun."


def drill(person: Actor) -> str:
    """Run a drill."""
    services().operations.drill(person)
    return "The drill has begun."


def retry_mail(person: Actor) -> str:
    """Try the mails again that were given up."""
    return f"{wording.count(services().mail.retry_parked(person), 'mail')} tried again."


def sync_spool(person: Actor) -> str:
    """Move what waits for S3."""
    return f"{wording.count(services().mover.sync_now(person), 'file')} on the way to S3."


ACTIONS = (
    (Action.BACKUP_RUN, "Back up now", ":material/backup:", back_up,
     "A backup of the database and the files is made and verified. People can go on working."),
    (Action.BACKUP_RUN, "Run a drill", ":material/fitness_center:", drill,
     "The newest backup is restored into a scratch database and compared. The live database is not touched."),
    (Action.MAIL_RETRY, "Retry mail", ":material/forward_to_inbox:", retry_mail,
     "Mails that were given up are tried again for another day."),
    (Action.STORAGE_SYNC, "Sync spool", ":material/cloud_sync:", sync_spool,
     "Files that are kept on the servers are moved to S3 now."),
)  # fmt: skip


@dialog("Pause or resume a run")
def hold(person: Actor) -> None:
    """Choose a run that has not ended; pause or resume it."""
    jobs = {job.id: job for job in services().jobs.under_way(person)}
    if not jobs:
        st.markdown("No run is waiting, running or paused.")
        return
    now = services().clock.now()

    def told(job_id: str) -> str:
        job = jobs[job_id]
        return f"{wording.STATUS_LOOKS[job.status][0]} · asked for {wording.ago(job.created_at, now)} · {job.id[:8]}"

    chosen = jobs[st.selectbox("Run", list(jobs), format_func=told)]
    if chosen.status == "paused":
        st.markdown("The run goes back into the queue, at its old place.")
    else:
        st.markdown("The run is held until somebody resumes it. One that is running begins anew then.")
    verb = "Resume" if chosen.status == "paused" else "Pause"
    if st.button(verb, type="primary", key="confirmed", disabled=chosen.status == "cancelling"):
        with explained():
            act = services().jobs.resume if chosen.status == "paused" else services().jobs.pause
            act(person, chosen.id)
            notice(f"The run is {verb.lower()}d.")
            st.rerun()


def actions(person: Actor) -> None:
    """What an administrator may do from here, each after a second question."""
    with st.container(horizontal=True):
        for action, title, icon, act, what in ACTIONS:
            if may(person, action) and st.button(title, icon=icon):
                confirm(person, title, what, act)
        if may(person, Action.JOB_PAUSE) and st.button("Pause or resume a run", icon=":material/pause_circle:"):
            hold(person)


def main() -> None:
    """Draw the page."""
    person = actor()
    layout.page_title("Health")
    state(person)
    actions(person)


main()
