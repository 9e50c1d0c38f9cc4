"""Of a result of several sides: which sides were found together, how often, and what such groups are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.formats import number

KINDS = {
    "complete": "On every side",
    "incomplete": "Lacks a side",
    "ambiguous": "Cannot be told apart",
    "netted": "Cancels out inside its side",
}
TOGETHER = "Records that rules link over all sides, or net inside one. A record without either is in no group."


def together(summary: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, str]]:
    """A line for each set of sides whose records were linked, the most frequent first; of two sides there is none."""
    return [
        {
            "sides": " · ".join(names[side] for side in names if side in one["sides"]),
            "groups": number(one["groups"]),
            "kind": KINDS[one["kind"]],
            "lacks": "" if one["kind"] == "netted" else ", ".join(s for n, s in names.items() if n not in one["sides"]),
        }
        for one in summary.get("together", [])
    ]
