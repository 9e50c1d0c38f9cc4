"""What plans and results say, as sentences. Screens and the PDF share them; names of fields stand in backquotes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from recon_engine.plan import Budget, Condition, Duplicates, Rule
from recon_engine.rule_proposals import days_apart
from services.formats import amount, count, localised, number

CATEGORY_NAMES = {
    "missing_counterpart": "No counterpart",
    "value_mismatch": "Value mismatch",
    "ambiguous": "Ambiguous",
    "duplicate": "Duplicate",
    "one_sided_total": "Total does not fit",
}
METHOD_NAMES = {
    "jaro_winkler": "as names",
    "levenshtein": "as codes",
    "token_set": "by their words",
    "tfidf": "as descriptions",
}


def condition_sentence(condition: Condition) -> str:
    """'amount within ±0.05', 'day 0 to 3 days later', 'reference contained in narrative', 'sum of amount equal'."""
    name = f"sum of `{condition.field}`" if condition.total else f"`{condition.field}`"
    if condition.similarity is not None:
        return f"{name} alike ({METHOD_NAMES[condition.similarity]}), at least {percent(condition.at_least or 0)}"
    if condition.found_in is not None:
        if condition.found_in == condition.field:
            return f"{name} of one side contained in that of the other"
        return f"{name} contained in `{condition.found_in}`, or the other way round"
    parts = [name]
    if condition.sign is not None:
        parts.append("with the opposite sign")
    if condition.net_of is not None:
        fee = condition.net_of
        sizes = [f"{fee.percent}%" if fee.percent else "", f"{fee.fixed}" if fee.fixed else ""]
        parts.append(localised(f"less a fee of {' and '.join(filter(None, sizes)) or '0'}"))
    if condition.within is not None:
        parts.append(f"within {_window(condition.within)}")
    elif condition.percent is not None:
        cap = f", at most {localised(str(condition.cap))}" if condition.cap is not None else ""
        parts.append(f"within {_window(condition.percent)}%{cap}")
    elif condition.days is not None:
        parts.append(days_apart(*condition.days))
    elif len(parts) == 1:
        parts.append("equal")
    return " ".join(parts) + (" (or both empty)" if condition.nulls else "")


def rule_sentence(rule: Rule, left: str = "left", right: str = "right") -> str:
    """Everything that a rule asks in one line, with how many records a match holds where that is not one of each."""
    if rule.link is not None:
        fields = ", ".join(f"`{name}`" for name in rule.link.fields)
        parts = [f"at least {percent(rule.link.probability)} probable by the evidence of {fields}"]
        if details := link_details(rule.link.compare_as, rule.link.block_on):
            parts.append(details)
    else:
        parts = [condition_sentence(c) for c in rule.on]
    shape = f"net_{rule.net}" if rule.net else rule.cardinality
    return " · ".join(parts if shape == "one_to_one" else [*parts, shape_sentence(shape, left, right)])


def rules_that_ran(rules: Iterable[Mapping[str, Any]], names: Iterable[str], labels: Mapping[str, str]) -> list[Any]:
    """The rules of a run under the numbers that the plan, with these `names`, gives them: `rule` is the name, `name`
    the title. A rule of several sides has a line for each two that it linked, or one for the side that it netted.
    """
    place = {name: number for number, name in enumerate(names, start=1)}
    return [
        {**rule, "rule": rule["name"], "name": f"{place[rule['name']]}. {_linking(rule, labels)}"}
        for rule in sorted(rules, key=lambda rule: place[rule["name"]])
    ]


def _linking(rule: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """The rule's name, with the sides that it looked at where there are more than two."""
    name, ends = str(rule["name"]), between(rule, labels)
    return name if ends in name else f"{name} · {ends}"


