"""Step 2, Map: which column is which, and by which rules records match. Starts from a suggestion."""

from __future__ import annotations

import streamlit as st

from pages._shared import (
    combine,
    draft,
    drift_view,
    duplicate_cards,
    mapping,
    other_files,
    plan_parts,
    questions,
    rule_cards,
    rule_counts,
    sides_map,
    why_suggested,
    wizard,
)
from pages._shared.context import actor, may
from pages._shared.marks import Marks, named
from pages._shared.messages import explained
from pages._shared.wording import count
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import Plan
from services.database.models import Reconciliation
from services.permissions import Action, Actor


def names(person: Actor, reconciliation: Reconciliation, plan: Plan, editable: bool) -> bool:
    """What the sides are called, and the field that holds the currency. True while a change of it is not saved."""
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
    return changed


def fields(person: Actor, reconciliation: Reconciliation, plan: Plan, own: list[list[str]], editable: bool) -> bool:
    """The table of fields. A change is saved as soon as the whole plan is valid; true while it is not."""
    st.subheader("Fields", anchor=False)
    change = " Double-click a cell to change it; add a line at the bottom." if editable else ""
    st.caption(
        f"One line per column that takes part.{change} Compare lists where the values of a field differ inside a match."
    )
    suggested = draft.still_suggested(reconciliation, plan, "fields")
    special = mapping.read_specially(plan)
    with st.container(horizontal=True, vertical_alignment="center", key="field-tools"):
        reading = st.toggle(
            "Show cleaning, date formats and digits" + (f" (in use for {count(special, 'field')})" if special else ""),
            key="fields-reading",
            on_change=draft.forget_edits,
            args=(reconciliation,),
            width="content",
        )
        why_suggested.on_demand(suggested)
        if editable:
            combine.tool(person, reconciliation, plan, own)
    key, now = draft.fields_key(reconciliation), (plan.fields, plan.compare)
    if key in st.session_state and st.session_state[key]["seen"] != now:
        draft.forget_edits(reconciliation)  # changed elsewhere: what this table shows is of yesterday
    if key not in st.session_state:
        names = {number: spec.name for number, spec in enumerate(plan.fields)}
        samples = draft.samples(person, reconciliation, plan)
        base = mapping.rows_of(plan, suggested, samples)
        st.session_state[key] = {"base": base, "names": names, "seen": now, "suggested": set(suggested)}
    kept = st.session_state[key]
    version, marks = st.session_state.get("fields-version", 0), Marks()
    left, right = draft.readable(plan, own)
    edited = mapping.editor(kept["base"], (left, right), wizard.labels(plan), f"{key}-{version}", not editable, reading)
    if editable:
        why_suggested.least_sure(suggested)
    combine.made(person, reconciliation, plan, editable)
    wrong = mapping.mistake(edited)
    if wrong:
        st.error(f"Not saved yet. {wrong}", icon=":material/error:")
        return True
    data = mapping.applied(plan, edited, kept["names"])
    cells, found = mapping.cell_names(mapping.heads(wizard.labels(plan))), draft.faults(data)
    if marks.show_here(found, {fault.place: named(fault.place, data, cells) for fault in found}):
        return True
    with explained():
        changed = Plan.build(data)
        if changed != plan:
            draft.save(person, reconciliation, data, mapping.what_changed(kept["names"], edited))
            if set(draft.still_suggested(reconciliation, changed, "fields")) != kept["suggested"]:
                draft.forget_edits(reconciliation)  # how sure a suggestion was says nothing of what took its place
            kept["seen"] = (changed.fields, changed.compare)
            kept["names"] = {mapping.row_id(row): str(row["name"]) for row in edited if mapping.row_id(row) >= 0}
            st.rerun()
    return False


def main() -> None:
    """Draw the page."""
    person = actor()
    editable = may(person, Action.PLAN_EDIT)
    change = ": check it, change what does not fit, then continue" if editable else ""
    reconciliation = wizard.titled(person, "map", f"Which column is which, and when records match{change}.")
    steps = wizard.MapSteps(person, reconciliation)
    columns = draft.column_names(person, reconciliation)
    if not all(columns):
        steps.hold(True)
        st.info("The files are needed first.", icon=":material/upload_file:")
        if st.button("Back to upload"):
            wizard.go("upload", reconciliation)
        return
    plan = draft.ensure(person, reconciliation)
    other_files.refuse(person, reconciliation, plan, editable, steps)
    draft.remember_untouched(reconciliation, plan)
    if isinstance(plan, SidesPlan):
        sides_map.show(person, reconciliation, plan, columns, editable, steps)
        return
    drift_view.show(person, reconciliation)
    visual, file = plan_parts.tabs()
    with visual:
        unanswered = questions.show(person, reconciliation, plan, editable)
        unsaved = names(person, reconciliation, plan, editable)
        unsaved |= fields(person, reconciliation, plan, columns, editable)
        st.subheader("Rules", anchor=False)
        st.caption("They run from top to bottom; each works on what the rules above it left open. Strict rules first.")
        suggested = draft.still_suggested(reconciliation, plan, "rules")
        counts = rule_cards.show(person, reconciliation, plan, suggested, editable)
        twice = duplicate_cards.show(person, reconciliation, plan, editable)
    unapplied = plan_parts.plan_file(file, person, reconciliation, plan, editable)
    waits = plan_parts.waiting(unsaved, unapplied, unanswered and editable)
    plan_parts.onwards(person, reconciliation, plan, editable, waits)
    steps.hold(bool(waits))
    rule_counts.fill(person, reconciliation, plan, (*counts, twice))


main()
