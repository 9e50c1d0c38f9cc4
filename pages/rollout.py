"""Rollout: may a new version go on, how far has it come, what do people say. For administrators and auditors."""

from __future__ import annotations

import streamlit as st

from pages._shared import layout, tables, wording
from pages._shared.context import actor, fragment, services
from pages._shared.gauge import CONFIG, gauge
from pages._shared.messages import empty_state, explained
from services.permissions import Action, Actor, allowed
from services.rollout.board import Board, Line, Verdict
from services.rollout.service import PHASES, State, View

LOOKS = {
    Verdict.GO: ("Go", "green", ":material/check_circle:"),
    Verdict.WATCH: ("Between", "orange", ":material/visibility:"),
    Verdict.UNKNOWN: ("Not known", "gray", ":material/help:"),
    Verdict.NO_GO: ("No-go", "red", ":material/block:"),
}
PAST_HEADINGS = {"version": "Version", "status": "State", "phase": "Reached", "begun": "Begun (UTC)", "why": "Why"}
WORD_HEADINGS = {
    "at": "When",
    "rating": "Rating",
    "sentence": "Sentence",
    "page": "Page",
    "version": "Version",
    "who": "Who",
}


def sentence(board: Board) -> str:
    """The verdict in one sentence."""
    bad = ", ".join(line.measure.title.lower() for line in board.of(Verdict.NO_GO))
    unsure = ", ".join(line.measure.title.lower() for line in board.of(Verdict.WATCH, Verdict.UNKNOWN))
    if bad:
        return f"No-go: {bad} must be well again before a new version goes on."
    if unsure:
        return f"Not clearly go: look at {unsure} before a new version goes on."
    return "Go: every measure is well."


def standing(state: State) -> str:
    """How far the new version has come, in one sentence."""
    rollout = state.rollout
    if rollout is None:
        return "No rollout yet; blue serves everybody."
    if state.running is None:
        why = f" {wording.literal(rollout.reason)}" if rollout.reason else ""
        name = wording.literal(rollout.version)
        return f"**{name}** is {rollout.status}.{why} {state.serving.capitalize()} serves everybody."
    share = PHASES[rollout.phase]
    reach = f"{share} % of new visitors get it" if share else "only invited people get it"
    return f"**{wording.literal(rollout.version)}** is under way: {reach}."


def commands(state: State) -> list[str]:
    """What one may run on the server now."""
    on = ["advance", "rollback", "watch"] if state.running else ["start VERSION"]
    return [f"python -m ops rollout {part}" for part in ("status", *on)]


def card(line: Line) -> None:
    """One measure."""
    measure = line.measure
    label, colour, icon = LOOKS[line.verdict]
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric(measure.title, line.shown)
        st.badge(label, color=colour, icon=icon)  # type: ignore[arg-type]  # table of badge colours
        told = f"{measure.title}: {line.shown}, {label}"
        st.plotly_chart(gauge(line), config=CONFIG, key=f"gauge-{measure.name}", alt=told)
        st.caption(line.bounds.capitalize())


def past(view: View) -> None:
    """Earlier rollouts."""
    rows = [
        {
            "version": rollout.version,
            "status": rollout.status,
            "phase": f"{rollout.phase} %" if PHASES.get(rollout.phase) else rollout.phase,
            "begun": wording.minute(rollout.started_at),
            "why": rollout.reason or "",
        }
        for rollout in view.past
    ]
    if rows:
        st.subheader("Rollouts", anchor=False)
        tables.table(rows, PAST_HEADINGS, "rollouts")


def words(person: Actor) -> None:
    """What people say."""
    st.subheader("Feedback", anchor=False)
    given = services().feedback.list(person)
    if not given:
        empty_state("Nobody has said anything yet", "The button is in the sidebar of every page.", ":material/reviews:")
        return
    now = services().clock.now()
    rows = [
        {
            "at": wording.ago(word.at, now),
            "rating": f"{word.rating} of 5",
            "sentence": word.sentence,
            "page": word.page,
            "version": word.version,
            "who": word.person,
        }
        for word in given
    ]
    tables.table(rows, WORD_HEADINGS, "feedback")


@fragment(run_every=10)
def state(person: Actor) -> None:
    """The present state, asked for every ten seconds."""
    with explained():
        view = services().rollouts.view(person)
        st.markdown(f"#### {sentence(view.board)}")
        st.markdown(standing(view.state))
        with st.grid(5):
            for line in view.board.lines:
                card(line)
        if view.read_at is None:
            st.caption(
                "Nobody watches a rollout: these are the numbers of all instances together, of the last minutes. "
                "`python -m ops rollout watch` tells the versions apart."
            )
        else:
            ago = wording.ago(view.read_at, services().clock.now())
            st.caption(f"Read {ago}, of the version in {view.state.judged}. This page comes from {view.version}.")
        st.code("\n".join(commands(view.state)), language=None)
        past(view)


layout.page_title("Rollout", "Whether a new version may go on. It is moved by commands on the server.")
me = actor()
state(me)
if allowed(me.role, Action.FEEDBACK_READ):
    with explained():
        words(me)
