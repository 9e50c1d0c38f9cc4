"""What a saved plan was before, what changed between two of its versions, and a copy under another name."""

from __future__ import annotations

from datetime import datetime
from difflib import unified_diff
from typing import Any

import streamlit as st

from pages._shared import wording
from pages._shared.context import services
from pages._shared.messages import explained, notice
from services.database.models import PlanTemplate
from services.permissions import Actor
from services.templates import versions


def show(person: Actor, template: PlanTemplate, editable: bool) -> None:
    """The versions, newest first, each compared with the present one and to be used again; and a way to make a copy."""
    kept = versions(template)
    if len(kept) > 1:
        chosen = st.selectbox(
            "Compare with version",
            [one["version"] for one in kept[1:]],
            key=f"version-{template.id}",
            format_func=lambda number: f"{number}, saved {_moment(kept, number)}",
            width=320,
        )
        earlier = next(one for one in kept if one["version"] == chosen)
        names = f"version {chosen}", f"version {template.version}, in use"
        lines = unified_diff(earlier["yaml"].splitlines(), template.yaml.splitlines(), *names, lineterm="", n=1)
        st.code("\n".join(lines), language="diff", wrap_lines=True)
        if editable and st.button(f"Use version {chosen} again", key=f"back-{template.id}", icon=":material/undo:"):
            with explained():
                plan = services().plans.template_version(person, template.id, int(chosen))
                saved = services().plans.save_template(person, template.name, plan)
                notice(f"Version {chosen} is in use again, as version {saved.version}.")
                st.rerun()
    else:
        st.caption("One version so far: saving under the same name makes the next.")
    if editable:
        with st.form(f"clone-{template.id}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input("Name of a copy", f"{template.name}, copy", width=320)
            if st.form_submit_button("Clone", icon=":material/content_copy:"):
                with explained():
                    services().plans.clone_template(person, template.id, name)
                    notice(f"'{name}' is saved.")
                    st.rerun()


def _moment(kept: list[dict[str, Any]], number: int) -> str:
    return next(wording.moment(datetime.fromisoformat(one["saved_at"])) for one in kept if one["version"] == number)
