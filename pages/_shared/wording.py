"""Numbers, sizes, times and plan parts as people read them. No arithmetic on amounts happens here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from recon_engine.plan import Condition, Rule

CATEGORY_NAMES = {
    "missing_counterpart": "No counterpart",
    "value_mismatch": "Value mismatch",
    "ambiguous": "Ambiguous",
    "duplicate": "Duplicate",
    "one_sided_total": "Total does not fit",
}
STATUS_LOOKS = {
    "queued": ("Waiting", "gray", ":material/schedule:"),
    "running": ("Running", "blue", ":material/progress_activity:"),
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


def count(number: int, one: str, many: str | None = None) -> str:
    """'1 row', '1,204 rows'."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(size_bytes: int) -> str:
    """'1.2 MB'."""
    value = float(size_bytes)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def ago(moment: datetime, now: datetime) -> str:
    """'4 minutes ago'; a date when it is longer than a week."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (now - moment).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{count(int(seconds // _MINUTE), 'minute')} ago"
    if seconds < _DAY:
        return f"{count(int(seconds // _HOUR), 'hour')} ago"
    if seconds < 7 * _DAY:
        return f"{count(int(seconds // _DAY), 'day')} ago"
    return moment.strftime("%d %b %Y")


def lasted(seconds: float) -> str:
    """'0.8 s', '42 s', '3 min 10 s'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"


def share(part: int, whole: int) -> str:
    """'98.2%', never rounded up to 100% while something is open; '–' of nothing."""
    if not whole:
        return "–"
    tenths = part * 1000 // whole
    return f"{tenths // 10}%" if part == whole or not tenths % 10 else f"{tenths // 10}.{tenths % 10}%"


def amount(text: str) -> str:
    """An exact amount with thousands separators: '-12,400.50'."""
    return f"{Decimal(text):,f}"


def condition_sentence(condition: Condition) -> str:
    """'amount within ±0.05', 'posted_on 0 to +3 days', 'reference equal'."""
    if condition.within is not None:
        return f"`{condition.field}` within {_window(condition.within)}"
    if condition.percent is not None:
        cap = f", at most {condition.cap}" if condition.cap is not None else ""
        return f"`{condition.field}` within {_window(condition.percent)}%{cap}"
    if condition.days is not None:
        return f"`{condition.field}` {_window(condition.days)} days"
    return f"`{condition.field}` equal" + (" (or both empty)" if condition.nulls else "")


def rule_sentence(rule: Rule) -> str:
    """All conditions of a rule in one line."""
    return " · ".join(condition_sentence(c) for c in rule.on)


def ambiguity_sentence(rule: Rule) -> str:
    """What happens to records that compete."""
    return {
        "best": "competing records: the best assignment if it is unique",
        "leave": "competing records stay open",
        "suggest": "competing records are suggested",
    }[rule.when_ambiguous]


def _window(window: tuple[Any, Any]) -> str:
    low, high = window
    return f"±{high}" if low == -high else f"{_signed(low)} to {_signed(high)}"


def _signed(value: Any) -> str:
    return f"+{value}" if value > 0 else str(value)


def conservation_sentence(summary: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """The conservation statement of both sides as text."""
    parts = []
    for side in ("left", "right"):
        rows = summary["rows"][side]
        parts.append(
            f"**{labels[side]}**: {rows['read']:,} rows read = {rows['matched']:,} matched + "
            f"{rows['suggested']:,} suggested + {rows['breaks']:,} breaks + {rows['rejected']:,} rejected"
        )
    return "  \n".join(parts)


def named(field: str, currency: str) -> str:
    """'amount GBP'; only 'amount' when the plan names no currency; a missing currency is said."""
    if currency == "all":
        return field
    return f"{field} {currency}" if currency else f"{field} (no currency)"
