"""Step 2, Map: which column is which, and by which rules records match. Starts from a suggestion."""

from __future__ import annotations

import streamlit as st

from pages._shared import draft, drift_view, duplicate_cards, mapping, questions, rule_cards, rule_counts, wizard
from pages._shared.context import actor, may, services
from pages._shared.marks import Marks, named
from pages._shared.messages import explained, notice
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


def fields(
    person: Actor, reconciliation: Reconciliation, plan: Plan, columns: tuple[list[str], list[str]], editable: bool
) -> None:
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
    edited = mapping.editor(kept["base"], columns, wizard.labels(plan), f"{key}-{version}", not editable)
    wrong = mapping.mistake(edited)
    if wrong:
        st.error(f"Not saved yet. {wrong}", icon=":material/error:")
        return
    data = mapping.applied(plan, edited, kept["names"])
    cells, found = mapping.cell_names(wizard.labels(plan)), draft.faults(data)
    if marks.show_here(found, {fault.place: named(fault.place, data, cells) for fault in found}):
        return
    with explained():
        changed = Plan.build(data)
        if changed != plan:
            draft.save(person, reconciliation, data)
            kept["seen"] = (changed.fields, changed.compare)
            kept["names"] = {mapping.row_id(row): str(row["name"]) for row in edited if mapping.row_id(row) >= 0}
            st.rerun()


def plan_file(person: Actor, reconciliation: Reconciliation, plan: Plan, editable: bool) -> None:
    """The plan as the command line reads it."""
    st.caption("The same plan as a file. `python -m recon_engine run` takes it as it is.")
    marks = Marks()
    with st.container(key="plan-file"):
        text = st.text_area("Plan", plan.to_yaml(), height=520, disabled=not editable, label_visibility="collapsed")
    with st.container(horizontal=True):
        applied = st.button("Apply", type="primary", disabled=not editable or text == plan.to_yaml())
        st.download_button(
            "Download", plan.to_yaml(), file_name="plan.yaml", mime="application/yaml", on_click="ignore"
        )
    found = draft.faults(text) if applied else ()
    if applied and not marks.show_here(found, {fault.place: fault.place for fault in found}):
        with explained():
            draft.save(person, reconciliation, Plan.parse(text).to_data())
            draft.forget_edits(reconciliation)
            notice("The plan is applied.")
            st.rerun()


def onwards(person: Actor, reconciliation: Reconciliation, plan: Plan, editable: bool) -> None:
    """Back, keep as a template, and on to the run."""
    with st.container(horizontal=True, key="onwards"):
        if st.button("Back to upload", icon=":material/arrow_back:"):
            wizard.go("upload", reconciliation)
        if editable:
            with st.popover("Save as template", icon=":material/bookmark_add:"):
                name = st.text_input("Template name", plan.name)
                if st.button("Save", key="save-template"):
                    with explained():
                        saved = services().plans.save_template(person, name, plan, reconciliation.id)
                        notice(f"'{saved.name}' is saved under Plans, version {saved.version}.")
                        st.rerun()
        if st.button("Continue to run", type="primary", icon=":material/arrow_forward:"):
            wizard.go("run", reconciliation)


def main() -> None:
    """Draw the page."""
    person = actor()
    reconciliation = wizard.opened(
        person, "map", "Check the suggestion: what cannot be decided from the data is asked."
    )
    editable = may(person, Action.PLAN_EDIT)
    columns = draft.column_names(person, reconciliation)
    if not all(columns):
        st.info("Both files are needed first.", icon=":material/upload_file:")
        if st.button("Back to upload"):
            wizard.go("upload", reconciliation)
        return
    plan = draft.ensure(person, reconciliation, *columns)
    drift_view.show(person, reconciliation)
    visual, file = st.tabs(["Fields and rules", "Plan file"])
    with visual:
        questions.show(person, reconciliation, plan, editable)
        names(person, reconciliation, plan, editable)
        fields(person, reconciliation, plan, columns, editable)
        st.subheader("Rules", anchor=False)
        st.caption("They run from top to bottom; each works on what the rules above it left open. Strict rules first.")
        suggested = {rule["name"]: rule for rule in (reconciliation.suggestion_json or {}).get("rules", [])}
        counts = rule_cards.show(person, reconciliation, plan, suggested, editable)
        st.subheader("Duplicates", anchor=False)
        st.caption("Each side can be searched for records that are the same thing twice, before the rules run.")
        duplicate_cards.show(person, reconciliation, plan, editable)
    with file:
        plan_file(person, reconciliation, plan, editable)
    onwards(person, reconciliation, plan, editable)
    rule_counts.fill(person, reconciliation, plan, counts)


main()
