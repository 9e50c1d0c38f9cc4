"""Small changes of a plan, as data: what a cause of breaks proposes, and what `suggest --from` applies.

| change | keys | does |
|---|---|---|
| `condition` | `rule`, `from`, `to` | Replaces that condition of the rule. |
| `clean` | `field`, `left`, `right` | Adds clean steps to the field, at the end of those it has. |
| `rule` | `rule`, perhaps `field` | Adds a rule below the others, and the field that it needs. |

Conditions, rules and fields are written as in a plan file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recon_engine.errors import PlanError
from recon_engine.plan import CleanStep, FieldSpec, Plan, SidedClean, SideName
from recon_engine.rules import Condition, Rule, short_form

Change = dict[str, Any]
SideSteps = dict[SideName, tuple[CleanStep, ...]]
_LONGEST_NAME = 60


def changed(plan: Plan, change: Change) -> Plan:
    """The plan after one change. Raises PlanError where the change does not fit the plan."""
    data = plan.to_data()
    kind = change.get("change")
    if kind == "condition":
        rule = next((r for r in data["rules"] if r["name"] == change["rule"]), None)
        if rule is None or change["from"] not in rule.get("on", []):
            raise PlanError(f"the plan has no rule '{change['rule']}' with the condition {change['from']}")
        rule["on"] = [change["to"] if c == change["from"] else c for c in rule["on"]]
    elif kind == "clean":
        number = next((n for n, f in enumerate(plan.fields) if f.name == change["field"]), None)
        if number is None:
            raise PlanError(f"the plan has no field '{change['field']}' to clean")
        data["fields"][number]["clean"] = _added(plan.fields[number], change).model_dump(mode="json")
    elif kind == "rule":
        data["fields"] += [change["field"]] if "field" in change else []
        data["rules"].append(change["rule"])
    else:
        raise PlanError(f"no such change of a plan: {kind}")
    return Plan.build(data, where="changed plan")


def first_touched(plan: Plan, change: Change) -> int:
    """The number of the first rule that can decide otherwise after the change; an added one comes after all."""
    if change["change"] == "rule":
        return len(plan.rules)
    touched = (
        n
        for n, r in enumerate(plan.rules)
        if (r.name == change["rule"] if change["change"] == "condition" else change["field"] in r.fields)
    )
    return next(touched, len(plan.rules))


def condition_change(rule: Rule, old: Condition, new: Condition) -> Change:
    """Replaces a condition where it stands."""
    return {"change": "condition", "rule": rule.name, "from": short_form(old), "to": short_form(new)}


def clean_change(name: str, steps: SideSteps) -> Change:
    """Adds clean steps to a field: every rule that looks at it compares otherwise."""
    added = SidedClean(left=steps.get("left", ()), right=steps.get("right", ())).model_dump(mode="json")
    return {"change": "clean", "field": name, **added}


def rule_change(plan: Plan, rule: Rule, old: Condition, new: Condition, told: str, **others: Any) -> Change:
    """Adds a rule like another one but for one condition: it works on what is open at the end, nothing else changes."""
    on = tuple(new if c == old else c for c in rule.on)
    like = rule.model_copy(update={"on": on, "name": _rule_name(plan, f"{rule.name}, {told}"), **others})
    data = like.model_dump(mode="json", exclude_defaults=True) | {"on": [short_form(c) for c in on]}
    return {"change": "rule", "rule": data}


def cleaned_rule_change(plan: Plan, rule: Rule, old: Condition, steps: SideSteps, told: str) -> Change:
    """Adds a rule like another one that compares a field cleaned further: under a name of its own, so that no other
    rule changes.
    """
    spec = plan.field(old.field)
    suffix = "_".join(_word(s) for s in dict.fromkeys((*steps.get("left", ()), *steps.get("right", ()))))
    name = base = f"{spec.name[: _LONGEST_NAME - 1 - len(suffix)]}_{suffix}"
    taken, number = {f.name for f in plan.fields}, 2
    while name in taken:
        name, number = f"{base[: _LONGEST_NAME - 3]}_{number}", number + 1
    added = _added(spec, {s: list(v) for s, v in steps.items()})
    other = spec.model_copy(update={"name": name, "clean": added})
    data = {"type": spec.type, **other.model_dump(mode="json", exclude_defaults=True)}
    return rule_change(plan, rule, old, old.model_copy(update={"field": name}), told) | {"field": data}


def with_renamed_fields(rule: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """A rule, or a search for duplicates, as plain data: with the new name of a field wherever it names it."""
    told = dict(rule)
    if "on" in told:
        told["on"] = [_renamed(condition, renamed) for condition in told["on"]]
    if "link" in told:
        link = told["link"] = dict(told["link"])
        link["fields"] = [renamed.get(name, name) for name in link["fields"]]
        if "compare_as" in link:
            link["compare_as"] = {renamed.get(name, name): how for name, how in link["compare_as"].items()}
        if "block_on" in link:
            link["block_on"] = [[renamed.get(name, name) for name in key] for key in link["block_on"]]
    return told


def _renamed(condition: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(condition, str):
        return renamed.get(condition, condition)
    named = {key: condition[key] for key in ("field", "found_in") if key in condition}
    return {**condition, **{key: renamed.get(name, name) for key, name in named.items()}}


def _added(spec: FieldSpec, steps: dict[str, Any]) -> SidedClean:
    return SidedClean.model_validate(
        {s: [*getattr(spec.clean, s), *steps.get(s, ())] for s in ("left", "right")}  # plain data or models
    )


def _word(step: CleanStep) -> str:
    return step if isinstance(step, str) else "_".join(f"{k}_{v}" for k, v in step.model_dump().items())


def _rule_name(plan: Plan, base: str) -> str:
    name, number, taken = base[:190], 2, {r.name for r in plan.rules}
    while name in taken:
        name, number = f"{base[:190]} ({number})", number + 1
    return name
