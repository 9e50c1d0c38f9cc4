"""Matches, differences and rejected rows, page by page."""

from __future__ import annotations

import streamlit as st

from pages._shared.context import may, services
from pages._shared.messages import empty_state
from pages._shared.tables import PAGE_ROWS, amount_fields, as_text, page_number, pager, table
from pages._shared.wizard import labels
from pages._shared.wording import count, rule_sentence
from recon_engine.plan import SIDES, Plan
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
    "rejected": {
        "side": "Side",
        "source": "File",
        "row": "Row",
        "line": "Line",
        "column": "Column",
        "raw": "As written",
        "reason": "Why it could not be read",
    },
}
EMPTY = {
    "matches": ("No match", "No rule brought two records together: look at the breaks, and at the rules."),
    "differences": ("No differences", "Every compared field is equal inside every match."),
    "rejected": ("No rejected rows", "Every row could be read as the plan says."),
}
NOUNS = {
    "matches": ("record in a match", "records in matches"),
    "differences": ("difference", "differences"),
    "rejected": ("rejected row", "rejected rows"),
}


def show(person: Actor, job: Job, plan: Plan, name: str) -> None:
    """Draw one of the three tables."""
    filters = {}
    if name == "matches":
        rule = st.selectbox("Rule", ["All rules", *(one.name for one in plan.rules)], key="matches-rule")
        filters = {} if rule == "All rules" else {"rule": rule}
    found = services().results.page(person, job.id, name, page=page_number(name), size=PAGE_ROWS, filters=filters)
    if not found.total:
        empty_state(*EMPTY[name], icon=":material/task_alt:")
        return
    own = [column for column in found.columns if column in HEADINGS[name]]
    fields = [spec.name for spec in plan.fields if spec.name in found.columns and spec.name not in own]
    names = labels(plan)
    headings = {column: HEADINGS[name][column].format(**names) for column in own} | {field: field for field in fields}
    rows = [{**row, "side": names[row["side"]]} if "side" in row else row for row in found.rows]
    whole = (
        f"/api/reconciliation/jobs/{job.id}/results/{name}?format=csv" if may(person, Action.RESULT_DOWNLOAD) else ""
    )
    if name == "rejected":
        table(rows, headings, "rejected-table")
        pager(name, found.total, NOUNS[name], whole)
        return
    st.caption("Select a row to see the whole match.")
    chosen = table(rows, headings, f"{name}-table", selectable=True, amounts=amount_fields(plan))
    pager(name, found.total, NOUNS[name], whole)
    if chosen is not None:
        _match(person, job, plan, int(found.rows[chosen]["match_id"]))


def _match(person: Actor, job: Job, plan: Plan, match_id: int) -> None:
    """The records of one match side by side, and why they belong together."""
    found = services().results.match(person, job.id, match_id)
    about = found["match"]
    rule = next((one for one in plan.rules if one.name == about["rule"]), None)
    rivals = "no rival candidate" if not about["rivals"] else count(about["rivals"], "rival candidate")
    with st.container(border=True, key="match-detail"):
        st.markdown(f"**Match {match_id}** by rule **{about['rule']}** · {about['outcome']} · {rivals}")
        if rule is not None:
            st.caption(rule_sentence(rule))
        names = labels(plan)
        records = [(names[side], record) for side in SIDES for record in found[side]]
        headings = {"field": "Field"} | {
            f"{side} {record['row']}": f"{side} row {record['row']}" for side, record in records
        }
        differing = {line["field"]: line["difference"] for line in found["differences"]}
        lines = [
            {"field": spec.name, "difference": differing.get(spec.name, "")}
            | {f"{side} {record['row']}": as_text(record[spec.name]) for side, record in records}
            for spec in plan.fields
        ]
        table(lines, headings | {"difference": "Difference"}, "match-detail-table")
