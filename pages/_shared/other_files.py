"""Files that the plan was not made for: what does not fit is said, and a person decides what becomes of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages._shared import draft, wizard
from pages._shared.context import services
from pages._shared.messages import explained
from pages._shared.wording import count, literal
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.plan import SIDES
from services.database.models import Reconciliation
from services.fit import shared_columns
from services.permissions import Actor
from services.plan_columns import clashing, columns_of, lacking, pair_of, proposed, with_columns, with_made
from services.sides import by_name

MOST_NAMED = 5  # columns
LEFT_OUT = "nothing: leave the field out"
ALL_IN_ONE = "nothing: one column has all amounts, with their signs"
Names = Mapping[str, Sequence[str]]
Profiles = Mapping[str, Mapping[str, Any]]
Change = tuple[str, dict[str, Any] | None]
"""What a button that changes the plan is called, and the plan it leads to; None while something is to be said."""


def refuse(
    person: Actor, reconciliation: Reconciliation, plan: AnyPlan, editable: bool, steps: wizard.MapSteps
) -> None:
    """Nothing where the plan fits; else what does not, the ways on, and the end of the page: a plan that is all as it
    was suggested gives way to a new one at once.
    """
    sides = [draft.files_of(person, reconciliation, side) for side in reconciliation.sides]
    columns = [shared_columns(files) for files in sides]
    missing: Names = {}
    twice: Names = {}
    if len(plan.labels) != len(sides):
        told = f"The plan is for {count(len(plan.labels), 'side')}, and there are {len(sides)} now."
    else:
        missing, twice = lacking(plan, by_name(plan, columns)), clashing(plan, by_name(plan, sides))
        told = " ".join(
            [_sentence(plan, side, "has no column", names) for side, names in missing.items()]
            + [_sentence(plan, side, "has itself what the plan makes of others:", twice[side]) for side in twice]
        )
    if not told:
        return
    if editable and draft.is_untouched(reconciliation):
        draft.suggest(person, reconciliation)
        st.rerun()
    steps.hold(True)
    st.warning(f"The plan was made for other files, and is kept. {told}", icon=":material/join_left:")
    turned = bool(missing) and len(sides) == len(SIDES) and not lacking(plan, by_name(plan, columns[::-1]))
    change: Change | None = None
    if turned:
        st.caption("The files fit the other way round: each on the other side.")
    elif missing and editable and all(set(names) < set(columns_of(plan, side)) for side, names in missing.items()):
        change = "Use these columns", _instead(plan, missing, by_name(plan, columns))
    elif twice:
        change = "Use the file's own", with_made(plan, {side: dict.fromkeys(names) for side, names in twice.items()})
    _ways_on(person, reconciliation, editable, turned, change)
    st.stop()


def _ways_on(
    person: Actor, reconciliation: Reconciliation, editable: bool, turned: bool, change: Change | None
) -> None:
    with st.container(horizontal=True, key="onwards"):
        if st.button("Back to upload", icon=":material/arrow_back:"):
            wizard.go("upload", reconciliation)
        if not editable:
            return
        if turned and st.button("Swap the files", type="primary", icon=":material/swap_horiz:"):
            left, right = wizard.file_ids(reconciliation)
            with explained():
                services().plans.set_files(person, reconciliation.id, right, left)
                st.rerun()
        if change is not None:
            label, data = change
            if st.button(label, type="primary", icon=":material/check:", disabled=data is None) and data:
                with explained():
                    draft.save(person, reconciliation, data, "The plan reads other columns.")
                    draft.forget_edits(reconciliation)
                    st.rerun()
        kind: draft.Kind = "secondary" if turned or change else "primary"
        what = "With other fields and rules: those of this plan are given up"
        if st.button("Suggest a new plan", type=kind, icon=":material/auto_awesome:", help=what):
            with explained():
                draft.suggest(person, reconciliation)
                st.rerun()


def _instead(plan: AnyPlan, missing: Names, profiles: Mapping[str, Profiles]) -> dict[str, Any] | None:
    """Ask which columns take the place of those that are gone: the plan with them, None while one is not said."""
    chosen: dict[str, dict[str, str | None]] = {}
    with st.container(border=True, key="instead"):
        st.markdown("**Which columns take their place?** The fields and rules stay as they are.")
        for side, names in missing.items():
            likely = proposed(plan, side, names, profiles[side])
            for name in names:
                options = list(profiles[side])
                nothing = ALL_IN_ONE if name in pair_of(plan, side) else LEFT_OUT
                if not draft.faults(with_columns(plan, {side: {name: None}})):
                    options.append(nothing)
                picked = st.selectbox(
                    f"{literal(plan.labels[side])}: '{literal(name)}' is now",
                    options,
                    index=options.index(likely[name]) if name in likely else None,
                    format_func=lambda one, told=profiles[side]: _with_values(one, told.get(one)),
                    placeholder="Choose a column",
                    key=f"instead-{side}-{name}",
                )
                if picked is not None:
                    chosen.setdefault(side, {})[name] = None if picked == nothing else picked
        if sum(map(len, chosen.values())) < sum(map(len, missing.values())):
            return None
        data = with_columns(plan, chosen)
        for fault in draft.faults(data):
            st.error(fault.says, icon=":material/error:")
        return None if draft.faults(data) else data


def _with_values(name: str, profile: Mapping[str, Any] | None) -> str:
    """A column as it is chosen: with a few of its values, where there are some."""
    values = ", ".join([one for one in map(str, (profile or {}).get("samples", [])) if one.strip()][:2])
    return f"{name}  ({values})" if values else name


def _sentence(plan: AnyPlan, side: str, what: str, names: Sequence[str]) -> str:
    shown = ", ".join(f"'{literal(name)}'" for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{literal(plan.labels[side])} {what} {shown}{more}."
