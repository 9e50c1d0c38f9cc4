"""The rules proposed for each pair of sides as the rules of one plan: what holds for every pair is said once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from recon_engine.nway.plan import Pair, SidesRule, lopsided
from recon_engine.rule_proposals import ProposedRule


def joined_rules(
    proposed: Mapping[Pair, list[ProposedRule]], columns: Mapping[str, Mapping[str, str]], titles: Mapping[str, str]
) -> list[ProposedRule]:
    """The rules of all pairs, strict ones first, each pair's in their order.

    A rule that is proposed for every two sides that have its fields, and asks the same of both, stands once without
    `between`; its confidence is the least. `columns`: by field, the column by side; `titles`: what people call a side.
    """
    alike: dict[str, list[tuple[Pair, int, ProposedRule]]] = {}
    for pair, rules in proposed.items():
        for place, each in enumerate(rules):
            alike.setdefault(each.rule.model_dump_json(), []).append((pair, place, each))
    placed: list[tuple[int, int, int, Pair | None, ProposedRule]] = []
    for number, same in enumerate(alike.values()):
        rule, stage = same[0][2].rule, same[0][2].stage
        able = [p for p in combinations(titles, 2) if all(set(p) <= columns[f].keys() for f in rule.fields)]
        if not lopsided(rule) and len(able) > 1 and [pair for pair, _, _ in same] == able:
            told = _together([(pair, each) for pair, _, each in same], titles)
            placed.append((stage, min(place for _, place, _ in same), number, None, told))
        else:
            placed += [(stage, place, number, pair, each) for pair, place, each in same]
    placed.sort(key=lambda each: each[:3])
    names = Counter(each.rule.name for *_, each in placed)
    return [_named(each, pair, titles, several=names[each.rule.name] > 1) for *_, pair, each in placed]


def _together(same: list[tuple[Pair, ProposedRule]], titles: Mapping[str, str]) -> ProposedRule:
    reasons = {each.reason for _, each in same}
    told = [f"{_between(pair, titles)}: {each.reason}" for pair, each in same]
    reason = same[0][1].reason if len(reasons) == 1 else "; ".join(told)
    return replace(same[0][1], reason=reason, confidence=min(each.confidence for _, each in same))


def _named(each: ProposedRule, pair: Pair | None, titles: Mapping[str, str], *, several: bool) -> ProposedRule:
    data = {**each.rule.model_dump(exclude_defaults=True), "between": pair}
    if pair and several:
        data["name"] = f"{each.rule.name}, {_between(pair, titles)}"
    return replace(each, rule=SidesRule.model_validate(data))


def _between(pair: Pair, titles: Mapping[str, str]) -> str:
    return f"{titles[pair[0]]} and {titles[pair[1]]}"
