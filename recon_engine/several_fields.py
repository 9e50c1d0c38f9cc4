"""What several fields show together, where no key names a record: sums, records whose amounts differ, what agrees."""

from __future__ import annotations

from recon_engine.field_roles import Roles
from recon_engine.rule_proposals import MappedField, ProposedRule, Tables, keyed_rules, observed
from recon_engine.set_proposals import repeats, sum_rule, sums_near_days

NAMES_ONE = 0.9
"""From this share of records on, fields name one together."""
AGREES, USUALLY = 0.98, 0.5
# So many records show how they are, and so many fields are a key of several.
_FEWEST, _SEVERAL = 20, 2


def adding_up(
    tables: Tables, keys: list[MappedField], named: float, undated: list[MappedField], roles: Roles, part: int
) -> list[ProposedRule]:
    """Where fields besides the amount name a record together: sums of them, and else what is left as amounts differ."""
    groups = repeats(tables, keys, roles.amount, None, part) if named >= NAMES_ONE and keys else None
    sums = sum_rule(keys, roles.amount, roles.currency, groups) if groups and roles.amount else None
    if sums is None:
        return _by_several(tables, keys, named, roles, part)
    if roles.date is None or roles.date not in keys or not undated:
        return [sums]
    lag = observed(*tables, undated, roles.amount, roles.date, part).lag
    return [sums, *([sums_near_days(sums, roles.date, lag)] if lag else [])]


def _by_several(tables: Tables, keys: list[MappedField], named: float, roles: Roles, part: int) -> list[ProposedRule]:
    """Where fields besides the amount name a record together, a shop and a day: what is left as the amount differs."""
    if named < NAMES_ONE or len(keys) < _SEVERAL:
        return []
    date = None if roles.date in keys else roles.date
    seen = observed(*tables, keys, roles.amount, date, part)
    if seen.joined < _FEWEST or seen.equal_amount < USUALLY:
        return []
    rules = keyed_rules(keys, roles.amount, date, None if roles.currency in keys else roles.currency, seen, first=False)
    return [r for r in rules if r.stage > 1]


def agreeing_besides(
    tables: Tables, usable: list[MappedField], keys: list[MappedField], roles: Roles, part: int
) -> list[MappedField]:
    """Further fields that nearly always agree where `keys` do."""
    found = []
    for mapped in usable:
        if mapped in keys or mapped is roles.date or mapped.pair.overlap < 0.05:
            continue
        groups = [repeats(tables, each, None, None, part) for each in (keys, [*keys, mapped])]
        if all(groups) and groups[1].keys >= AGREES * groups[0].keys:  # type: ignore[union-attr]
            found.append(mapped)
    return found
