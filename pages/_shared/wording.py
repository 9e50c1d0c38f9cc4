"""Numbers, sizes, times and plan parts as the screens say them. No arithmetic on amounts happens here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import SidesPlan, SidesRule
from recon_engine.plan import Rule
from services.formats import amount, count, day, localised, minute, moment, number, second, share
from services.wording import (
    CATEGORY_NAMES,
    METHOD_NAMES,
    between,
    cause_sentence,
    certificate_sentence,
    chance_sentence,
    condition_sentence,
    duplicates_sentence,
    handling_sentence,
    link_details,
    named,
    percent,
    probability,
    rule_sentence,
    rules_that_ran,
    score,
    shape_sentence,
)

__all__ = [
    "CATEGORY_NAMES",
    "METHOD_NAMES",
    "STATUS_LOOKS",
    "against",
    "ago",
    "amount",
    "between",
    "cause_sentence",
    "certificate_sentence",
    "chance_sentence",
    "condition_sentence",
    "conservation_sentence",
    "count",
    "day",
    "duplicates_sentence",
    "handling_sentence",
    "lasted",
    "link_details",
    "literal",
    "localised",
    "minute",
    "moment",
    "named",
    "number",
    "percent",
    "probability",
    "rule_in",
    "rule_sentence",
    "rules_that_ran",
    "score",
    "second",
    "shape_sentence",
    "share",
    "size",
]  # what the screens find here, wherever it is written

STATUS_LOOKS = {
    "queued": ("Waiting", "gray", ":material/schedule:"),
    "running": ("Running", "blue", ":material/progress_activity:"),
    "paused": ("Paused", "orange", ":material/pause_circle:"),
    "cancelling": ("Cancelling", "orange", ":material/hourglass_bottom:"),
    "succeeded": ("Finished", "green", ":material/check_circle:"),
    "failed": ("Failed", "red", ":material/error:"),
    "cancelled": ("Cancelled", "gray", ":material/cancel:"),
    "draft": ("Draft", "gray", ":material/edit_note:"),
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def literal(text: str) -> str:
    """A name that people typed, safe inside Markdown: shown as written."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~:$@])", r"\\\1", text)


def size(size_bytes: int) -> str:
    """'1.2 MB'."""
    value = float(size_bytes)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return localised(f"{value:.0f}" if unit == "bytes" else f"{value:.1f}") + f" {unit}"
        value /= 1000
    return localised(f"{value:.1f}") + " GB"


def ago(when: datetime, now: datetime) -> str:
    """'4 minutes ago'; a date when it is longer than a week."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    seconds = (now - when).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{count(int(seconds // _MINUTE), 'minute')} ago"
    if seconds < _DAY:
        return f"{count(int(seconds // _HOUR), 'hour')} ago"
    if seconds < 7 * _DAY:
        return f"{count(int(seconds // _DAY), 'day')} ago"
    return day(when)


def lasted(seconds: float) -> str:
    """'under 0.1 s', '0.8 s', '42 s', '3 min 10 s'."""
    if seconds < 0.05:
        return localised("under 0.1 s")
    if seconds < 10:
        return localised(f"{seconds:.1f} s")
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"


def rule_in(plan: AnyPlan, rule: Rule) -> str:
    """The rule's sentence with the names of the plan's sides, safe inside Markdown."""
    names = {side: literal(label) for side, label in plan.labels.items()}
    if not isinstance(plan, SidesPlan):
        return rule_sentence(rule, *names.values())
    if isinstance(rule, SidesRule) and rule.net:
        return rule_sentence(rule.plain, names[rule.net])
    if isinstance(rule, SidesRule) and rule.between:
        left, right = (names[side] for side in rule.between)
        sentence = rule_sentence(rule, left, right)
        ends = " and ".join(plan.labels[side] for side in rule.between)
        return sentence if ends in rule.name else f"**{left} and {right}**: {sentence}"  # said once is enough
    every = set.intersection(*(set(plan.field(name).columns) for name in rule.fields))
    return f"**{', '.join(names[side] for side in names if side in every)}**: {rule_sentence(rule)}"


def against(plan: AnyPlan) -> str:
    """'Ledger against Bank', for Markdown: the names of the sides."""
    return " against ".join(f"**{literal(label)}**" for label in plan.labels.values())


def conservation_sentence(summary: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """The conservation statement of all sides as text."""
    parts = []
    for side, rows in summary["rows"].items():
        parts.append(
            f"**{labels[side]}**: {number(rows['read'])} rows read = {number(rows['matched'])} matched + "
            f"{number(rows['suggested'])} suggested + {number(rows['breaks'])} breaks + "
            f"{number(rows['rejected'])} rejected"
        )
    return "  \n".join(parts)
