"""The overview of a result: the main figures, the conservation statement, what became of the rows, and why not all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages._shared import chart_clicks, charts, result_causes, result_review, result_together, wording
from pages._shared.context import services
from pages._shared.result_rows import OUTCOMES, has_suggested
from pages._shared.tables import table
from pages._shared.wizard import labels
from recon_engine.nway.any_plan import AnyPlan
from services.database.models import Job
from services.permissions import Actor
from services.result_headline import UNEXPLAINED, UNEXPLAINED_HELP, Tile, headline

SECTION_OF = {"matched": "Matches", "suggested": "Matches", "breaks": "Breaks", "rejected": "Rejected"}
OUTCOME_OF = {
    part: {"outcome": (outcome, OUTCOMES[outcome])}
    for part, outcome in (("matched", "confirmed"), ("suggested", "suggested"))
}
PARTS = ("read", "matched", "suggested", "breaks", "rejected")
HEADINGS = {
    "side": "Side",
    "what": "What",
    "read": "Read",
    "matched": "Matched",
    "suggested": "Suggested",
    "breaks": "Breaks",
    "rejected": "Rejected",
}


def show(person: Actor, job: Job, plan: AnyPlan) -> None:
    """Draw the section: the answer, the proof, what to do next, and what would make breaks match."""
    summary = job.summary_json or {}
    names = labels(plan)
    _headline(headline(summary, services().results.figures(person, job.id), names))
    _conservation(person, job, summary, names)
    _warnings(summary)
    _rows_and_breaks(summary, names)
    result_together.show(summary, names)
    result_causes.show(person, job, plan)


def _warnings(summary: Mapping[str, Any]) -> None:
    """What the run warns of, before anybody relies on the figures: in one box, however much it is."""
    told = [_text(warning) for warning in summary.get("warnings", [])]
    if told:
        st.warning("\n".join(f"- {one}" for one in told) if len(told) > 1 else told[0], icon=":material/warning:")


def _rows_and_breaks(summary: Mapping[str, Any], names: Mapping[str, str]) -> None:
    open_rows = {name: rows for name, rows in summary["breaks"].items() if rows}
    columns = st.columns(2 if open_rows else 1, gap="medium")
    with columns[0].container(border=True, height="stretch"):
        st.markdown("**What became of the rows**")
        parts = charts.parts_there(summary["rows"])
        outcomes = OUTCOME_OF if "suggested" in parts else {}
        bars = [
            [
                (SECTION_OF[part], {"side": (side, names[side]), **outcomes.get(part, {})})
                for side in charts.sides_upwards(summary["rows"])
            ]
            for part in parts
        ]
        chart_clicks.clickable(charts.outcome_bars(summary["rows"], names), "outcome", bars)
    for right in columns[1:]:
        with right.container(border=True, height="stretch"):
            st.markdown("**Breaks by category**")
            found = dict(sorted(open_rows.items(), key=lambda one: one[1]))
            kinds = [[("Breaks", {"category": (name, wording.CATEGORY_NAMES[name])}) for name in found]]
            chart_clicks.clickable(charts.categories(found), "categories", kinds)


def _headline(tiles: Sequence[Tile]) -> None:
    """The same figures as on the PDF."""
    with st.grid(len(tiles), gap="small"):
        for label, figure, parts in tiles:
            st.metric(
                label,
                figure,
                border=True,
                height="stretch",
                delta=parts,
                delta_color="off",
                delta_arrow="off",
                help=UNEXPLAINED_HELP if label == UNEXPLAINED else None,
            )


def _conservation(person: Actor, job: Job, summary: Mapping[str, Any], names: Mapping[str, str]) -> None:
    with st.container(border=True):
        if summary["conserved"]:
            sums = any(fields for side in summary["totals"].values() for fields in side.values())
            how = "in counts and in exact sums" if sums else "in counts"
            st.markdown(f":green[:material/verified:] **Every row is accounted for**, {how}.")
        else:
            st.error("The result does not add up and must not be relied on.", icon=":material/gpp_bad:")
        st.markdown(wording.conservation_sentence(summary, names))
        _next_steps(person, job, summary)
        with st.expander("Counts and control totals"):
            table(_totals(summary, names), HEADINGS, "conservation", amounts=PARTS)


def _next_steps(person: Actor, job: Job, summary: Mapping[str, Any]) -> None:
    """What waits for a person: the breaks first, then what is only suggested."""
    breaks, waits = sum(int(rows["breaks"]) for rows in summary["rows"].values()), 0
    if has_suggested(job):
        made, waits = result_review.standing_of(person, job)
        if made != result_review.UNDECIDED:
            st.caption(f"{made} {result_review.KEPT}")
    with st.container(horizontal=True):
        if breaks:
            st.button(
                f"Look at {'the break' if breaks == 1 else f'the {wording.number(breaks)} breaks'}",
                type="primary",
                on_click=chart_clicks.open_rows,
                args=(("Breaks", {}),),  # all of them, whatever was chosen there before
            )
        if waits:
            st.button(
                f"Check the {wording.count(waits, 'suggested match', 'suggested matches')}",
                type="secondary" if breaks else "primary",
                on_click=chart_clicks.open_rows,
                args=(("Matches", OUTCOME_OF["suggested"]),),
            )


def _totals(summary: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for side, rows in summary["rows"].items():
        counts = {part: wording.number(rows[part]) for part in PARTS}
        lines.append({"side": names[side], "what": "rows", **counts})
        for currency, fields in summary["totals"][side].items():
            for field, sums in fields.items():
                amounts = {part: wording.amount(str(sums[part])) for part in PARTS}
                lines.append({"side": names[side], "what": wording.named(field, currency), **amounts})
    return lines


def _text(warning: Any) -> str:
    return str(warning["message"]) if isinstance(warning, Mapping) else str(warning)
