"""The plan in preparation: suggested from the two files, changed part by part, saved at every valid change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import streamlit as st

from pages._shared.context import services
from recon_engine.errors import Fault, PlanError
from recon_engine.nway.any_plan import AnyPlan, build_plan, parse_plan
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import SIDES, Plan
from recon_engine.reading.two_columns import AMOUNT
from services.database.models import Reconciliation, StoredFile
from services.errors import Invalid
from services.fit import OpenDates, made_columns, open_dates, shared_columns
from services.permissions import Actor
from services.plan_columns import clashing, lacking, pair_of
from services.sides import by_name, with_files

Kind = Literal["primary", "secondary"]
SAVED = "The change is saved."


def column_names(person: Actor, reconciliation: Reconciliation) -> list[list[str]]:
    """The columns of each side: those that all files of the side have."""
    return [list(shared_columns(files_of(person, reconciliation, side))) for side in reconciliation.sides]


def samples(person: Actor, reconciliation: Reconciliation, plan: Plan) -> dict[tuple[str, str], str]:
    """A few values of every column, by side and column, as one text; also of those that the plan makes of several."""
    told: dict[tuple[str, str], str] = {}
    for side in SIDES:
        files = files_of(person, reconciliation, side)
        for name, column in shared_columns(files).items():
            told[side, name] = ", ".join(filter(str.strip, map(str, column["samples"][:3])))
        rows = (files[0].profile_json or {}).get("first_rows", [])[:3] if files else []
        for name, parts in plan.side(side).combined.items():
            made = (" ".join(str(row[part]) for part in parts if row.get(part)) for row in rows)
            told.setdefault((side, name), ", ".join(filter(None, made)))
        if pair := pair_of(plan, side):
            told.setdefault((side, AMOUNT), " or ".join(pair))
    return told


def files_of(person: Actor, reconciliation: Reconciliation, side: str) -> list[StoredFile]:
    """The files of one side."""
    return [services().files.get(person, one) for one in reconciliation.file_ids(side)]


def ensure(person: Actor, reconciliation: Reconciliation) -> AnyPlan:
    """The saved plan, whether it fits the files or not; before there is one that suggested from them, saved at once."""
    if not reconciliation.plan_json:
        suggest(person, reconciliation)
        st.rerun()
    return build_plan(reconciliation.plan_json or {})


def readable(plan: AnyPlan, columns: Sequence[Sequence[str]]) -> list[list[str]]:
    """By side its `columns`, and those that the plan makes of several of them."""
    readers = [plan.side(name) for name in plan.labels]  # type: ignore[arg-type]
    made = [made_columns(reader, own) for reader, own in zip(readers, columns, strict=True)]
    return [[*own, *(n for n in new if n not in own)] for own, new in zip(columns, made, strict=True)]


def undecided(person: Actor, reconciliation: Reconciliation, plan: AnyPlan) -> list[OpenDates]:
    """The dates of which a person must say in which order they are written."""
    files = [files_of(person, reconciliation, side) for side in reconciliation.sides]
    return open_dates(plan, by_name(plan, files))


def left_to_do(person: Actor, reconciliation: Reconciliation, plan: AnyPlan) -> str | None:
    """What a person must see to on Map before the plan can run on the files, in a sentence."""
    files = by_name(plan, [files_of(person, reconciliation, side) for side in reconciliation.sides])
    columns = {side: shared_columns(own) for side, own in files.items()}
    if all(columns.values()) and (lacking(plan, columns) or clashing(plan, files)):
        return "The plan was made for other files: see on Map what does not fit."
    names = ", ".join(dict.fromkeys(f"`{one.name}`" for one in undecided(person, reconciliation, plan)))
    return f"Say on Map in which order the dates of {names} are written." if names else None


def with_totals(person: Actor, reconciliation: Reconciliation) -> list[str]:
    """The names of the files that end with what looks like their total, and are read with it."""
    files = [file for side in reconciliation.sides for file in files_of(person, reconciliation, side)]
    issues = {file.name: (file.profile_json or {}).get("issues", []) for file in files}
    return [name for name, own in issues.items() if any(issue["code"] == "total_row" for issue in own)]


def still_suggested(reconciliation: Reconciliation, plan: AnyPlan, part: Literal["fields", "rules"]) -> dict[str, Any]:
    """Confidence and reason of the fields, or rules, that are as they were suggested, by name: said of others, they
    would be about something else.
    """
    kept = reconciliation.suggestion_json or {}
    if "plan" not in kept:
        return {}
    as_suggested = {one.name: one for one in getattr(build_plan(kept["plan"]), part)}
    same = {one.name for one in getattr(plan, part) if as_suggested.get(one.name) == one}
    return {told["name"]: told for told in kept.get(part, []) if told["name"] in same}


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


def save(person: Actor, reconciliation: Reconciliation, data: dict[str, Any], what: str = SAVED) -> None:
    """Keep the plan; `what` is done can be undone. Raises, and keeps nothing, when the plan is wrong."""
    before = reconciliation.plan_json
    after = services().plans.set_plan(person, reconciliation.id, data).plan_json
    if before != after:
        st.session_state[_undo_key(reconciliation)] = {"what": what, "before": before, "after": after}


def undoable(reconciliation: Reconciliation) -> str | None:
    """What was changed last, in a sentence; None when there is nothing to undo, or the plan has changed since."""
    last = st.session_state.get(_undo_key(reconciliation))
    return last["what"] if last and last["before"] and last["after"] == reconciliation.plan_json else None


def undo(person: Actor, reconciliation: Reconciliation) -> None:
    """Take the last change back."""
    services().plans.set_plan(person, reconciliation.id, st.session_state.pop(_undo_key(reconciliation))["before"])
    forget_edits(reconciliation)


def _undo_key(reconciliation: Reconciliation) -> str:
    return f"undo-{reconciliation.id}"


def remember_untouched(reconciliation: Reconciliation, plan: AnyPlan) -> None:
    """Note a plan that is all as it was suggested: nobody will miss it, should other files come."""
    kept = (reconciliation.suggestion_json or {}).get("plan")
    if kept and _without_files(build_plan(kept)) == _without_files(plan):
        st.session_state[f"untouched-{reconciliation.id}"] = reconciliation.plan_json


def _without_files(plan: AnyPlan) -> AnyPlan:
    return with_files(plan, {side: [] for side in plan.labels})


def is_untouched(reconciliation: Reconciliation) -> bool:
    """Whether the plan is still the one that was noted so."""
    return bool(st.session_state.get(f"untouched-{reconciliation.id}") == reconciliation.plan_json)


def follow_reading(
    person: Actor, reconciliation: Reconciliation, side: str, options: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """Let the plan read the files of a side as was said now: what of the reader options, before and after, changed."""
    plan, (before, after) = reconciliation.plan_json, options
    changed = {name: after.get(name) for name in {**before, **after} if before.get(name) != after.get(name)}
    if not plan or not changed or len(plan.get("sides", SIDES)) != len(reconciliation.sides):
        return
    data = build_plan(plan).to_data()
    own = data["sides"][reconciliation.sides.index(side)] if "sides" in data else data[side]
    if "combined" in changed:  # what the plan makes besides stays
        earlier = before.get("combined", {})
        besides = {name: parts for name, parts in own.get("combined", {}).items() if name not in earlier}
        changed["combined"] = {**besides, **after.get("combined", {})} or None
    own.update({name: value for name, value in changed.items() if value is not None})
    for name, value in changed.items():
        if value is None:
            own.pop(name, None)
    # Without Undo on Map: the files would still be read in the new way.
    services().plans.set_plan(person, reconciliation.id, data)
    forget_edits(reconciliation)


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
