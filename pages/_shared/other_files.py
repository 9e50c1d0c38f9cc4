"""Files that the plan was not made for: what does not fit is said, and a person decides what becomes of the plan."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages._shared import draft, wizard
from pages._shared.context import services
from pages._shared.messages import explained
from pages._shared.wording import count, literal
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.plan import SIDES
from services.database.models import Reconciliation
from services.permissions import Actor

MOST_NAMED = 5  # columns


def refuse(
    person: Actor,
    reconciliation: Reconciliation,
    plan: AnyPlan,
    columns: Sequence[Sequence[str]],
    editable: bool,
    steps: wizard.MapSteps,
) -> None:
    """Nothing where the plan fits; else what does not, the ways on, and the end of the page: a plan that is all as it
    was suggested gives way to a new one at once. `columns`: by side.
    """
    if len(plan.labels) != len(columns):
        told = f"The plan is for {count(len(plan.labels), 'side')}, and there are {len(columns)} now."
    elif missing := draft.lacking(plan, columns):
        told = " ".join(_sentence(plan.labels[side], names) for side, names in missing.items())
    else:
        return
    if editable and draft.is_untouched(reconciliation):
        draft.suggest(person, reconciliation)
        st.rerun()
    steps.hold(True)
    st.warning(f"The plan was made for other files, and is kept. {told}", icon=":material/join_left:")
    turned = len(columns) == len(plan.labels) == len(SIDES) and not draft.lacking(plan, columns[::-1])
    with st.container(horizontal=True, key="onwards"):
        if st.button("Back to upload", icon=":material/arrow_back:"):
            wizard.go("upload", reconciliation)
        if editable and turned and st.button("Swap the files", type="primary", icon=":material/swap_horiz:"):
            left, right = wizard.file_ids(reconciliation)
            with explained():
                services().plans.set_files(person, reconciliation.id, right, left)
                st.rerun()
        kind: draft.Kind = "secondary" if turned else "primary"
        if editable and st.button("Suggest a new plan", type=kind, icon=":material/auto_awesome:"):
            with explained():
                draft.suggest(person, reconciliation)
                st.rerun()
    if turned:
        st.caption("The files fit the other way round: each on the other side.")
    st.stop()


def _sentence(label: str, names: Sequence[str]) -> str:
    shown = ", ".join(f"'{literal(name)}'" for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{literal(label)} has no column {shown}{more}."
