"""Fees that one side keeps back: an amount, a percentage, or both, that many differences share exactly."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from recon_engine.matching.candidates import with_values
from recon_engine.matching.comparables import columns_of
from recon_engine.matching.conditions import expected_value
from recon_engine.outcome.cause_kinds import FEE, Cause, Missed, without
from recon_engine.outcome.near_misses import OpenSides
from recon_engine.outcome.reasons import decimal_text
from recon_engine.plan import Condition, FieldSpec, NetOf
from recon_engine.plan_changes import rule_change

# A fee is one when so many pairs share it, and either most of them do or far more than share any other difference.
_FEWEST_PAIRS, _PROMINENT = 3, 5
_MOST_FEES = 3
_TRIED = 3
_MOST_PERCENT = 50


def fees(sides: OpenSides, spec: FieldSpec, missed: list[Missed]) -> Iterator[Cause]:
    """The fees behind near misses on a number, the most frequent first."""
    for _ in range(_MOST_FEES):
        plain = [m for m in missed if not (m.condition.sign or m.condition.net_of)]
        best: tuple[int, int, NetOf, Missed, pl.DataFrame] | None = None
        for m in plain:
            found = _fee(sides, spec, m.pairs)
            if found and (best is None or (found[1].height, -m.number) > best[:2]):
                best = (found[1].height, -m.number, found[0], m, found[1])
        if best is None:
            return
        _, _, fee, m, pairs = best
        told = _told(fee, spec)
        is_charge = fee.fixed <= 0 and fee.percent <= 0
        condition = m.condition.model_copy(update={"net_of": fee})
        name = f"{spec.name} {'plus' if is_charge else 'less'} {told}"
        change = rule_change(sides.plan, m.rule, m.condition, condition, name)
        word = "more by a charge of" if is_charge else "less by a fee of"
        yield Cause(f"{spec.name} in {sides.plan.right.label} is {word} {told}", FEE, (change,), pairs)
        missed = without(missed, pairs)


def _fee(sides: OpenSides, spec: FieldSpec, pairs: pl.DataFrame) -> tuple[NetOf, pl.DataFrame] | None:
    """The fee that explains most pairs, with them; None when none does well enough."""
    name = spec.name
    valued = with_values(pairs, sides.left, sides.right, columns_of(spec)).drop_nulls([f"l.{name}", f"r.{name}"])
    left, right = pl.col(f"l.{name}"), pl.col(f"r.{name}")
    valued = valued.with_columns(d=left - right, s=left.abs()).filter(pl.col("s") > 0)
    valued = valued.filter(pl.col("d").abs() * 100 <= pl.col("s") * _MOST_PERCENT)
    if valued.height < _FEWEST_PAIRS:
        return None
    best: tuple[tuple[int, int, Decimal, Decimal], NetOf, pl.DataFrame] | None = None
    for percent in (Decimal(0), *_percentages(valued)):
        for fixed in _amounts(spec, valued, percent):
            fee = NetOf(fixed=fixed, percent=percent)
            parts = int(fixed != 0) + int(percent != 0)
            if parts == 0:
                continue
            condition = Condition(field=name, net_of=fee)
            fits = valued.filter(expected_value(left, spec, condition) == right)
            order = (fits.height - parts, -parts, -abs(percent), -abs(fixed))
            if fits.height >= _FEWEST_PAIRS + parts - 1 and (best is None or order > best[0]):
                best = (order, fee, fits.select("l", "r"))
    if best is None or not _is_prominent(best[2].height, valued, best[1]):
        return None
    return best[1], best[2]


def _is_prominent(count: int, valued: pl.DataFrame, fee: NetOf) -> bool:
    if 2 * count >= valued.height:
        return True
    shared = pl.col("d") if fee.percent == 0 else (pl.col("d") * 10_000 / pl.col("s")).round()
    others = max(1, valued.select(shared.n_unique()).item() - 1)
    return bool(count * others >= _PROMINENT * (valued.height - count))


def _percentages(valued: pl.DataFrame) -> list[Decimal]:
    """Percentages of two decimals that many pairs share: of the amount itself, or between two amounts (where a fixed
    part falls out).
    """
    ratio = valued.select(p=(pl.col("d") * 10_000 / pl.col("s")).round())
    ordered = valued.select("s", "d").unique().sort("s", "d")
    half = ordered.height // 2
    far = pl.DataFrame(
        {
            "s": ordered["s"].tail(ordered.height - half) - ordered["s"].head(ordered.height - half),
            "d": ordered["d"].tail(ordered.height - half) - ordered["d"].head(ordered.height - half),
        }
    ).filter(pl.col("s") > 0)
    slope = far.select(p=(pl.col("d") * 10_000 / pl.col("s")).round())
    found = []
    for table in (ratio, slope):
        found += [Decimal(f"{Decimal(int(p)).scaleb(-2).normalize():f}") for p in _frequent(table["p"]).head(_TRIED)]
    return [percent for percent in dict.fromkeys(found) if abs(percent) <= _MOST_PERCENT]


def _amounts(spec: FieldSpec, valued: pl.DataFrame, percent: Decimal) -> list[Decimal]:
    """What is left of the differences after the percentage: nothing, and the most frequent amount."""
    free = Condition(field=spec.name, net_of=NetOf(percent=percent))
    rest = valued.select(x=expected_value(pl.col(f"l.{spec.name}"), spec, free) - pl.col(f"r.{spec.name}"))
    return [Decimal(0), *(Decimal(int(x)).scaleb(-spec.digits) for x in _frequent(rest["x"]).head(1))]


def _frequent(values: pl.Series) -> pl.Series:
    """The values that are not zero, the most frequent first; of equally frequent ones the smallest."""
    counted = values.alias("v").to_frame().filter(pl.col("v") != 0).group_by("v").len()
    return counted.with_columns(size=pl.col("v").abs()).sort("len", "size", "v", descending=[True, False, False])["v"]


def _told(fee: NetOf, spec: FieldSpec) -> str:
    """The fee in words; of a charge, its size."""
    turn = -1 if fee.fixed <= 0 and fee.percent <= 0 else 1
    parts = [f"{turn * fee.percent.normalize():f} %"] if fee.percent else []
    if fee.fixed:
        parts.append(decimal_text(turn * int(fee.fixed.scaleb(spec.digits)), spec.digits))
    return " and ".join(parts)
