"""The workspace in numbers, on Home: runs, match rate, cycle time, what is open; by day, age, plan and person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages._shared import charts, wording
from pages._shared.context import services
from pages._shared.tables import table
from services.permissions import Actor

TOGETHER = {"runs": "Runs", "failed": "Failed", "rows": "Rows", "rate": "Matched", "cycle": "Cycle time"}


def show(person: Actor) -> None:
    """The main figures; the rest once it is asked for. Nothing before the first result."""
    told = services().analytics.dashboard(person)
    whole = told["whole"]
    if not whole["rows"]:
        return
    with st.grid(4, gap="small"):
        for label, figure in (
            ("Runs", wording.number(whole["runs"])),
            ("Rows matched", wording.share(whole["matched"], whole["rows"])),
            ("Cycle time", wording.lasted(whole["cycle_seconds"])),
            ("Open breaks", wording.number(whole["open"])),
        ):
            st.metric(label, figure, border=True)
    box = st.expander("By day, age, plan and person", icon=":material/query_stats:", key="numbers", on_change="rerun")
    if box.open:
        with box:
            _more(told)


def _more(told: Mapping[str, Any]) -> None:
    left, right = st.columns([1.4, 1], gap="large")
    with left:
        st.markdown("**Rows by day**")
        st.plotly_chart(charts.volumes(told["volumes"]), config=charts.CONFIG, key="volumes", alt="Rows by day")
    with right:
        st.markdown("**Age of the open records** :gray[newest result of each plan]")
        if told["ageing"]:
            st.plotly_chart(
                charts.ageing(told["ageing"]), config=charts.CONFIG, key="ageing", alt="Age of the open records"
            )
        else:
            st.caption("Nothing is open that has a date.")
    table(_lines(told["plans"]), {"plan": "Plan", **TOGETHER, "open": "Open breaks"}, "by-plan", amounts=_RIGHT)
    table(_lines(told["people"]), {"person": "Person", **TOGETHER}, "by-person", amounts=_RIGHT)
    st.caption(
        "Of the newest 200 runs. The cycle time is the median from pressing Run to the result; ages are counted to the "
        "latest date in a run's files."
    )


_RIGHT = (*TOGETHER, "open")


def _lines(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The groups as rows of a table, numbers as people read them."""
    return [
        {
            **group,
            **{name: wording.number(group[name]) for name in ("runs", "failed", "rows")},
            "rate": wording.share(group["matched"], group["rows"]) if group["rows"] else "",
            "cycle": "" if group["cycle_seconds"] is None else wording.lasted(group["cycle_seconds"]),
            "open": "" if group.get("open") is None else wording.number(group["open"]),
        }
        for group in groups
    ]
