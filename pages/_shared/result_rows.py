"""Matches, differences and rejected rows, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from pages._shared import result_match, result_review
from pages._shared.context import fragment, may, services
from pages._shared.mapping import fitting
from pages._shared.messages import empty_state, explained
from pages._shared.tables import (
    PAGE_ROWS,
    WIDE,
    amount_fields,
    apart,
    first_page,
    in_style,
    order,
    page_number,
    pager,
    part,
    table,
    whole_table,
)
from pages._shared.wizard import labels
from pages._shared.wording import literal, score
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.plan import Plan
from services.database.models import Job
from services.permissions import Action, Actor

HEADINGS = {
    "matches": {
        "match_id": "Match",
        "side": "Side",
        "row": "Row",
        "rule": "Rule",
        "outcome": "Outcome",
        "score": "Score",
        "rivals": "Rivals",
    },
    "differences": {
        "match_id": "Match",
        "field": "Field",
        "left_row": "{left} row",
        "right_row": "{right} row",
        "left_value": "{left} value",
        "right_value": "{right} value",
        "difference": "Difference",
    },
    "duplicates": {
        "group": "Group",
        "side": "Side",
        "row": "Row",
        "kept": "Takes part",
    },
    "rejected": {
        "side": "Side",
        "source": "File",
        "row": "Row",
        "line": "Line",
        "column": "Column",
        "raw": "As written",
        "reason": "Why it was rejected",
    },
}
# Of several sides, a difference is between two of them.
OF_SIDES = HEADINGS | {
    "differences": {
        "match_id": "Match",
        "field": "Field",
        "left_side": "Side",
        "left_row": "Row",
        "left_value": "Value",
        "right_side": "Other side",
        "right_row": "Its row",
        "right_value": "Its value",
        "difference": "Difference",
    }
}
WIDTHS = {"left_value": 200, "right_value": 200}
READ_WHOLE = ("rule", "outcome")  # as far as there is room: the same few texts in every row
EMPTY = {
    "matches": ("No match", "No rule brought two records together: look at the breaks, and at the rules."),
    "differences": ("No differences", "Every compared field is equal inside every match."),
    "duplicates": ("No duplicates", "The search found no record twice."),
    "rejected": ("No rejected rows", "Every row could be read as the plan says, and none was left out."),
}
UNSEARCHED = (
    "Not searched",
    (
        "To find records that are there twice, let the Map step search a side for duplicates. "
        "A break called Duplicate is another thing: its counterpart is matched to another record."
    ),
)
OUTCOMES = {"confirmed": "Confirmed", "suggested": "Suggested"}
NOUNS = {
    "matches": ("record in a match", "records in matches"),
    "differences": ("difference", "differences"),
    "duplicates": ("record in a group of duplicates", "records in groups of duplicates"),
    "rejected": ("rejected row", "rejected rows"),
}


@fragment()
def show(person: Actor, job: Job, plan: AnyPlan, name: str) -> None:
    """Draw one of the tables. What is pressed in it draws it alone."""
    with explained():
        _show(person, job, plan, name)


def _show(person: Actor, job: Job, plan: AnyPlan, name: str) -> None:
    if not services().results.page(person, job.id, name, size=1).total:
        unasked = name == "duplicates" and not any(map(plan.duplicates_of, plan.labels))
        icon = "search" if unasked else "link_off" if name == "matches" else "task_alt"
        title, what = UNSEARCHED if unasked else EMPTY[name]
        empty_state(title, what, icon=f":material/{icon}:")  # nothing to choose from
        return
    filters, sort = _filters(job, plan, name)
    found = services().results.page(
        person, job.id, name, page=page_number(name), size=PAGE_ROWS, filters=filters, sort=sort
    )
    if not found.total:
        empty_state(*EMPTY[name], icon=":material/task_alt:")
        return
    told = (HEADINGS if isinstance(plan, Plan) else OF_SIDES)[name]
    # With one file a side, the side says which file; the room is for the reasons.
    known = {"source"} if all(len(files) == 1 for files in job.side_file_ids.values()) else set()
    own = [column for column in told if column in found.columns and column not in known]
    fields = [spec.name for spec in plan.fields if spec.name in found.columns and spec.name not in own]
    names = labels(plan)
    headings = {column: told[column].format(**names) for column in own} | {field: field for field in fields}
    kinds = {spec.name: spec.type for spec in plan.fields}
    rows = [_shown(row, names, kinds) for row in found.rows]
    if name == "matches" and has_suggested(job):
        _decided(person, job, rows, filters)
    whole = partial(whole_table, job, name, filters, sort) if may(person, Action.RESULT_DOWNLOAD) else None
    if name in ("rejected", "duplicates"):
        table(rows, headings, f"{name}-table", amounts=amount_fields(plan))
        pager(name, found.total, NOUNS[name], whole)
        return
    way = ""
    if name == "differences":
        way = f" Differences are {against}, as tolerances are." if (against := _direction(plan)) else ""
    st.caption(f"Select a row to see the whole match.{way}")
    wide = {one: max(fitting(str(row.get(one) or ""), 90, editable=False) for row in rows) for one in READ_WHOLE}
    chosen = table(rows, headings, f"{name}-table", selectable=True, amounts=amount_fields(plan), widths=WIDTHS | wide)
    pager(name, found.total, NOUNS[name], whole)
    if chosen is not None:
        result_match.show(person, job, plan, int(found.rows[chosen]["match_id"]))


def _decided(person: Actor, job: Job, rows: list[dict[str, Any]], filters: Mapping[str, str]) -> None:
    """What people decided on the suggested matches, above the table and in its rows; what waits there is decided."""
    result_review.overview(person, job, filters)
    made = services().reviews.decisions(person, job.id, [row["match_id"] for row in rows])
    for row in rows:
        if row["outcome"] == "suggested" and row["match_id"] in made:
            row["outcome"] = f"suggested, {made[row['match_id']].verdict}"


def _direction(plan: AnyPlan) -> str:
    """Which value is taken from which."""
    if isinstance(plan, Plan):
        return f"{literal(plan.right.label)} less {literal(plan.left.label)}"
    return "the other side less the side"


def has_suggested(job: Job) -> bool:
    """Whether some matches wait for a person to decide."""
    rows = (job.summary_json or {})["rows"]
    return any(one["suggested"] for one in rows.values())


def _shown(row: Mapping[str, Any], names: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """The row in the words of the screen."""
    shown = dict(row)
    if "side" in row:
        shown["side"] = names[row["side"]]
    shown |= {end: names[row[end]] for end in ("left_side", "right_side") if end in row}
    if "score" in row:
        shown["score"] = score(row["score"])
    if "difference" in row:
        kind = kinds[row["field"]]
        shown |= {part: in_style(row[part], kind) for part in ("left_value", "right_value")}
        shown["difference"] = apart(row["difference"], kind)
    if "kept" in row:
        shown["kept"] = "yes" if row["kept"] else "no, left out"
    return shown


def _filters(job: Job, plan: AnyPlan, name: str) -> tuple[dict[str, str], str | None]:
    """What is chosen above the table, and its order; the address holds it, so that it can be passed on."""
    chosen: dict[str, str | None] = {}
    sort = None
    with st.container(horizontal=True):
        if name == "matches":
            every = "All rules"
            rule = st.selectbox(
                "Rule",
                [every, *(one.name for one in plan.rules)],
                key="matches-rule",
                bind="query-params",
                on_change=first_page,
                args=(name,),
                width=WIDE,
            )
            chosen["rule"] = None if rule == every else rule
        if name == "differences" and len(plan.compare) > 1:
            every = "All fields"
            field = st.selectbox(
                "Field",
                [every, *plan.compare],
                key="differences-field",
                bind="query-params",
                on_change=first_page,
                args=(name,),
                width=WIDE,
            )
            chosen["field"] = None if field == every else field
        if name in ("matches", "duplicates", "rejected"):
            names = labels(plan)
            chosen["side"] = part(name, "side", "Both sides" if len(names) == 2 else "All sides", names)
        if name == "matches" and has_suggested(job):
            chosen["outcome"] = part(name, "outcome", "All", OUTCOMES)
        if name == "matches":
            sort = order(name, {"score": "least sure first"})
    return {column: value for column, value in chosen.items() if value}, sort
