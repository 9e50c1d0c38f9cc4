"""The cascade for two unknown files: keys that others confirm, then repeats and sums, then linkage, then likeness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recon_engine.code_maps import differing_codes, with_codes
from recon_engine.column_names import is_identifier, name_likeness
from recon_engine.columns import Column
from recon_engine.composite_keys import composite_key, lag_of_nearest
from recon_engine.field_roles import Roles
from recon_engine.key_evidence import Testimony, joins_others, left_open, own_words, testimony
from recon_engine.link_proposals import JOINED_ENOUGH, better_linked, linked_rule, readable, wordy
from recon_engine.reference_proposals import Spoken, spoken, spoken_rules
from recon_engine.rule_proposals import (
    ACCIDENTS,
    ALIKE,
    NAMES_MOST,
    MappedField,
    Observed,
    On,
    ProposedRule,
    Tables,
    key_fields,
    keyed_rules,
    keyless_rules,
    observed,
    rule,
    usual_lag,
)
from recon_engine.set_proposals import (
    repeated_rules,
    repeats,
    sum_rule,
    sums_some_days_later,
    sums_within,
)
from recon_engine.several_fields import AGREES, NAMES_ONE, USUALLY, adding_up, agreeing_besides
from recon_engine.word_proposals import worded, worded_rules

# Keys tried, keys used; the best come first.
_TRIED, _USED = 4, 2
_SAME_MEANING = 0.5
# A key that joins fewer leads no cascade; the rules of a further key come at this stage or later.
_LEADS, _LATER = 0.1, 2
# So many records, and such a share, must be left open by a key before another way is proposed for them.
_FEWEST_OPEN, _OPEN = 20, 0.01
# Beside better rules, one that is less sure is left out.
_LEAST_SURE = 0.3
# Where so many have a counterpart of the same day, the day decides: records are not repeats, and another day tells.
_SAME_DAY = 0.5
_NO_KEY = "no column alone identifies a record in both files, as a number would: check the rules, or add such a column"


Columns = tuple[Sequence[Column], Sequence[Column]]


@dataclass
class Cascade:
    """The rules; the fields, some with a lookup; those whose differences tell nothing; what a person should know.

    `keyless`: nothing names a record in both files, and the rules are what is left to try; `doubts`: what a person
    should know of these. `coverage`: the share of the smaller side's records that a key joins.
    """

    rules: list[ProposedRule]
    fields: list[MappedField]
    untold: list[MappedField]
    questions: list[str]
    keyless: bool = False
    coverage: float = 0.0
    doubts: tuple[str, ...] = ()
    usable: Sequence[MappedField] = ()
    transactions: bool = False


def proposed_cascade(
    tables: Tables, fields: list[MappedField], rows: tuple[int, int], part: int, columns: Columns | None = None
) -> Cascade:
    """Rules for what the data shows, strict ones first. `columns`: all of both files, where texts may hold codes."""
    decided = [f for f in fields if not f.pair.left.undecided and not f.pair.right.undecided]
    roles = Roles.of(decided)
    keys, mistaken = _keys(tables, fields, decided, part)
    questions = [
        f"{f.spec.name}: both files have the same values, but the other fields of records that share one do not agree; "
        "it is taken for each file's own numbering and used in no rule"
        for f in mistaken
    ]
    usable = [f for f in decided if f not in mistaken]
    nothing = Cascade([], fields, mistaken, questions, usable=usable, transactions=roles.transactions)
    linked = None if roles.transactions else linked_rule(tables, usable, keys, rows, part)
    if linked is None:
        return _by_values(tables, usable, roles, keys, nothing, rows, part, columns)
    return _linking(replace(nothing, coverage=_joined(keys)), linked)


def or_linked(tables: Tables, found: Cascade, rows: tuple[int, int], part: int) -> Cascade:
    """The cascade, or linkage where a trial of it finds far more: of transactions in addition, after what is equal."""
    if found.coverage >= JOINED_ENOUGH or any(r.rule.link for r in found.rules):
        return found
    most = ACCIDENTS if found.transactions else None
    linked = better_linked(tables, found.usable, found.rules, rows, part, most)
    if linked is None:
        return found
    if found.transactions:
        return replace(found, rules=[*found.rules, linked])
    return _linking(replace(found, untold=[f for f in found.untold if f not in found.usable], doubts=()), linked)


def _linking(found: Cascade, linked: ProposedRule) -> Cascade:
    told = [readable(f) if f.spec.name in linked.rule.fields else f for f in found.fields]
    return replace(found, rules=[linked], fields=told, keyless=False)


def _joined(keys: Sequence[tuple[MappedField, Testimony]]) -> float:
    """The share of the smaller side's records that a key joins; those without it count too."""
    return max((t.coverage * min(key.pair.left.filled, key.pair.right.filled) for key, t in keys), default=0.0)


