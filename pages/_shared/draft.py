"""The plan in preparation: suggested from the two files, changed part by part, saved at every valid change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages._shared.context import services
from pages._shared.messages import notice
from recon_engine.errors import Fault, PlanError
from recon_engine.nway.any_plan import AnyPlan, build_plan, parse_plan
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import SIDES
from services.database.models import Reconciliation, StoredFile
from services.errors import Invalid
from services.fit import shared_columns
from services.permissions import Actor
from services.sides import by_name, with_files


def column_names(person: Actor, reconciliation: Reconciliation) -> list[list[str]]:
    """The columns of each side: those that all files of the side have."""
    return [list(shared_columns(files_of(person, reconciliation, side))) for side in reconciliation.sides]


def samples(person: Actor, reconciliation: Reconciliation) -> dict[tuple[str, str], str]:
    """A few values of every column, by side and column, as one text."""
    return {
        (side, name): ", ".join(filter(str.strip, map(str, column["samples"][:3])))
        for side in reconciliation.sides
        for name, column in shared_columns(files_of(person, reconciliation, side)).items()
    }


def files_of(person: Actor, reconciliation: Reconciliation, side: str) -> list[StoredFile]:
    """The files of one side."""
    return [services().files.get(person, one) for one in reconciliation.file_ids(side)]


def ensure(person: Actor, reconciliation: Reconciliation, columns: Sequence[Sequence[str]]) -> AnyPlan:
    """The saved plan when it fits the files; else the one suggested from them, saved at once. `columns`: by side."""
    plan = build_plan(reconciliation.plan_json) if reconciliation.plan_json else None
    if plan is None or not _fits(plan, columns):
        suggest(person, reconciliation)
        if plan is not None and len(plan.labels) == len(columns):
            notice("The plan names columns that these files do not have: a new one is suggested from the files.")
        elif plan is not None:
            notice(f"The plan was for {len(plan.labels)} sides: a new one is suggested from the files.")
        st.rerun()
    return plan


def _fits(plan: AnyPlan, columns: Sequence[Sequence[str]]) -> bool:
    """Whether the plan has as many sides, and maps only columns that these have."""
    if len(plan.labels) != len(columns):
        return False
    own = by_name(plan, columns)
    return all(column in own[side] for spec in plan.fields for side, column in spec.columns.items())


def suggest(person: Actor, reconciliation: Reconciliation) -> None:
    """Take the plan suggested from the files; when nothing fits, one that only joins the first columns."""
    ids = [reconciliation.file_ids(side) for side in reconciliation.sides]
    which = "both files" if len(ids) == len(SIDES) else "the files"
    try:
        with st.spinner(f"Reading {which} to propose fields and rules"):
            proposed = services().files.suggest(person, *ids)
    except Invalid as error:
        columns = column_names(person, reconciliation)
        proposed = {"plan": _first_columns(reconciliation.name, columns), "questions": [str(error)]}
    # The engine names the files where it read them; people know them by the names they uploaded.
    names = [[file.name for file in files_of(person, reconciliation, side)] for side in reconciliation.sides]
    plan = build_plan(proposed["plan"])
    services().plans.set_suggestion(person, reconciliation.id, proposed)
    services().plans.set_plan(person, reconciliation.id, with_files(plan, by_name(plan, names)))
    forget_edits(reconciliation)


def _first_columns(name: str, columns: Sequence[Sequence[str]]) -> dict[str, Any]:
    if len(columns) > 2:
        sides = [f"side_{number}" for number in range(1, len(columns) + 1)]
        first = {side: own[0] for side, own in zip(sides, columns, strict=True)}
        return {
            "name": name,
            "sides": [{"name": side, "label": side.replace("_", " ").capitalize()} for side in sides],
            "fields": [{"name": "key", "columns": first}],
            "rules": [{"name": "exact", "on": ["key"]}],
        }
    left, right = (own[0] for own in columns)
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
            parse_plan(plan)
        else:
            build_plan(plan)
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


def with_rule(plan: AnyPlan, place: int | None, rule: dict[str, Any]) -> dict[str, Any]:
    """The plan's data with the rule at `place` replaced, or added at the end; of several sides, one that looks at a
    side alone below the others that do.
    """
    data = plan.to_data()
    if place is None and isinstance(plan, SidesPlan) and "net" in rule:
        data["rules"].insert(len(plan.netting_rules), rule)
    elif place is None:
        data["rules"].append(rule)
    else:
        data["rules"][place] = rule
    return data


def with_rule_moved(plan: AnyPlan, place: int, by: int) -> dict[str, Any]:
    """The plan's data with one rule moved up (-1) or down (+1)."""
    data = plan.to_data()
    data["rules"].insert(place + by, data["rules"].pop(place))
    return data


def without_rule(plan: AnyPlan, place: int) -> dict[str, Any]:
    """The plan's data without one rule."""
    data = plan.to_data()
    del data["rules"][place]
    return data


def with_duplicates(plan: AnyPlan, side: str, search: dict[str, Any] | None) -> dict[str, Any]:
    """The plan's data with another search for duplicates on one side; None: that side is not searched."""
    data = plan.to_data()
    searches = {**data.get("duplicates", {}), side: search}
    data["duplicates"] = {name: one for name, one in searches.items() if one is not None}
    return data
