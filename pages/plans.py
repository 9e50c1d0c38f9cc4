"""Plans: those that were saved, each usable for new files."""

from __future__ import annotations

import streamlit as st

from pages._shared import layout, plan_versions, wording
from pages._shared.context import actor, may, services
from pages._shared.messages import empty_state, explained, notice
from recon_engine.nway.any_plan import parse_plan
from services.database.models import PlanTemplate
from services.permissions import Action, Actor


def card(person: Actor, template: PlanTemplate, editable: bool) -> None:
    """One saved plan: what it does, and what can be done with it."""
    plan = parse_plan(template.yaml)
    with st.container(border=True):
        text, buttons = st.columns([4, 2], vertical_alignment="center")
        described = text.container(gap="xxsmall")
        described.markdown(f"**{wording.literal(template.name)}**")
        described.caption(
            f"{' against '.join(plan.labels.values())} · {wording.count(len(plan.fields), 'field')} · "
            f"{wording.count(len(plan.rules), 'rule')} · "
            f"saved {wording.ago(template.updated_at, services().clock.now())}"
        )
        with buttons.container(horizontal=True, horizontal_alignment="right"):
            if editable and st.button("Use", key=f"use-{template.id}", type="primary", icon=":material/play_arrow:"):
                with explained():
                    started = services().plans.start(person, template.name)
                    services().plans.apply_template(person, template.id, started.id)
                    st.switch_page("upload.py", query_params={"r": started.id})
            st.download_button(
                "Download",
                template.yaml,
                f"{template.name}.yaml",
                "application/yaml",
                key=f"download-{template.id}",
                on_click="ignore",
                icon=":material/download:",
            )
            if editable:
                _removal(person, template)
        with st.expander("Rules"):
            for place, rule in enumerate(plan.rules, start=1):
                st.markdown(f"{place}. **{wording.literal(rule.name)}**: {wording.rule_in(plan, rule)}")
        with st.expander(f"Versions and copies · version {template.version}"):
            plan_versions.show(person, template, editable)


def _removal(person: Actor, template: PlanTemplate) -> None:
    """Off the list, once that is confirmed: nothing brings it back."""
    with st.popover("", key=f"archive-{template.id}", help="Remove from the list", icon=":material/delete:"):
        st.markdown(f"Remove **{wording.literal(template.name)}** and its versions from the list?")
        st.caption("What was begun or run with it stays as it is.")
        if st.button("Remove plan", key=f"archive-now-{template.id}", type="primary"):
            with explained():
                services().plans.archive_template(person, template.id)
                notice(f"'{template.name}' is removed from the list.")
                st.rerun()


def take_file(person: Actor) -> None:
    """A plan file becomes a saved plan under its own name; under the name of a saved one, its next version."""
    with st.popover("Upload a plan file", icon=":material/upload:"):
        given = st.file_uploader("A plan as YAML", type=["yaml", "yml"], key="plan-upload")
        if given is not None and st.button("Save", type="primary", key="plan-upload-save"):
            with explained():
                plan = parse_plan(given.getvalue().decode("utf-8", "replace"), where=given.name)
                saved = services().plans.save_template(person, plan.name, plan)
                notice(f"'{saved.name}' is saved, version {saved.version}.")
                st.rerun()


def main() -> None:
    """Draw the page."""
    person = actor()
    layout.page_title("Plans", "A saved plan reconciles next month's files the same way.")
    if may(person, Action.PLAN_EDIT):
        take_file(person)
    templates = services().plans.templates(person)
    if not templates:
        empty_state(
            "No saved plan yet",
            "Prepare a reconciliation and choose 'Save plan' on its Map step.",
            ":material/bookmark:",
        )
    for template in templates:
        card(person, template, may(person, Action.PLAN_EDIT))


main()
