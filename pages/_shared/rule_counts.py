"""What each rule would match, beside the rule: counted in the background, on a sample of large files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._shared.context import fragment, services, stop_the_clock
from pages._shared.wizard import file_ids
from pages._shared.wording import count, literal, number
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import Pair, SidesPlan
from recon_engine.plan import Plan
from services.database.models import Reconciliation
from services.permissions import Actor

LOOK_SECONDS = 0.7
COUNTING = ":material/hourglass_empty: Counting what each rule would match …"
NO_COUNTS = ":material/info: No counts"
AT_LEAST = "at least: it compares nothing for equality, so a sample says less"
Counts = dict[str, Any]
Looked = list[tuple[Pair, Counts | None]]
Places = tuple[DeltaGenerator, Sequence[DeltaGenerator], Mapping[str, DeltaGenerator]]
"""Of the headline, of each rule, and by side of what is there twice."""
_SHOWN = "rule-counts"


def fill(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, places: Places) -> None:
    """Put the counts into their places: at once when they are known, else as soon as they are."""
    found = _look(person, reconciliation, plan)
    if _known(found):
        _draw(plan, found, places)
    else:
        st.session_state[_SHOWN] = None
        _wait(person, reconciliation, plan, places)


@fragment(run_every=LOOK_SECONDS)
def _wait(person: Actor, reconciliation: Reconciliation, plan: AnyPlan, places: Places) -> None:
    found = st.session_state.get(_SHOWN)
    if found is None or not _known(found):
        found = st.session_state[_SHOWN] = _look(person, reconciliation, plan)
    _draw(plan, found, places)
    if _known(found):
        stop_the_clock()


def _look(person: Actor, reconciliation: Reconciliation, plan: AnyPlan) -> Looked:
    return services().previews.look_at_pairs(person, plan, *file_ids(reconciliation))


def _known(found: Looked) -> bool:
    return all(counts is not None for _, counts in found)


def _draw(plan: AnyPlan, found: Looked, places: Places) -> None:
    headline, beside, twice = places
    if isinstance(plan, Plan):
        _twice(plan, found[0][1], twice)
    headline.caption(_of_two(plan, found[0][1]) if isinstance(plan, Plan) else _of_several(plan, found))
    for place, rule in zip(beside, plan.rules, strict=False):
        told = [
            (pair, one) for pair, counts in found for one in (counts or {}).get("rules", []) if one["name"] == rule.name
        ]
        waits = any(counts is None for pair, counts in found if isinstance(plan, Plan) or rule in plan.pairs[pair])
        if told and not waits:
            place.markdown(f":small[{_sentence(plan, told)}]")
        elif waits:  # a place that a part of a page fills later must be taken at once
            place.markdown(":small[:gray[Counting …]]")
        else:
            place.empty()


def _twice(plan: Plan, found: Counts | None, places: Mapping[str, DeltaGenerator]) -> None:
    """Beside a side that is not searched: whether it seems worth it."""
    for side, place in places.items():
        repeated = (found or {}).get("twice", {}).get(side)
        if repeated is None or plan.duplicates_of(side) is not None:
            place.empty()
            continue
        where = "Of a sample, " if (found or {})["sample"] else ""
        if repeated:
            told = f"{where}{count(repeated, 'record equals an', 'records equal an')} earlier one in every field."
            place.markdown(f":small[:orange[:material/content_copy: {told}]]")
        else:
            told = f"{where}no record equals another one in every field."
            place.markdown(f":small[:gray[{told[0].upper()}{told[1:]}]]")


def _of_two(plan: Plan, found: Counts | None) -> str:
    """What is known of all rules together."""
    if found is None:
        return COUNTING
    if "error" in found:
        return NO_COUNTS + (f": {literal(found['error'])}" if found["error"] else "")
    label, rows = literal(plan.left.label), number(found["rows"])
    basis = f"a sample of {rows} {label} rows" if found["sample"] else f"all {rows} {label} rows"
    return f":material/science: Tried on {basis}: {number(found['left_over'])} would stay open.{_vague([found])}"


def _of_several(plan: SidesPlan, found: Looked) -> str:
    """The same of each two sides, as soon as it is known."""
    names = {side: literal(label) for side, label in plan.labels.items()}
    known = [(pair, counts) for pair, counts in found if counts is not None]
    if not known:
        return COUNTING
    parts, failed = [], []
    for pair, counts in known:
        ends = f"{names[pair[0]]} to {names[pair[1]]}"
        if "error" in counts:
            failed.append(f"{ends}: {literal(counts['error'])}" if counts["error"] else ends)
        else:
            rows = f"{number(counts['rows'])}{' sampled' if counts['sample'] else ''}"
            parts.append(f"{ends} {number(counts['left_over'])} of {rows}")
    told = (
        [f":material/science: Tried between each two sides; rows without a link: {' · '.join(parts)}."] if parts else []
    )
    told += [f"{NO_COUNTS} of {'; '.join(failed)}."] if failed else []
    told += ["Counting the rest …"] if len(known) < len(found) else []
    return " ".join(told) + _vague([counts for _, counts in known])


def _vague(found: Sequence[Counts]) -> str:
    vague = any(rule["ambiguous"] for counts in found for rule in counts.get("rules", []))
    return " Ambiguous: several records fit equally well, so that none is chosen." if vague else ""


def _sentence(plan: AnyPlan, told: Sequence[tuple[Pair, Counts]]) -> str:
    """What one rule would match: of a rule of more than two sides in a few words for each two that it looks at."""
    names = {side: literal(label) for side, label in plan.labels.items()}
    if len(told) == 1:
        return _whole(told[0][1], names[told[0][0][0]])
    effective = [(pair, rule) for pair, rule in told if rule["matched"] or rule["ambiguous"] or not rule["guarantee"]]
    if not effective:
        return ":gray[no effect on the open rows of any two sides]"
    parts = []
    for (left, right), rule in effective:
        matched = f":{_colour(rule)}[**{number(rule['matched'])}**]"
        parts.append(f"{names[left]} to {names[right]} {matched} of {number(rule['open'])}{_besides(rule)}")
    return "Would link " + " · ".join(parts) + (" · no more elsewhere" if len(effective) < len(told) else "")


def _whole(rule: Counts, label: str) -> str:
    if rule["guarantee"] and not rule["matched"] and not rule["ambiguous"]:
        return f":gray[no effect on the {number(rule['open'])} open {label} rows]"
    told = f":{_colour(rule)}[**{number(rule['matched'])}**] of {number(rule['open'])} open {label} rows would match"
    return told + _besides(rule) + ("" if rule["guarantee"] else f" ({AT_LEAST})")


def _colour(rule: Counts) -> str:
    return "green" if rule["matched"] else "gray"


def _besides(rule: Counts) -> str:
    return f"; :orange[**{count(rule['ambiguous'], 'row')}** ambiguous]" if rule["ambiguous"] else ""
