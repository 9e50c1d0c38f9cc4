"""A rule as the dialog holds it: cells of text for everything a rule can say, and the way back to plan data.

Nothing that a plan may say is lost on the way: a rule that is opened and saved untouched is the same rule. A test
compares the keys below with those of the engine, so that a new one cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from recon_engine.plan import Budget, Condition, Plan, Rule

KINDS = {
    "equality": "is equal",
    "both_empty": "is equal, or empty on both sides",
    "within": "within an amount",
    "percent": "within a percentage",
    "days": "within days",
    "similarity": "texts are alike",
    "found_in": "is contained in",
}
KINDS_OF_TYPE = {
    "text": ["equality", "similarity", "found_in", "both_empty"],
    "decimal": ["equality", "within", "percent", "both_empty"],
    "integer": ["equality", "within", "percent", "both_empty"],
    "date": ["equality", "days", "both_empty"],
    "datetime": ["equality", "days", "both_empty"],
    "boolean": ["equality", "both_empty"],
}
ALSO = {"total": "added up", "opposite": "opposite sign", "fee": "after a fee"}
NUMBERS = ("decimal", "integer")
NET_SHAPES = ("net_left", "net_right")
SHAPES = ("one_to_one", "one_to_many", "many_to_one", "many_to_many", *NET_SHAPES)
Cells = dict[str, Any]
Draft = dict[str, Any]


def blank(field: str) -> Cells:
    """A condition that has just been added: the field is equal."""
    return {
        "field": field,
        "kind": "equality",
        "low": "0",
        "high": "0",
        "cap": "",
        "method": "jaro_winkler",
        "at_least": "92",
        "found_in": field,
        "also": [],
        "fee_fixed": "",
        "fee_percent": "",
    }


def cells_of(condition: Condition) -> Cells:
    """What the dialog shows of a condition."""
    cells = blank(condition.field)
    for kind in ("within", "percent", "days"):
        window = getattr(condition, kind)
        if window is not None:
            cells |= {"kind": kind, "low": str(window[0]), "high": str(window[1])}
    if condition.cap is not None:
        cells["cap"] = str(condition.cap)
    if condition.similarity is not None and condition.at_least is not None:
        cells |= {"kind": "similarity", "method": condition.similarity, "at_least": percent_text(condition.at_least)}
    if condition.found_in is not None:
        cells |= {"kind": "found_in", "found_in": condition.found_in}
    if condition.nulls:
        cells["kind"] = "both_empty"
    if condition.net_of is not None:
        fee = condition.net_of
        cells |= {"fee_fixed": str(fee.fixed or ""), "fee_percent": str(fee.percent or "")}
    said = {"total": condition.total, "opposite": condition.sign is not None, "fee": condition.net_of is not None}
    cells["also"] = [name for name in ALSO if said[name]]
    return cells


def condition_data(cells: Mapping[str, Any]) -> Any:
    """The cells as a plan file has them: a bare name for equality."""
    kind, data = cells["kind"], {"field": cells["field"]}
    if kind in ("within", "percent", "days"):
        data[kind] = [cells[end].strip() or "0" for end in ("low", "high")]
    if kind == "percent" and cells["cap"].strip():
        data["cap"] = cells["cap"].strip()
    if kind == "similarity":
        data |= {"similarity": cells["method"], "at_least": share(cells["at_least"])}
    if kind == "found_in":
        data["found_in"] = cells["found_in"]
    if kind == "both_empty":
        data["nulls"] = "equal"
    if "total" in cells["also"]:
        data["total"] = True
    if "opposite" in cells["also"]:
        data["sign"] = "opposite"
    if "fee" in cells["also"]:
        fee = {"fixed": cells["fee_fixed"].strip(), "percent": cells["fee_percent"].strip()}
        data["net_of"] = {name: text for name, text in fee.items() if text}
    return data["field"] if len(data) == 1 else data


def opened(rule: Rule | None, plan: Plan) -> Draft:
    """What the dialog starts from: a rule, or a new one that asks the first field to be equal."""
    conditions = [cells_of(c) for c in rule.on] if rule else []
    link = rule.link if rule else None
    return {
        "by": "link" if link else "conditions",
        "name": rule.name if rule else "",
        "conditions": dict(enumerate(conditions or [blank(plan.fields[0].name)])),
        "link_fields": list(link.fields) if link else [],
        "probability": percent_text(link.probability) if link else "95",
        "compare_as": dict(link.compare_as) if link else {},
        "block_on": [list(key) for key in link.block_on] if link else [],
        "shape": f"net_{rule.net}" if rule and rule.net else rule.cardinality if rule else "one_to_one",
        "outcome": rule.outcome if rule else "confirmed",
        "when_ambiguous": rule.when_ambiguous if rule else "best",
        "gate": percent_text(rule.max_false_rate) if rule and rule.max_false_rate else "",
        "members": rule.budget.members if rule else Budget().members,
    }


def reversal(plan: Plan) -> Draft:
    """What the dialog starts from for a new rule that nets the left side: a field that is equal, and what adds up."""
    money = [spec.name for spec in plan.fields if spec.type in NUMBERS][:1]
    equal = [spec.name for spec in plan.fields if spec.name not in money][:1]
    cells = [*map(blank, equal), *({**blank(name), "also": ["total"]} for name in money)]
    return opened(None, plan) | {"shape": NET_SHAPES[0], "conditions": dict(enumerate(cells))}


def rule_data(draft: Draft) -> dict[str, Any]:
    """The dialog's content as plan data. A number that cannot be read stays as it is written: the plan refuses it."""
    data: dict[str, Any] = {"name": draft["name"]}
    if draft["by"] == "link":
        data["link"] = {
            "fields": draft["link_fields"],
            "probability": share(draft["probability"]),
            "compare_as": draft["compare_as"],
            "block_on": draft["block_on"],
        }
    else:
        data["on"] = [condition_data(cells) for cells in draft["conditions"].values()]
    shape = draft["shape"]
    if shape.startswith("net_"):
        data["net"] = shape.removeprefix("net_")
    else:
        data["cardinality"] = shape
    data |= {"outcome": draft["outcome"], "when_ambiguous": draft["when_ambiguous"]}
    if draft["gate"].strip():
        data["max_false_rate"] = share(draft["gate"])
    data["budget"] = {"members": draft["members"]}
    return data


def in_order(chosen: Sequence[str], before: Sequence[str], fields: Sequence[str]) -> list[str]:
    """The chosen names in the order they had, then the new ones in the order of the plan."""
    return [name for name in dict.fromkeys((*before, *fields)) if name in chosen]


def percent_text(part: float) -> str:
    """0.92 as '92'; exact, and back again by `share`."""
    return f"{(Decimal(repr(part)) * 100).normalize():f}"


def share(text: str) -> float | str:
    """'92' or '92 %' as 0.92; what is no number as it is written."""
    try:
        return float(Decimal(text.strip().removesuffix("%").strip()) / 100)
    except InvalidOperation:
        return text