def between(told: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """'Orders and Ledger': the two sides that something of a run is about; 'Bank alone': the one that a rule nets;
    nothing when there are only two.
    """
    if "net" in told:
        return f"{labels[told['net']]} alone"
    return " and ".join(labels[side] for side in told.get("between", []))


def shape_sentence(shape: str, left: str, right: str) -> str:
    """How many records of each side one match holds, in words."""
    return {
        "one_to_one": f"One {left} record and one {right} record",
        "one_to_many": f"One {left} record and several {right} records",
        "many_to_one": f"Several {left} records and one {right} record",
        "many_to_many": "Several records on both sides",
        "net_left": f"{left} records that cancel each other out (reversals)",
        "net_right": f"{right} records that cancel each other out (reversals)",
    }[shape]


def link_details(compare_as: Mapping[str, str], block_on: Iterable[Iterable[str]]) -> str:
    """What a plan file says of a linkage beyond its fields; empty when nothing."""
    compared = [f"`{field}` compared as {how}" for field, how in compare_as.items()]
    keys = [" and ".join(f"`{name}`" for name in key) for key in block_on]
    return ", ".join([*compared, *([f"looked at where {' or '.join(keys)} agree"] if keys else [])])


def handling_sentence(rule: Rule) -> str:
    """What is unusual in how the rule's matches are treated; empty when nothing is."""
    told = {"best": "", "leave": "competing records stay open", "suggest": "competing records are suggested"}
    gate, sums = rule.max_false_rate, rule.budget.members
    parts = [
        told[rule.when_ambiguous],
        "" if gate is None else f"only suggested when more than {percent(gate)} would be accidental",
        f"sums are searched among at most {sums} candidates" if rule.total and rule.budget != Budget() else "",
    ]
    return " · ".join(filter(None, parts))


def duplicates_sentence(search: Duplicates | None) -> str:
    """How one side is searched for duplicates."""
    if search is None:
        return "Not searched."
    same = " · ".join(condition_sentence(c) for c in search.on)
    left_out = "all but the first stay out of matching" if search.exclude else "they are listed and take part"
    return f"The same thing twice: {same}. {left_out[0].upper()}{left_out[1:]}."


def percent(part: float) -> str:
    """0.925 as '92.5%', exact."""
    return localised(f"{(Decimal(repr(part)) * 100).normalize():f}%")


def _window(window: tuple[Any, Any]) -> str:
    low, high = window
    return localised(f"±{high}" if low == -high else f"{_signed(low)} to {_signed(high)}")


def _signed(value: Any) -> str:
    return f"+{value}" if value > 0 else str(value)


def named(field: str, currency: str) -> str:
    """'amount GBP'; only 'amount' when the plan names no currency; a missing currency is said."""
    if currency == "all":
        return field
    return f"{field} {currency}" if currency else f"{field} (no currency)"


def certificate_sentence(certificate: Mapping[str, Any]) -> str:
    """How a set that adds up was found, and how many such sets chance alone would give."""
    candidates, expected = int(certificate["candidates"]), float(certificate["expected_by_chance"])
    if candidates == 1:
        told = "The only candidate, and it adds up"
    elif certificate["search"] == "exhaustive":
        told = f"The only one of {number(2**candidates)} possible sets of {candidates} candidates that adds up"
    else:
        told = f"All {candidates} candidates together add up"
    chance = "fewer than 0.01" if expected < 0.01 else f"about {expected:.2f}" if expected < 10 else f"{expected:,.0f}"
    chance = localised(chance)
    return f"{told}; {chance} would by chance."


def cause_sentence(cause: Mapping[str, Any]) -> str:
    """How much a cause explains, and what its change would do."""
    amounts = [f"{amount(total)} {currency}" for currency, total in cause["amount"].items() if currency != "all"]
    amounts += [amount(total) for currency, total in cause["amount"].items() if currency == "all"]
    parts = [count(cause["rows"], "break"), *amounts]
    blast = cause["blast"]
    if blast is None:
        return " · ".join([*parts, f"not tried: {cause['not_tried']}"])
    does = [f"would add {count(blast['new_matches'], 'match', 'matches')}"]
    does += [f"lose {number(blast['lost_matches'])}"] if blast["lost_matches"] else ["lose none"]
    if blast["new_ambiguous"]:
        does.append(f"leave {count(blast['new_ambiguous'], 'more record')} ambiguous")
    return " · ".join([*parts, ", ".join(does)])


def chance_sentence(chance: Mapping[str, Any] | None) -> str:
    """The estimated share of accidental matches with its interval: '0.3% (0% to 1.2%)'."""
    if not chance:
        return "not estimated"
    rate, low, high = (_rate(float(chance[key])) for key in ("false_rate", "low", "high"))
    return f"{rate} ({low} to {high})"


def score(part: float) -> str:
    """'1', '0.93', '0.9999': never rounded up to 1."""
    return "1" if part == 1 else localised(f"{min(part, 0.9999):.4f}".rstrip("0"))


def probability(part: float) -> str:
    """'97.3%'; never a certainty."""
    return localised("more than 99.99%" if part > 0.9999 else f"{100 * part:.4g}%")


def _rate(part: float) -> str:
    if part == 0:
        return "0%"
    return localised("under 0.01%" if part < 0.0001 else f"{100 * part:.2g}%" if part < 0.1 else f"{100 * part:.0f}%")
