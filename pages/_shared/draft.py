"""The plan in preparation: suggested from the two files, changed part by part, saved at every valid change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages._shared.context import services
from pages._shared.messages import notice
from recon_engine.errors import Fault, PlanError
from recon_engine.plan import SIDES, Plan, SideName
from services.database.models import Reconciliation, StoredFile
from services.errors import Invalid
from services.fit import shared_columns
from services.permissions import Actor


def column_names(person: Actor, reconciliation: Reconciliation) -> tuple[list[str], list[str]]:
    """The columns of the left and of the right side: those that all files of the side have."""
    left, right = (list(shared_columns(files_of(person, reconciliation, side))) for side in SIDES)
    return left, right


def samples(person: Actor, reconciliation: Reconciliation) -> dict[tuple[SideName, str], str]:
    """A few values of every column, by side and column, as one text."""
    return {
        (side, name): ", ".join(map(str, column["samples"][:3]))
        for side in SIDES
        for name, column in shared_columns(files_of(person, reconciliation, side)).items()
    }


def files_of(person: Actor, reconciliation: Reconciliation, side: SideName) -> list[StoredFile]:
    """The files of one side."""
    return [services().files.get(person, one) for one in reconciliation.file_ids(side)]


def ensure(person: Actor, reconciliation: Reconciliation, left: Sequence[str], right: Sequence[str]) -> Plan:
    """The saved plan when it fits the two files; else the one suggested from them, saved at once."""
    plan = Plan.build(reconciliation.plan_json) if reconciliation.plan_json else None
    if plan is None or not all(spec.left in left and spec.right in right for spec in plan.fields):
        with st.spinner("Reading both files to propose fields and rules"):
            suggest(person, reconciliation, left, right)
        if plan is not None:
            notice("The plan names columns that these files do not have: a new one is suggested from the files.")
        st.rerun()
    return plan


def suggest(person: Actor, reconciliation: Reconciliation, left: Sequence[str], right: Sequence[str]) -> None:
    """Take the plan suggested from the two files; when nothing fits, one that only joins the first columns."""
    ids = [reconciliation.file_ids(side) for side in SIDES]
    try:
        proposed = services().files.suggest(person, *ids)
    except Invalid as error:
        proposed = {"plan": _first_columns(reconciliation.name, left[0], right[0]), "questions": [str(error)]}
    # The engine names the files where it read them; people know them by the names they uploaded.
    names = {side: [file.name for file in files_of(person, reconciliation, side)] for side in SIDES}
    plan = Plan.build(proposed["plan"]).with_files(names["left"], names["right"])
    services().plans.set_suggestion(person, reconciliation.id, proposed)
    services().plans.set_plan(person, reconciliation.id, plan)
    forget_edits(reconciliation)


def _first_columns(name: str, left: str, right: str) -> dict[str, Any]:
    return {
        "name": name,
        "left": {"label": "Left"},
        "right": {"label": "Right"},
        "fields": [{"name": "key", "left": left, "right": right}],
        "rules": [{"name": "exact", "on": ["key"]}],
    }


def faults(plan: dict[str, Any] | str) -> tuple[Fault, ...]:
    """What is wrong with a plan, as data or as a file's text, each at its place; empty when it can be saved."""
    try:
        if isinstance(plan, str):
            Plan.parse(plan)
        else:
            Plan.build(plan)
    except PlanError as error:
        return error.faults or (Fault("", str(error)),)
    return ()


def save(person: Actor, reconciliation: Reconciliation, data: dict[str, Any]) -> None:
    """Keep the plan. Raises, and keeps nothing, when it is wrong."""
    services().plans.set_plan(person, reconciliation.id, data)


def forget_edits(reconciliation: Reconciliation) -> None:
    """Let the table of fields start again from the saved plan, after it changed elsewhere."""
    st.session_state.pop(fields_key(reconciliation), None)
    st.session_state["fields-version"] = st.session_state.get("fields-version", 0) + 1


def fields_key(reconciliation: Reconciliation) -> str:
    """Where the session keeps what the table of fields started from."""
    return f"fields-{reconciliation.id}"


def with_rule(plan: Plan, place: int | None, rule: dict[str, Any]) -> dict[str, Any]:
    """The plan's data with the rule at `place` replaced, or added at the end."""
    data = plan.to_data()
    if place is None:
        data["rules"].append(rule)
    else:
        data["rules"][place] = rule
    return data


def with_rule_moved(plan: Plan, place: int, by: int) -> dict[str, Any]:
    """The plan's data with one rule moved up (-1) or down (+1)."""
    data = plan.to_data()
    data["rules"].insert(place + by, data["rules"].pop(place))
    return data


def without_rule(plan: Plan, place: int) -> dict[str, Any]:
    """The plan's data without one rule."""
    data = plan.to_data()
    del data["rules"][place]
    return data


def with_duplicates(plan: Plan, side: SideName, search: dict[str, Any] | None) -> dict[str, Any]:
    """The plan's data with another search for duplicates on one side; None: that side is not searched."""
    data = plan.to_data()
    data["duplicates"] = {**data.get("duplicates", {}), side: search}
    return data
