"""Rules for keys that repeat: one record against many equal ones, or against several that add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recon_engine.field_roles import Roles
from recon_engine.reading.table import TextTable
from recon_engine.rule_proposals import MappedField, On, ProposedRule, Tables, joint_key, picked, rule, sided_value
from recon_engine.rules import Cardinality

# One record a key on one side, several on the other: from these shares on it is how the files are, not a mistake.
_SINGLE, _SEVERAL = 0.9, 0.3
# Sums that fit to the cent come about by chance far more rarely than repeated keys do.
_SUMS_FIT, _FEWEST_SUMS = 0.5, 3
_EQUAL = 0.7
# Sets are sought among so few; so many such crowds show that they are there.
_LARGEST_CROWD, _FEWEST_CROWDS, _COMES_BACK = 24, 10, 0.05
_CENT = 0.005
# A payout comes up to so many days after what it is the sum of.
_LATEST, _ISO = 10, len("2026-03-01")


@dataclass(frozen=True)
class Repeats:
    """How a shared key repeats. Shares: of keys with one record on the `one` side, with several on the other.

    `several`: how many keys have one record there and several here; `fits`: the share of these whose amounts add up,
    `equal`: whose amounts all are the one's; `dated`: the share of shared keys with records of the same day.
    """

    one: str
    keys: int
    single: float
    many: float
    several: int
    fits: float
    equal: float
    dated: float

    @property
    def cardinality(self) -> Cardinality:
        """One left record to many right ones, or the other way round."""
        return "one_to_many" if self.one == "left" else "many_to_one"


def repeats(
    tables: Tables, keys: Sequence[MappedField], amount: MappedField | None, date: MappedField | None, part: int
) -> Repeats | None:
    """Group both sides by `keys` and compare the groups; None where no key is shared."""
    one, two = (_grouped(t, s, keys, amount, date, part) for t, s in zip(tables, ("left", "right"), strict=True))
    return _compared(one, two)


def _compared(one: pl.DataFrame, two: pl.DataFrame) -> Repeats | None:
    both = one.join(two, on="key", suffix="_right")
    if both.is_empty():
        return None
    single = {side: float((both[n] == 1).mean() or 0) for side, n in (("left", "n"), ("right", "n_right"))}  # type: ignore[arg-type]
    lone = max(single, key=lambda side: single[side])
    a, b = ("", "_right") if lone == "left" else ("_right", "")
    several = both.filter((pl.col(f"n{a}") == 1) & (pl.col(f"n{b}") > 1))
    off = (pl.col(f"sum{a}") - pl.col(f"sum{b}")).abs() < _CENT
    alike = [(pl.col(f"sum{a}") - pl.col(f"{end}{b}")).abs() < _CENT for end in ("min", "max")]
    fits, equal = several.select(off.mean(), pl.all_horizontal(alike).mean().alias("equal")).row(0)
    dated = both.select(pl.col("days").list.set_intersection("days_right").list.len() > 0).to_series().mean()
    return Repeats(
        lone, both.height, single[lone], float((both[f"n{b}"] > 1).mean() or 0), several.height,  # type: ignore[arg-type]
        float(fits or 0), float(equal or 0), float(dated or 0),  # type: ignore[arg-type]
    )  # fmt: skip


def _grouped(
    table: TextTable,
    side: str,
    keys: Sequence[MappedField],
    amount: MappedField | None,
    date: MappedField | None,
    part: int,
) -> pl.DataFrame:
    key = joint_key(keys, side, part)
    value = sided_value(amount, side).cast(pl.Float64) if amount else pl.lit(None, pl.Float64)
    day = sided_value(date, side).cast(pl.Date) if date else pl.lit(None, pl.Date)
    groups = picked(table.frame, key, [value.alias("value"), day.alias("day")], part).group_by("key")
    v = pl.col("value")
    totals = [v.sum().alias("sum"), v.min().alias("min"), v.max().alias("max"), v.n_unique().alias("kinds")]
    days = pl.col("day").drop_nulls().unique().alias("days")
    return groups.agg(pl.len().alias("n"), *totals, days).collect(engine="streaming")


def sum_rule(
    keys: Sequence[MappedField], amount: MappedField, currency: MappedField | None, seen: Repeats
) -> ProposedRule | None:
    """Several records that add up to one, where the data shows that they do."""
    if seen.single < _SINGLE or seen.several < _FEWEST_SUMS or seen.fits < max(_SUMS_FIT, seen.equal):
        return None
    names = [f.spec.name for f in keys]
    named = " and ".join(names)
    on: On = [*names, *([currency.spec.name] if currency and currency not in keys else [])]
    on.append({"field": amount.spec.name, "total": True})
    reason = (
        f"{seen.several:,} values of {named} stand once on the {seen.one} side and several times on the other; "
        f"in {seen.fits:.0%} of them the several add up to the one's {amount.spec.name}"
    )
    return rule(
        f"adds up by {named}", on, 0.95 * min(1.0, seen.fits + 0.2), reason, stage=1, cardinality=seen.cardinality
    )


def sums_within(tables: Tables, fields: Sequence[MappedField], roles: Roles, part: int) -> list[ProposedRule]:
    """Records that add up to one, of which a field tells no more than among whom: a customer with several invoices for
    each of several payments. All of them together come to the same on both sides where none is missing.
    """
    best, found = 0.0, list[ProposedRule]()
    for mapped in fields if roles.amount else ():
        if mapped.spec.type not in ("text", "integer") or mapped.pair.alike or mapped.pair.overlap < _SEVERAL:
            continue
        one, two = (
            _grouped(t, s, [mapped], roles.amount, None, part) for t, s in zip(tables, ("left", "right"), strict=True)
        )
        crowds = one.join(two, on="key", suffix="_right").filter(
            (pl.min_horizontal("n", "n_right") > 1) & (pl.max_horizontal("n", "n_right") <= _LARGEST_CROWD)
        )
        crowds = crowds.filter(pl.col("n") != pl.col("n_right"))
        together = float(((crowds["sum"] - crowds["sum_right"]).abs() < _CENT).mean() or 0)  # type: ignore[arg-type]
        if crowds.height >= _FEWEST_CROWDS and together >= _SUMS_FIT and together * crowds.height > best:
            best, found = together * crowds.height, _within(mapped, roles, crowds, together)
    return found


def _within(mapped: MappedField, roles: Roles, crowds: pl.DataFrame, together: float) -> list[ProposedRule]:
    """A rule for each way in which enough crowds have fewer records on one side than on the other."""
    assert roles.amount is not None
    name, amount = mapped.spec.name, roles.amount.spec.name
    on: On = [name, *([roles.currency.spec.name] if roles.currency and roles.currency is not mapped else [])]
    on.append({"field": amount, "total": True})
    # Where amounts come back within a crowd, one may have been taken for another before, and the rest still add up.
    several = (1 - int(crowds[f"kinds{end}"].sum()) / int(crowds[f"n{end}"].sum()) for end in ("", "_right"))
    outcome = "suggested" if max(several) > _COMES_BACK else "confirmed"
    ways: tuple[tuple[Cardinality, pl.Expr], ...] = (
        ("one_to_many", pl.col("n") < pl.col("n_right")),
        ("many_to_one", pl.col("n") > pl.col("n_right")),
    )
    rules = []
    for cardinality, fewer in ways:
        count = crowds.filter(fewer).height
        if count >= _FEWEST_CROWDS:
            why = f"{count:,} values of {name} stand several times in both files, not equally often, but in "
            why += f"{together:.0%} of such all of {amount} adds up to the same"
            gated = outcome == "confirmed"
            title = f"adds up within {name}"
            rules.append(rule(title, on, 0.8, why, stage=1, cardinality=cardinality, outcome=outcome, gated=gated))
    return rules


def sums_some_days_later(tables: Tables, keys: Sequence[MappedField], roles: Roles, part: int) -> ProposedRule | None:
    """Several records that add up to one which is always as many days later or earlier, where the day is one of `keys`;
    in large files only where it is all of them: days are not picked.
    """
    amount, date = roles.amount, roles.date
    if amount is None or date is None or date not in keys or (part > 1 and len(keys) > 1):
        return None
    ordered = [*(k for k in keys if k is not date), date]
    one, two = (
        _grouped(t, side, ordered, amount, date, 1).with_columns(rest=pl.col("key").str.head(-_ISO))
        for t, side in zip(tables, ("left", "right"), strict=True)
    )
    found = None
    for lag in range(-_LATEST, _LATEST + 1):
        later = pl.col("days").list.first().dt.offset_by(f"{lag}d").cast(pl.String)
        seen = _compared(one.with_columns(key=pl.col("rest") + later), two)
        sums = sum_rule(keys, amount, roles.currency, seen) if seen else None
        if sums and seen and (found is None or seen.several * seen.fits > found[0]):
            found = seen.several * seen.fits, sums, lag
    if found is None:
        return None
    _, sums, lag = found
    if lag == 0:
        return sums
    days = f"{abs(lag)} day{'s' if abs(lag) > 1 else ''} {'later' if lag > 0 else 'earlier'}"
    why = f"{sums.reason}, {days} on the right side"
    return _on_days(sums, date, (lag, lag), "other day", sums.confidence, why)


def repeated_rules(
    keys: Sequence[MappedField], extras: Sequence[MappedField], amount: MappedField | None, seen: Repeats
) -> list[ProposedRule]:
    """One record and all that repeat it: with everything that agrees, then with what names the one record."""
    equal = amount is None or amount in keys or seen.equal >= _EQUAL
    if seen.single < _SINGLE or seen.many < _SEVERAL or not equal:
        return []
    names = [f.spec.name for f in keys]
    names += [amount.spec.name] if amount is not None and amount not in keys else []
    reason = (
        f"of {seen.keys:,} values of {', '.join(names)} in both files, {seen.single:.0%} stand once on the {seen.one} "
        f"side and {seen.many:.0%} several times on the other"
    )
    rules = []
    more = [f.spec.name for f in extras]
    if more:
        why = f"{reason}; {', '.join(more)} agree as well"
        rules.append(rule("repeated, all agree", [*names, *more], 0.97, why, stage=0, cardinality=seen.cardinality))
    rules.append(rule("repeated", [*names], 0.95 * seen.single, reason, stage=1, cardinality=seen.cardinality))
    return rules


def sums_near_days(sums: ProposedRule, date: MappedField, lag: tuple[int, int]) -> ProposedRule:
    """The same sums on days that lie apart as those of single records do, where the day is one of their keys."""
    told = f"{sums.reason}, with days as near as in records that agree in the rest"
    return _on_days(sums, date, lag, "near dates", 0.8, told)


def _on_days(
    sums: ProposedRule, date: MappedField, lag: tuple[int, int], name: str, confidence: float, why: str
) -> ProposedRule:
    day = date.spec.name
    on: On = [*(c.model_dump(exclude_defaults=True) for c in sums.rule.on if c.field != day)]
    on.append({"field": day, "days": list(lag)})
    return rule(f"{sums.rule.name}, {name}", on, confidence, why, stage=2, cardinality=sums.rule.cardinality)