def _by_values(
    tables: Tables,
    usable: list[MappedField],
    roles: Roles,
    keys: Sequence[tuple[MappedField, Testimony]],
    nothing: Cascade,
    rows: tuple[int, int],
    part: int,
    columns: Columns | None,
) -> Cascade:
    """Rules by keys, by several fields together, by codes in texts: whatever is equal or near. `nothing`: no rules."""
    fields, mistaken = nothing.fields, nothing.untold
    rules: list[ProposedRule] = []
    untold = list(mistaken)
    coded = {f.spec.name: f for f in with_codes(tables, usable, [keys[0][0]], part)} if keys else {}
    first: MappedField | None = None
    joining, spare = list[MappedField](), list[str]()
    for key, t in keys:
        # Rules by a key that joins no others would only lengthen the cascade.
        if first and not joins_others(tables, key, first, part):
            spare.append(key.spec.name)
            continue
        found = _by_key(tables, key, [*coded.values()], roles, part, first=not joining)
        if t.coverage < _LEADS and not found.repeats:
            continue  # it names a few by chance: others together may name most
        seen = found.seen
        if roles.date and roles.date not in untold and seen.joined and (seen.same_day < _SAME_DAY or seen.other_times):
            untold.append(roles.date)  # nearly every match would have a difference
        joining.append(key)
        first = first or (key if found.alone and len(joining) == 1 else None)  # its last rule takes all that it names
        # What another key would match waits until the first has taken what agrees in all but the day.
        rules += found.rules if len(joining) == 1 else [replace(r, stage=max(_LATER, r.stage)) for r in found.rules]
        if len(joining) == _USED:
            break
    if first:
        if spare:
            last = next(i for i, r in enumerate(rules) if r.stage == max(each.stage for each in rules))
            rules[last] = replace(rules[last], reason=f"{rules[last].reason}; {' or '.join(spare)} joins no others")
        # A difference of nearly every match tells nothing.
        texts = [coded.get(f.spec.name, f) for f in usable if f.spec.type == "text" and f is not first]
        unlike = {f.spec.name for f in own_words(tables, first, texts, part)}
        untold += [f for f in usable if f.spec.name in unlike]
        others = [f for f in usable if f not in untold or f is roles.date or f.pair.alike]
        rules += _beside(tables, joining, others, roles, rows, part)
    # Strict rules of every key come before the lenient ones of any.
    rules.sort(key=lambda r: r.stage)
    if rules:
        named = {f.spec.name for f in untold}
        told = [coded.get(f.spec.name, f) for f in fields]
        untold = [f for f in told if f.spec.name in named]
        return replace(nothing, rules=_named(rules), fields=told, untold=untold, coverage=_joined(keys))
    nothing = replace(nothing, keyless=True, doubts=(_NO_KEY,))
    columns = columns and _without(columns, mistaken)  # a file's own numbering is no code that texts speak of
    keyless = _keyless(tables, fields, usable, roles, rows, part, nothing, columns)
    codes = spoken(tables, columns, roles.amount, roles.date, fields) if columns else None
    if columns is None or codes is None:
        return keyless
    mapped = [*(f for f in fields if not codes.amount or f is not roles.amount), codes.field]
    mapped += [codes.amount] if codes.amount else []
    back = spoken(tables, columns, codes.amount or roles.amount, roles.date, mapped, besides=codes.codes)
    return _led_by([codes, *([back] if back else [])], keyless, roles)


def _without(columns: Columns, fields: Sequence[MappedField]) -> Columns:
    left, right = columns
    named = {f.spec.left for f in fields}, {f.spec.right for f in fields}
    return [c for c in left if c.name not in named[0]], [c for c in right if c.name not in named[1]]


@dataclass(frozen=True)
class _ByKey:
    """Rules by one key, and what it shows. `alone`: it names single records; `repeats`: it stands for several."""

    rules: list[ProposedRule]
    seen: Observed
    alone: bool
    repeats: bool


