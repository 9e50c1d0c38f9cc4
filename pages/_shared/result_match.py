"""One match opened: its records, why they belong together, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._shared import charts, result_review, side_by_side, wording
from pages._shared.context import services
from pages._shared.tables import amount_fields, apart, table
from pages._shared.wizard import labels
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.plan import SIDES, Plan, Rule
from services.database.models import Job
from services.permissions import Actor

CANCELS_OUT = "All its records are on the {} side: together they cancel each other out."


def show(person: Actor, job: Job, plan: AnyPlan, match_id: int) -> None:
    """Draw the match: two records side by side, or the sets and their sums; of more sides each one's records."""
    found = services().results.match(person, job.id, match_id)
    about, names = found["match"], labels(plan)
    rule = next((one for one in plan.rules if one.name == about["rule"]), None)
    suggested = about["outcome"] == "suggested"
    made = services().reviews.decisions(person, job.id, [match_id]).get(match_id) if suggested else None
    rivals = "no rival candidate" if not about["rivals"] else wording.count(about["rivals"], "rival candidate")
    with st.container(border=True, key="match-detail"):
        st.markdown(
            f"**Match {match_id}** by rule **{wording.literal(about['rule'])}** · "
            f"{result_review.standing(about['outcome'], made)} · {rivals}"
        )
        if rule is not None:
            st.caption(wording.rule_in(plan, rule))
        if suggested:
            result_review.decide(person, job, match_id, made)
        if found.get("certificate"):
            st.markdown(f":material/verified: {wording.certificate_sentence(found['certificate'])}")
        if not isinstance(plan, Plan):
            _over_sides(plan, found, names)
        elif found["records"] == {"left": 1, "right": 1}:
            _pair(plan, found, names)
        else:
            _sets(plan, rule, found, names)
        if found.get("evidence"):
            _evidence(found["evidence"], float(about["score"]))


def _pair(plan: Plan, found: Mapping[str, Any], names: Mapping[str, str]) -> None:
    left, right = found["left"][0], found["right"][0]
    fields = [(spec.name, left[spec.name], right[spec.name]) for spec in plan.fields]
    headings = (f"{names['left']} row {left['row']}", f"{names['right']} row {right['row']}")
    amounts = amount_fields(plan)
    kinds = {spec.name: spec.type for spec in plan.fields}
    notes = {line["field"]: apart(line["difference"], kinds[line["field"]]) or "" for line in found["differences"]}
    side_by_side.show(fields, headings, notes, amounts)


def _over_sides(plan: AnyPlan, found: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """The records of every side in one table, and what links them, two sides at a time."""
    records = [{**record, "side": names[side]} for side, own in found["sides"].items() for record in own]
    headings = {"side": "Side", "row": "Row"} | {spec.name: spec.name for spec in plan.fields}
    if len(alone := {record["side"] for record in records}) == 1:
        st.caption(CANCELS_OUT.format(*alone))
    table(records, headings, "match-sides-table", amounts=amount_fields(plan))
    ends: dict[int, list[Mapping[str, Any]]] = {}
    for one in found["links"]:
        ends.setdefault(one["link_id"], []).append(one)
    for link in ends.values():
        told = " and ".join(f"{wording.literal(names[one['side']])} row {one['row']}" for one in link)
        st.caption(
            f":material/link: {told}: rule {wording.literal(link[0]['rule'])}, score {wording.score(link[0]['score'])}"
        )


def _sets(plan: Plan, rule: Rule | None, found: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Each side's records with their sum; where both sides take part, how far the sums are apart."""
    sides = [side for side in SIDES if found["records"][side]]
    money = rule.total.field if rule and rule.total and rule.total.field in found["sums"] else None
    chosen = [money] if money else list(found["sums"])
    with st.container(horizontal=True):
        for field in chosen:
            sums = found["sums"][field]
            for side in sides:
                what = f"{names[side]}: {wording.count(found['records'][side], 'record')}, {field}"
                st.metric(what, wording.amount(str(sums[side])), border=True, width="content")
            if len(sides) == len(SIDES):
                apart = wording.amount(str(sums["difference"]))
                st.metric(f"Difference of the sums, {field}", apart, border=True, width="content")
    if len(sides) == 1:
        st.caption(CANCELS_OUT.format(names[sides[0]]))
    headings = {"row": "Row"} | {spec.name: spec.name for spec in plan.fields}
    for side in sides:
        records, whole = found[side], found["records"][side]
        shown = "" if len(records) == whole else f", the first {len(records)} shown"
        st.markdown(f"**{wording.literal(names[side])}** :gray[{wording.count(whole, 'record')}{shown}]")
        table(records, headings, f"match-{side}-table", amounts=amount_fields(plan))


def _evidence(bits: Mapping[str, float], probability: float) -> None:
    """The waterfall of a linked pair."""
    st.markdown("**What each field says**")
    st.caption(
        f"In bits: each one doubles the odds for the pair, each negative one halves them. Together they make a "
        f"probability of {wording.probability(probability)}."
    )
    st.plotly_chart(charts.evidence(bits), config=charts.CONFIG, key="evidence")
