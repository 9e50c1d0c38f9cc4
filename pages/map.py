"""Step 2, Map: which column is which, and by which rules records match. Starts from a suggestion."""

from __future__ import annotations

import streamlit as st

from pages._shared import (
    draft,
    drift_view,
    duplicate_cards,
    mapping,
    plan_parts,
    questions,
    rule_cards,
    rule_counts,
    sides_map,
    wizard,
)
from pages._shared.context import actor, may
from pages._shared.marks import Marks, named
from pages._shared.messages import explained
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import Plan
from services.database.models import Reconciliation
from services.permissions import Action, Actor


def names(person: Actor, reconciliation: Reconciliation, plan: Plan, editable: bool) -> None:
    """What the sides are called, and the field that holds the currency."""
    marks = Marks()
    left, right, currency = st.columns(3)
    no_currency = "no currency field"
    options = [no_currency, *(spec.name for spec in plan.fields)]
    chosen = plan.currency.field if plan.currency else no_currency
    data = plan.to_data()
    data["left"]["label"] = left.text_input("Left side", plan.left.label, disabled=not editable)
    data["right"]["label"] = right.text_input("Right side", plan.right.label, disabled=not editable)
    picked = currency.selectbox(
        "Currency",
        options,
        index=options.index(chosen),
        disabled=not editable,
        help="Control totals are kept per value of this field",
    )
    data["currency"] = None if picked == no_currency else {"field": picked}
    for column, place in ((left, "left.label"), (right, "right.label"), (currency, "currency")):
        with column:
            marks.below(place)
    changed = (data["left"]["label"], data["right"]["label"], picked) != (plan.left.label, plan.right.label, chosen)
    if changed and not marks.show(draft.faults(data)):
        with explained():
            draft.save(person, reconciliation, data)
            draft.forget_edits(reconciliation)
            st.rerun()


def fields(person: Actor, reconciliation: Reconciliation, plan: Plan, columns: list[list[str]], editable: bool) -> None:
    """The table of fields. A change is saved as soon as the whole plan is valid."""
    st.subheader("Fields", anchor=False)
    st.caption(
        "One line per column that takes part. Double-click a cell to change it; add a line at the bottom. "
        "Of a field under Compare, the values that differ inside a match are listed."
    )
    suggested = {field["name"]: field for field in (reconciliation.suggestion_json or {}).get("fields", [])}
    key, now = draft.fields_key(reconciliation), (plan.fields, plan.compare)
    if key in st.session_state and st.session_state[key]["seen"] != now:
        draft.forget_edits(reconciliation)  # changed elsewhere: what this table shows is of yesterday
    if key not in st.session_state:
        names = {number: spec.name for number, spec in enumerate(plan.fields)}
        samples = draft.samples(person, reconciliation)
        st.session_state[key] = {"base": mapping.rows_of(plan, suggested, samples), "names": names, "seen": now}
    kept = st.session_state[key]
    version, marks = st.session_state.get("fields-version", 0), Marks()
    edited = mapping.editor(
        kept["base"], (columns[0], columns[1]), wizard.labels(plan), f"{key}-{version}", not editable
    )
    wrong = mapping.mistake(edited)
    if wrong:
        st.error(f"Not saved yet. {wrong}", icon=":material/error:")
        return
    data = mapping.applied(plan, edited, kept["names"])
    cells, found = mapping.cell_names(mapping.heads(wizard.labels(plan))), draft.faults(data)
    if marks.show_here(found, {fault.place: named(fault.place, data, cells) for fault in found}):
        return
    with explained():
        changed = Plan.build(data)
        if changed != plan:
            draft.save(person, reconciliation, data)
            kept["seen"] = (changed.fields, changed.compare)
            kept["names"] = {mapping.row_id(row): str(row["name"]) for row in edited if mapping.row_id(row) >= 0}
            st.rerun()


def main() -> None:
    """Draw the page."""
    person = actor()
    reconciliation = wizard.opened(
        person, "map", "Suggested from your files: check it, change what does not fit, then continue."
    )
    editable = may(person, Action.PLAN_EDIT)
    columns = draft.column_names(person, reconciliation)
    if not all(columns):
        st.info("The files are needed first.", icon=":material/upload_file:")
        if st.button("Back to upload"):
            wizard.go("upload", reconciliation)
        return
    plan = draft.ensure(person, reconciliation, columns)
    if isinstance(plan, SidesPlan):
        sides_map.show(person, reconciliation, plan, columns, editable)
        return
    drift_view.show(person, reconciliation)
    visual, file = plan_parts.tabs()
    with visual:
        questions.show(person, reconciliation, plan, editable)
        names(person, reconciliation, plan, editable)
        fields(person, reconciliation, plan, columns, editable)
        st.subheader("Rules", anchor=False)
        st.caption("They run from top to bottom; each works on what the rules above it left open. Strict rules first.")
        suggested = {rule["name"]: rule for rule in (reconciliation.suggestion_json or {}).get("rules", [])}
        counts = rule_cards.show(person, reconciliation, plan, suggested, editable)
        duplicate_cards.show(person, reconciliation, plan, editable)
    unapplied = plan_parts.plan_file(file, person, reconciliation, plan, editable)
    plan_parts.onwards(person, reconciliation, plan, editable, unapplied)
    rule_counts.fill(person, reconciliation, plan, counts)


main()