def _by_key(
    tables: Tables, key: MappedField, coded: list[MappedField], roles: Roles, part: int, *, first: bool
) -> _ByKey:
    seen = observed(*tables, [key], roles.amount, roles.date, part)
    groups = repeats(tables, [key], roles.amount, roles.date, part)
    sums = sum_rule([key], roles.amount, roles.currency, groups) if groups and roles.amount else None
    again = repeated_rules([key], coded, roles.amount, groups) if groups and not sums else []
    single = seen.joined > 0 and not again
    found = keyed_rules([key], roles.amount, roles.date, roles.currency, seen, first=first) if single else []
    # One of several that add up must not be taken for the whole.
    rules = [*(r for r in found if not sums or r.stage < sums.stage), *again, *([sums] if sums else [])]
    return _ByKey(rules, seen, single and not sums, bool(again or sums))


def _beside(
    tables: Tables,
    keys: Sequence[MappedField],
    usable: list[MappedField],
    roles: Roles,
    rows: tuple[int, int],
    part: int,
) -> list[ProposedRule]:
    """For records that lack the key, or whose key the other file lacks: what names them else, on usual days.

    Where no amount and no day tell of a transaction, a text with words in common must help.
    """
    alike = [] if roles.transactions else [f for f in usable if f.pair.alike][:1]
    date = roles.date if roles.transactions else None
    others, share = composite_key(*tables, [f for f in usable if f not in (*keys, date, *alike)], rows)
    if share < USUALLY or not (alike or any(f.spec.type == "decimal" for f in others)):
        return []
    days = left_open(tables, keys, others, date, part)
    if days.len() < max(_FEWEST_OPEN, _OPEN * min(rows) / part):
        return []
    named = [f.spec.name for f in others]
    key = " and ".join(f.spec.name for f in keys)
    told = f"{days.len():,} records whose {key} is missing or in one file only agree in {' and '.join(named)}"
    on: On = [*named, *({"field": f.spec.name, "similarity": "token_set", "at_least": ALIKE} for f in alike)]
    if date:
        window = usual_lag(days)
        on.append({"field": date.spec.name, "days": list(window)} if window else date.spec.name)
    return [rule(f"without {key}", on, 0.75 * share, told, stage=4, gated=True)]


def _led_by(codes: list[Spoken], found: Cascade, roles: Roles) -> Cascade:
    """The rules of codes in texts, of one side's and of the other's; what would match without a code is then for a
    person to judge.
    """
    rules = [r for seen in codes for r in spoken_rules(seen, seen.amount or roles.amount, roles.currency)]
    if not rules:
        return found
    # Where other amounts add up, those that were taken for each other's have nothing to do with each other.
    mistaken = roles.amount.spec.name if roles.amount and any(seen.amount for seen in codes) else None
    rest = [
        replace(r, rule=r.rule.model_copy(update={"outcome": "suggested"}), confidence=round(0.6 * r.confidence, 2))
        for r in found.rules
        if r.confidence >= _LEAST_SURE and mistaken not in r.rule.fields
    ]
    rules = _named([*sorted(rules, key=lambda r: r.stage), *rest])
    asked = {name for r in rules for name in r.rule.fields}
    dates = [seen.date for seen in codes if seen.date and seen.date not in found.fields][:1]
    added = [f for seen in codes for f in (seen.amount, seen.field) if f and f.spec.name in asked]
    added += [f for f in dates if f.spec.name in asked]
    other_days = roles.date and all(seen.same_day < _SAME_DAY for seen in codes)
    untold = [*found.untold, *([roles.date] if roles.date and other_days else dates)]
    kept = [f for f in found.fields if f.spec.name != mistaken]
    return replace(found, rules=rules, fields=[*kept, *added], untold=untold, doubts=())


def _keys(
    tables: Tables, fields: list[MappedField], decided: list[MappedField], part: int
) -> tuple[list[tuple[MappedField, Testimony]], list[MappedField]]:
    """The keys that the other fields confirm, best first, and those that they refute."""
    witnesses = [f for f in decided if _may_testify(f)]
    asked = [
        (key, testimony(tables, key, [f for f in witnesses if f is not key], part))
        for key in key_fields(fields)[:_TRIED]
    ]
    # A number that nothing confirms, and that is not called one, is a quantity as likely as a key.
    counted = [
        k for k, t in asked if t.precision is None and k.spec.type == "integer" and not is_identifier(k.spec.name)
    ]
    believed = [(k, t) for k, t in asked if (t.believed or k.pair.proven) and k not in counted]
    # Names in several words repeat because people and bands do: they number nothing.
    refuted = [k for k, t in asked if not (t.believed or k.pair.proven or wordy(k))]
    # A quantity names nothing, but where records that share a key agree in it, it is no numbering either.
    return believed, [k for k in refuted if not (believed and _goes_with(tables, believed[0][0], k, part))]


