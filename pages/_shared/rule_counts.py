"""What each rule would match, beside the rule: counted in the background, on a sample of large files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._shared.context import fragment, services, stop_the_clock
from pages._shared.wording import literal, number
from recon_engine.plan import Plan
from services.database.models import Reconciliation
from services.permissions import Actor

LOOK_SECONDS = 0.7
Places = tuple[DeltaGenerator, Sequence[DeltaGenerator]]  # the headline's, and each rule's
_SHOWN = "rule-counts"


def fill(
    person: Actor,
    reconciliation: Reconciliation,
    plan: Plan,
    places: Places,
) -> None:
    """Put the counts into their places: at once when they are known, else as soon as they are."""
    found = _look(person, reconciliation, plan)
    if found is not None:
        _draw(plan, found, places)
    else:
        st.session_state[_SHOWN] = None
        _wait(person, reconciliation, plan, places)


@fragment(run_every=LOOK_SECONDS)
def _wait(
    person: Actor,
    reconciliation: Reconciliation,
    plan: Plan,
    places: Places,
) -> None:
    found = st.session_state.get(_SHOWN)
    if found is None:
        found = st.session_state[_SHOWN] = _look(person, reconciliation, plan)
    _draw(plan, found, places)
    if found is not None:
        stop_the_clock()


def _look(person: Actor, reconciliation: Reconciliation, plan: Plan) -> dict[str, Any] | None:
    left, right = reconciliation.left_file_ids, reconciliation.right_file_ids
    return services().previews.look(person, plan, left, right)


def _draw(plan: Plan, found: dict[str, Any] | None, places: Places) -> None:
    headline, beside = places
    label = literal(plan.left.label)
    if found is None:
        headline.caption(":material/hourglass_empty: Counting what each rule would match …")
        for place in beside:  # a place that a part of a page fills later must be taken at once
            place.markdown(":small[:gray[Counting …]]")
        return
    if "error" in found:
        why = f": {literal(found['error'])}" if found["error"] else ""
        headline.caption(f":material/info: No counts{why}")
        for place in beside:
            place.empty()
        return
    rows, open_rows = number(found["rows"]), number(found["left_over"])
    basis = f"a sample of {rows} {label} rows" if found["sample"] else f"all {rows} {label} rows"
    vague = any(rule["ambiguous"] for rule in found["rules"])
    what = " Ambiguous: several records fit equally well, so that none is chosen." if vague else ""
    headline.caption(f":material/science: Tried on {basis}: {open_rows} would stay open.{what}")
    for place, rule in zip(beside, found["rules"], strict=False):
        place.markdown(f":small[{_sentence(rule, label)}]")


def _sentence(rule: dict[str, Any], label: str) -> str:
    matched, ambiguous = number(rule["matched"]), number(rule["ambiguous"])
    if rule["guarantee"] and not rule["matched"] and not rule["ambiguous"]:
        return f":gray[no effect on the {number(rule['open'])} open {label} rows]"
    colour = "green" if rule["matched"] else "gray"
    told = f":{colour}[**{matched}**] of {number(rule['open'])} open {label} rows would match"
    if rule["ambiguous"]:
        told += f"; :orange[**{ambiguous}** ambiguous]"
    return told + ("" if rule["guarantee"] else " (at least: it compares nothing for equality, so a sample says less)")
