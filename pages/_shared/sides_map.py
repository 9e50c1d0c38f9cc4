"""The Map step of more than two sides: names, fields with a column for each side, rules by pair, the plan as a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages._shared import (
    combine,
    draft,
    duplicate_cards,
    plan_parts,
    questions,
    rule_cards,
    rule_counts,
    sides_fields,
    why_suggested,
    wizard,
)
from pages._shared.mapping import row_id, what_changed
from pages._shared.marks import Marks, named
from pages._shared.messages import explained
from recon_engine.nway.plan import SidesPlan
from services.database.models import Reconciliation
from services.permissions import Actor
from services.sides import by_name

INCOMPLETE = {
    "break": "stays open, as breaks",
    "suggest": "is suggested, for a person to confirm",
    "match": "counts as a match",
}
NO_CURRENCY = "no currency field"


def show(
    person: Actor,
    reconciliation: Reconciliation,
    plan: SidesPlan,
    columns: Sequence[Sequence[str]],
    editable: bool,
    steps: wizard.MapSteps,
) -> None:
    """Draw the step below its title and stepper."""
    visual, file = plan_parts.tabs()
    with visual:
        unanswered = questions.show(person, reconciliation, plan, editable)
        unsaved = _names(person, reconciliation, plan, editable)
        unsaved |= _fields(person, reconciliation, plan, columns, editable)
        st.subheader("Rules", anchor=False)
        st.caption(
            "Each looks at two sides; those of the same two run from top to bottom. What they link over all sides "
            "becomes one match. What cancels out inside one side is taken out first."
        )
        suggested = draft.still_suggested(reconciliation, plan, "rules")
        counts = rule_cards.show(person, reconciliation, plan, suggested, editable)
        twice = duplicate_cards.show(person, reconciliation, plan, editable)
    unapplied = plan_parts.plan_file(file, person, reconciliation, plan, editable)
    waits = plan_parts.waiting(unsaved, unapplied, unanswered and editable)
    plan_parts.onwards(person, reconciliation, plan, editable, waits)
    steps.hold(bool(waits))
    rule_counts.fill(person, reconciliation, plan, (*counts, twice))


def _save(person: Actor, reconciliation: Reconciliation, data: dict[str, Any]) -> None:
    with explained():
        draft.save(person, reconciliation, data)
        draft.forget_edits(reconciliation)
        st.rerun()


def _names(person: Actor, reconciliation: Reconciliation, plan: SidesPlan, editable: bool) -> bool:
    """What the sides are called, the field that holds the currency, and what a group is that lacks a side. True while a
    change of it is not saved.
    """
    marks, data = Marks(), plan.to_data()
    places, titles = st.columns(len(plan.sides)), list(wizard.TITLES.values())
    for number, (place, side) in enumerate(zip(places, plan.sides, strict=True)):
        with place:
            data["sides"][number]["label"] = st.text_input(
                titles[number], side.title, disabled=not editable, key=f"side-label-{side.name}-{side.title}"
            )
            marks.below(f"sides[{number}]")
    currency, incomplete = st.columns(2)
    options = [NO_CURRENCY, *(spec.name for spec in plan.fields)]
    now = plan.currency.field if plan.currency else NO_CURRENCY
    with currency:
        picked = st.selectbox(
            "Currency",
            options,
            index=options.index(now),
            disabled=not editable,
            help="Control totals are kept per value of this field",
        )
        marks.below("currency")
    data["currency"] = None if picked == NO_CURRENCY else {"field": picked}
    data["incomplete"] = incomplete.selectbox(
        "A group that lacks a side",
        list(INCOMPLETE),
        index=list(INCOMPLETE).index(plan.incomplete),
        format_func=INCOMPLETE.__getitem__,
        disabled=not editable,
        help="Records that belong together on some sides, while another side has none for them",
    )
    labels = [side["label"] for side in data["sides"]]
    changed = (labels, picked, data["incomplete"]) != ([*plan.labels.values()], now, plan.incomplete)
    if changed and not marks.show(draft.faults(data)):
        _save(person, reconciliation, data)
    return changed


def _fields(
    person: Actor, reconciliation: Reconciliation, plan: SidesPlan, columns: Sequence[Sequence[str]], editable: bool
) -> bool:
    """The table of fields. A change is saved as soon as the whole plan is valid; true while it is not."""
    st.subheader("Fields", anchor=False)
    st.caption(
        "One line per thing that sides have in common, and its column on each side that has it."
        + (" Double-click a cell to change it; add a line at the bottom." if editable else "")
        + " Clean steps and date formats stand in the plan file."
    )
    suggested = draft.still_suggested(reconciliation, plan, "fields")
    with st.container(horizontal=True, vertical_alignment="center", key="field-tools"):
        why_suggested.on_demand(suggested)
        if editable:
            combine.tool(person, reconciliation, plan, columns)
    key, now = draft.fields_key(reconciliation), (plan.fields, plan.compare, plan.labels)
    if key in st.session_state and st.session_state[key]["seen"] != now:
        draft.forget_edits(reconciliation)  # changed elsewhere: what this table shows is of yesterday
    if key not in st.session_state:
        names = {number: spec.name for number, spec in enumerate(plan.fields)}
        base = sides_fields.rows_of(plan, suggested)
        st.session_state[key] = {"base": base, "names": names, "seen": now, "suggested": set(suggested)}
    kept = st.session_state[key]
    version, marks = st.session_state.get("fields-version", 0), Marks()
    own = by_name(plan, draft.readable(plan, columns))
    edited = sides_fields.editor(kept["base"], plan, own, f"{key}-{version}", not editable)
    if editable:
        why_suggested.least_sure(suggested)
    combine.made(person, reconciliation, plan, editable)
    if wrong := sides_fields.mistake(edited):
        st.error(f"Not saved yet. {wrong}", icon=":material/error:")
        return True
    data = sides_fields.applied(plan, edited, kept["names"])
    found = draft.faults(data)
    if marks.show_here(found, {fault.place: named(fault.place, data, {}) for fault in found}):
        return True
    with explained():
        changed = SidesPlan.build(data)
        if changed != plan:
            draft.save(person, reconciliation, data, what_changed(kept["names"], edited))
            if set(draft.still_suggested(reconciliation, changed, "fields")) != kept["suggested"]:
                draft.forget_edits(reconciliation)  # how sure a suggestion was says nothing of what took its place
            kept["seen"] = (changed.fields, changed.compare, changed.labels)
            kept["names"] = {row_id(row): str(row["name"]) for row in edited if row_id(row) >= 0}
            st.rerun()
    return False
