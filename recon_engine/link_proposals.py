"""When records are linked by all they say of a thing, since no key names it in both files: which fields, how many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from recon_engine.column_names import is_identifier
from recon_engine.key_evidence import Testimony, misspelt
from recon_engine.plan import FieldSpec
from recon_engine.rule_proposals import MappedField, ProposedRule, Tables, link_rule, sided_key
from recon_engine.rules import MOST_LINKED, Cardinality
from recon_engine.set_proposals import Repeats, repeats
from recon_engine.trial_linkage import Trial, trial_linkage

# With every record's best partner chosen, a pair that is more likely the same than not is worth matching.
PROBABILITY = 0.5
_NO_REPEATS, _REPEAT_LITTLE = 0.1, 0.5
_NOTHING_SHARED = 0.05
_SEVERAL_WORDS = 1.5
_CODE_DIGITS = 6
_SINGLE, _MANY, _TIMES = 0.9, 0.15, 3.0
_FEWEST_KEYS = 20
# A key that joins so many of the smaller side's records leaves little to link; so many telling fields are looked at.
_WHOLE, _TELLING = 0.98, 2
# Linkage that finds so many times as many, and so large a share more, is worth more than values that are equal.
_FAR_MORE, _MORE = 1.2, 0.05
# More than all cannot be found: where values that are equal join this share, linkage need not be tried.
JOINED_ENOUGH = (1 - _MORE) / _FAR_MORE
# A file so many times as long as the other may hold its things several times, as linkage can tell.
_LONGER = 1.5
_SOON_TRIED = 30_000
# Records that are equal in all that both files have cannot be linked one by one: at least such a share must differ.
_TOLD_APART, _LOOKED_AT = 0.25, 200_000
_MOSTLY_ONE = "records rarely have more than one counterpart"


def linked_rule(
    tables: Tables,
    usable: list[MappedField],
    keys: Sequence[tuple[MappedField, Testimony]],
    rows: tuple[int, int],
    part: int,
) -> ProposedRule | None:
    """Linkage, where things have no key or one that is misspelt as the rest is; None where a key or a total will do."""
    if not _told_apart(tables, link_fields(usable), rows):
        return None
    joined = [(k, t) for k, t in keys if t.pairs]
    texts = [f for f in link_fields(usable) if f.spec.type == "text"]
    if joined:
        best, told = max(joined, key=lambda each: each[1].coverage)
        if told.coverage >= _WHOLE or not misspelt(told):
            return None
        why = (
            f"{best.spec.name} is equal for {told.coverage:.0%} of the smaller side's records, whose other texts "
            f"are often written in two ways: {best.spec.name} may be, too"
        )
    elif keys or not any(_names_many(f) for f in texts) or _equal_already(texts):
        return None
    else:
        why = "no field alone identifies a record in both files"
    cardinality, repeated = _cardinality(tables, usable, part)
    fields = [readable(f) for f in link_fields(usable)]
    short = sum(rows) * len(fields) <= _SOON_TRIED
    if cardinality == "one_to_one" and short and max(rows) >= _LONGER * min(rows):
        tried = trial_linkage(tables, fields, [], rows, PROBABILITY, cardinality)
        cardinality, repeated = (tried.cardinality, _told(tried, repeated)) if tried else (cardinality, repeated)
    return linkage_rule(fields, cardinality, f"{why}; {repeated}")


def better_linked(
    tables: Tables,
    usable: Sequence[MappedField],
    proposed: Sequence[ProposedRule],
    rows: tuple[int, int],
    part: int,
    most_accidents: float | None,
) -> ProposedRule | None:
    """Linkage, where a trial of it finds many more counterparts than the proposed rules join; else None.

    `most_accidents`: the share of accidents from which on it is not proposed, and which it must keep to; None: any.
    """
    fields = link_fields(usable)
    if most_accidents is None:
        fields = [readable(f) for f in fields]  # as the plan will have them, which then has no other rule
    conditions = [c for each in proposed for c in each.rule.on]
    if len(fields) < _TELLING or any(c.total or c.found_in for c in conditions):
        return None
    if not _told_apart(tables, fields, rows):
        return None
    named = {f.spec.name: f for f in usable}
    equal = [[named[c.field] for c in each.rule.on if c.is_equality and c.field in named] for each in proposed]
    cardinality, repeated = _cardinality(tables, usable, part)
    tried = trial_linkage(tables, fields, [keys for keys in equal if keys], rows, PROBABILITY, cardinality)
    if tried is None or tried.linked < _FAR_MORE * tried.joined + _MORE * tried.tried:
        return None
    if most_accidents is not None and tried.accidents > most_accidents:
        return None  # transactions of the same kind recur
    told = f"of {tried.tried:,} records tried, linkage finds {tried.linked:,} counterparts, the values that are equal"
    linked = linkage_rule(fields, tried.cardinality, f"{told} {tried.joined:,}; {_told(tried, repeated)}")
    return replace(linked, rule=linked.rule.model_copy(update={"max_false_rate": most_accidents}))


def _told_apart(tables: Tables, fields: Sequence[MappedField], rows: tuple[int, int]) -> bool:
    """Whether the records of the smaller file are many different ones: what is in it twice counts once."""
    if not fields:
        return False
    number, side = (0, "left") if rows[0] <= rows[1] else (1, "right")
    whole = pl.struct(sided_key(f, side, thorough=True).alias(str(i)) for i, f in enumerate(fields))
    found = tables[number].frame.head(_LOOKED_AT).select(whole.n_unique() / pl.len()).collect(engine="streaming")
    return float(found.item() or 0) >= _TOLD_APART


def _told(tried: Trial, repeated: str) -> str:
    """Why the cardinality is as it is; `repeated`: as told by single values."""
    side = {"one_to_many": "right", "many_to_one": "left"}.get(tried.cardinality)
    seen = f"records of the {side} file often have a double in it, those of the other file have not"
    return seen if side and repeated == _MOSTLY_ONE else repeated


def _cardinality(tables: Tables, usable: Sequence[MappedField], part: int) -> tuple[Cardinality, str]:
    return repeated_side([repeats(tables, [f], None, None, part) for f in telling_fields(usable)[:_TELLING]])


def _equal_already(texts: list[MappedField]) -> bool:
    """Whether there is one text only, and its values are in both files as they stand."""
    return len(texts) == 1 and texts[0].pair.overlap >= _WHOLE


def _names_many(mapped: MappedField) -> bool:
    """Names in several words that in one of the files, which may hold things twice, repeat little."""
    return min(mapped.pair.left.repeats, mapped.pair.right.repeats) < _REPEAT_LITTLE and wordy(mapped)


def wordy(mapped: MappedField) -> bool:
    """True for names and descriptions, of whatever language: texts with letters in several words."""
    values = mapped.pair.left.raw
    return float(values.str.contains(r"\p{L}{2,}.*\s\p{L}").mean() or 0) >= 0.3  # type: ignore[arg-type]


def link_fields(fields: Sequence[MappedField]) -> list[MappedField]:
    """The fields that speak for or against two records being the same: all but each side's own numbering; of very many,
    those with the most values.
    """
    found = [f for f in fields if not _own_numbers(f) and min(f.pair.left.filled, f.pair.right.filled) > 0]
    most = sorted(found, key=lambda f: -min(f.pair.left.distinct, f.pair.right.distinct))[:MOST_LINKED]
    return [f for f in found if f in most] if len(found) > MOST_LINKED else found


def readable(mapped: MappedField) -> MappedField:
    """The field with its words kept apart: linkage looks at them, and at no case or punctuation anyway.

    Long whole numbers are codes, in which one wrong digit is a typing mistake and not a large difference.
    """
    data = mapped.spec.model_dump(mode="json", exclude={"clean"})
    digits = min(float(c.raw.str.len_chars().mean() or 0) for c in (mapped.pair.left, mapped.pair.right))  # type: ignore[arg-type]
    if data["type"] != "text" and not (data["type"] == "integer" and digits >= _CODE_DIGITS):
        return mapped
    data |= {"type": "text", "clean": list(mapped.pair.left.spelling or ("trim", "casefold"))}
    return MappedField(FieldSpec.model_validate(data), mapped.pair)


def _own_numbers(mapped: MappedField) -> bool:
    a, b = mapped.pair.left, mapped.pair.right
    if max(a.repeats, b.repeats) > _NO_REPEATS or mapped.pair.overlap > _NOTHING_SHARED:
        return False
    words = min(float(c.raw.str.count_matches(r"\S+").mean() or 0) for c in (a, b))  # type: ignore[arg-type]
    return words < _SEVERAL_WORDS and (is_identifier(a.name) or is_identifier(b.name) or mapped.spec.type == "text")


def repeated_side(seen: Sequence[Repeats | None]) -> tuple[Cardinality, str]:
    """How many records a thing has on each side: told by the values that nearly name a record on one of them."""
    for one in seen:
        if one is None or one.keys < _FEWEST_KEYS or one.single < _SINGLE or one.many < _MANY:
            continue
        if one.many >= _TIMES * (1 - one.single):
            return one.cardinality, f"{one.many:.0%} of shared values stand several times on the side across"
    return "one_to_one", _MOSTLY_ONE


def telling_fields(fields: Sequence[MappedField]) -> list[MappedField]:
    """The fields whose values come nearest to naming a record, best first."""

    def worth(f: MappedField) -> float:
        return f.pair.overlap * (1 - min(f.pair.left.repeats, f.pair.right.repeats))

    return sorted((f for f in fields if worth(f) > _NOTHING_SHARED and f.spec.type == "text"), key=lambda f: -worth(f))


def linkage_rule(fields: Sequence[MappedField], cardinality: Cardinality, reason: str) -> ProposedRule:
    """Linkage over `fields`."""
    names = [f.spec.name for f in fields]
    confidence = 0.6 + 0.08 * min(4, len(names))
    return link_rule("same thing by all fields", names, PROBABILITY, cardinality, confidence, reason)
