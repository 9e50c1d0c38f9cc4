"""What a cause of breaks proposes, applied to its plan: of two sides, or of several for the two that it is of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recon_engine.errors import PlanError
from recon_engine.nway.any_plan import AnyPlan, load_plan
from recon_engine.nway.plan import Pair, SidesField, SidesPlan
from recon_engine.plan import SIDES, Plan
from recon_engine.plan_changes import Change, changed, with_renamed_fields

_LONGEST_NAME = 60


def with_cause(plan: AnyPlan, cause: Mapping[str, Any]) -> AnyPlan:
    """The plan after the change of a cause. Raises PlanError where the change does not fit the plan."""
    if isinstance(plan, Plan):
        return changed(plan, cause["change"])
    left, right = cause["between"]
    return _changed_between(plan, (left, right), cause["change"])


def mended(result: Path, number: int) -> tuple[AnyPlan, str]:
    """The plan of a result with its cause `number` (from 1) applied, and in words what that is expected to do.

    Raises PlanError when the directory is no result or has no such cause.
    """
    try:
        summary = json.loads((result / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError(f"{result}: not a result directory, its summary.json cannot be read ({error})") from error
    found = summary.get("causes", [])
    if not 1 <= number <= len(found):
        kept = f"it has {len(found)}, numbered from 1" if found else "it has none: no small change was found"
        raise PlanError(f"{result}: there is no cause {number}; {kept}")
    cause = found[number - 1]
    ends = f"between {' and '.join(cause['between'])}, " if "between" in cause else ""
    told = f"cause {number} of {len(found)}: {ends}{cause['cause']} ({cause['rows']:,} breaks)."
    blast = cause["blast"]
    if blast is None:
        told += f" What it would do was not tried: {cause['not_tried']}."
    else:
        told += (
            f" Expected: {blast['new_matches']:,} new matches, {blast['lost_matches']:,} lost,"
            f" {blast['new_ambiguous']:,} records newly ambiguous."
        )
    return with_cause(load_plan(result / "plan.yaml"), cause), told


def _changed_between(plan: SidesPlan, pair: Pair, change: Change) -> SidesPlan:
    """The plan after a change that was tried on two sides: what rules say of other sides stays as it is.

    Only where a field is cleaned alike on both is it so on all sides: what was equal stays equal.
    """
    if pair not in plan.pairs:
        raise PlanError(f"the plan has no rules between {' and '.join(pair)} in this order")
    changed(plan.pair_plan(*pair), _of_two(change))  # is refused where it does not fit
    data = plan.to_data()
    if change["change"] == "condition":
        data["rules"] = _for_pair(plan, pair, lambda rule: _with_condition(rule, change))
    elif change["change"] == "clean":
        _clean(plan, data, pair, change)
    else:
        rule = {**change["rule"], "between": list(pair)}
        if any(r.name.startswith(f"{rule['name']} (") and r.between == pair for r in plan.rules):
            raise PlanError(f"the plan has the rule '{rule['name']}' between {' and '.join(pair)}")
        rule["name"] = _free(rule["name"], data["rules"], " ({})")
        if "field" in change:
            field = _sided(change["field"], pair)
            name = _free(field["name"], data["fields"], "_{}")
            rule = with_renamed_fields(rule, {field["name"]: name})
            data["fields"].append({**field, "name": name})
        data["rules"].append(rule)
    return SidesPlan.build(data, where="changed plan")


def _clean(plan: SidesPlan, data: dict[str, Any], pair: Pair, change: Change) -> None:
    """Cleans a field further: where it is, or for these two sides alone in a field of their own."""
    spec, plain = next((s, d) for s, d in zip(plan.fields, data["fields"], strict=True) if s.name == change["field"])
    left, right = ([*change.get(end, ())] for end in SIDES)
    if left == right or set(spec.columns) == set(pair):
        steps = dict.fromkeys(spec.columns, left) | {pair[1]: right}
        plain["clean"] = _cleaned(spec, steps)
        return
    name = _free(f"{spec.name}_{'_'.join(pair)}"[:_LONGEST_NAME], data["fields"], "_{}")
    two = _only(spec, pair)
    own = {"name": name, "clean": _cleaned(two, {pair[0]: left, pair[1]: right})}
    data["fields"].append({**two.model_dump(mode="json", exclude_defaults=True), **own})
    data["rules"] = _for_pair(plan, pair, lambda rule: with_renamed_fields(rule, {spec.name: name}))


def _of_two(change: Change) -> Change:
    """The change as a plan of its two sides takes it: an added rule does not name them."""
    if change["change"] != "rule":
        return change
    return {**change, "rule": {key: value for key, value in change["rule"].items() if key != "between"}}


def _for_pair(plan: SidesPlan, pair: Pair, change: Callable[[dict[str, Any]], dict[str, Any]]) -> list[dict[str, Any]]:
    """The plan's rules as plain data, changed for two sides: one that looks at others too is there for each two of them
    apart, under names that say so.
    """
    every = plan.to_data()["rules"]
    found: list[dict[str, Any]] = []
    for rule, plain in zip(plan.rules, every, strict=True):
        those = [ends for ends, rules in plan.pairs.items() if rule in rules]
        if pair not in those or change(plain) == plain:
            found.append(plain)
            continue
        for ends in those:
            name = rule.name if len(those) == 1 else f"{rule.name}, {' and '.join(plan.labels[s] for s in ends)}"
            name = _free(name, [other for other in (*every, *found) if other is not plain], " ({})")
            found.append({**(change(plain) if ends == pair else plain), "name": name, "between": list(ends)})
    return found


def _with_condition(rule: dict[str, Any], change: Change) -> dict[str, Any]:
    if rule["name"] != change["rule"]:
        return rule
    return {**rule, "on": [change["to"] if c == change["from"] else c for c in rule["on"]]}


def _only(spec: SidesField, pair: Pair) -> SidesField:
    """The field as it is on two sides, with what it says of these alone."""
    told = {
        key: {side: value[side] for side in pair if side in value}
        for key, value in (("columns", spec.columns), ("formats", spec.formats), ("clean", spec.clean))
        if isinstance(value, dict)
    }
    return spec.model_copy(update=told)


def _cleaned(spec: SidesField, steps: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """By side the clean steps of a field, with more at their end."""
    kept = spec.model_dump(mode="json")["clean"]
    by_side = {side: kept.get(side, []) if isinstance(kept, dict) else kept for side in spec.columns}
    every = {side: [*before, *steps.get(side, ())] for side, before in by_side.items()}
    return {side: told for side, told in every.items() if told}


def _sided(field: Mapping[str, Any], pair: Pair) -> dict[str, Any]:
    """A field of two sides, as a plan of several writes it."""
    names = dict(zip(SIDES, pair, strict=True))
    told = {key: value for key, value in field.items() if key not in SIDES}
    for key in ("clean", "formats"):
        if isinstance(told.get(key), dict):
            told[key] = {names[end]: value for end, value in told[key].items() if value}
    return {**told, "columns": {names[end]: field[end] for end in SIDES}}


def _free(name: str, others: Iterable[Mapping[str, Any]], numbered: str) -> str:
    """The name, numbered where one of the others has it."""
    taken, number, found = {one["name"] for one in others}, 2, name
    while found in taken:
        found, number = name + numbered.format(number), number + 1
    return found