def _may_testify(mapped: MappedField) -> bool:
    """Numbers of columns with other names may have nothing to do with each other, however many they share; and what is
    said in other codes agrees never.
    """
    if differing_codes([mapped]):
        return False
    a, b = mapped.pair.left, mapped.pair.right
    numbers = all(bool(c.keys.str.contains(r"^[0-9]+$").all()) for c in (a, b))
    return not numbers or name_likeness(a.name, b.name) >= _SAME_MEANING


def _goes_with(tables: Tables, key: MappedField, mapped: MappedField, part: int) -> bool:
    """Whether most records that share a key agree in a field."""
    groups = [repeats(tables, each, None, None, part) for each in ([key], [key, mapped])]
    return bool(all(groups) and groups[1].keys >= USUALLY * groups[0].keys)  # type: ignore[union-attr]


def _keyless(
    tables: Tables,
    fields: list[MappedField],
    usable: list[MappedField],
    roles: Roles,
    rows: tuple[int, int],
    part: int,
    found: Cascade,
    columns: Columns | None,
) -> Cascade:
    """Several fields together: one record and its repeats, sums, and else what is equal in all."""
    composite, share = composite_key(*tables, usable, rows)
    undated = [f for f in composite if f is not roles.date]
    if share >= NAMES_ONE:
        coded = {f.spec.name: f for f in with_codes(tables, usable, undated, part)}
        found.fields = [coded.get(f.spec.name, f) for f in fields]
        amount = None if roles.amount in undated else roles.amount
        groups = repeats(tables, undated, amount, roles.date, part) if undated else None
        if groups and groups.dated < _SAME_DAY:
            extras = [*coded.values(), *agreeing_besides(tables, usable, undated, roles, part)]
            found.rules = repeated_rules(undated, extras, amount, groups)
        if found.rules:
            return found
    if roles.amount is not None:
        others, named = composite_key(*tables, [f for f in usable if f is not roles.amount], rows)
        found.rules = adding_up(tables, others, named, undated, roles, part)
        if named >= NAMES_ONE and not found.rules and (later := sums_some_days_later(tables, others, roles, part)):
            # What is of the same day belongs to another sum.
            return replace(found, rules=[later], untold=[*found.untold, *(f for f in others if f is roles.date)])
        found.rules = found.rules or sums_within(tables, usable, roles, part)
    nothing = Observed(0, 0, 0, 0, None, None, 0)
    seen = observed(*tables, undated, roles.amount, roles.date, part) if undated else nothing
    referred = any(f.spec.type in ("text", "integer") for f in undated)
    if roles.date and referred and not seen.lag and seen.joined < USUALLY * min(rows) / part:
        lag = lag_of_nearest(tables, undated, roles.date, part)
        seen = replace(seen, lag=lag, nearest=lag is not None)
    agreeing = agreeing_besides(tables, usable, composite, roles, part) if composite else []
    if roles.date and roles.date not in composite and seen.same_day >= AGREES:
        agreeing.append(roles.date)
    alike = [f for f in usable if f.pair.alike and f not in composite]
    first = keyless_rules(composite or fields[:1], agreeing, roles.date, seen, share, alike)
    words = None
    if share < NAMES_MOST and columns and not alike:
        words = worded(tables, columns, roles.amount, roles.date, [f.spec.name for f in fields], part)
    if words:
        by_words = worded_rules(words, roles.date, roles.currency)
        first = [*by_words, *(replace(r, stage=max(_LATER, r.stage)) for r in first)]
        added = [words.field] if roles.amount else [words.amount, words.field]
        found.fields, found.untold = [*found.fields, *added], [*found.untold, words.field]
    found.rules = _named(sorted([*first, *found.rules], key=lambda r: r.stage))
    if share < USUALLY and not words:
        names = ", ".join(f.spec.name for f in composite or fields[:1])
        told = f"{names}: what both files have tells only {share:.0%} of the smaller one's records apart"
        equal = "those that are equal in it are taken for each other: map further columns before you trust the matches"
        found.doubts += (f"{told}, and {equal}",)
    return found


def _named(rules: list[ProposedRule]) -> list[ProposedRule]:
    """The rules with names that differ: two keys may repeat in the same way."""
    seen: dict[str, int] = {}
    out = []
    for each in rules:
        seen[each.rule.name] = number = seen.get(each.rule.name, 0) + 1
        name = each.rule.name if number == 1 else f"{each.rule.name} ({number})"
        out.append(ProposedRule(each.rule.model_copy(update={"name": name}), each.confidence, each.reason, each.stage))
    return out
