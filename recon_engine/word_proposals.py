"""Words of texts that tell records of equal amounts apart: a tenant's name in what the bank says of a payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np
import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.column_matching import Pair, pair_of
from recon_engine.columns import Column
from recon_engine.field_proposals import field_name, mapped_field
from recon_engine.matching.texts import similarity
from recon_engine.plan import CleanName, FieldSpec
from recon_engine.rule_proposals import (
    MappedField,
    On,
    ProposedRule,
    Tables,
    joint_key,
    picked,
    rule,
    sided_value,
    usual_lag,
)

_SEED = 20_260
# The second rule asks for so much less likeness.
_FEWER = 0.15
_STEPS: tuple[CleanName, ...] = ("unaccent",)
_LIKENESS = (0.75, 0.6, 0.5, 0.4, 0.3)
# Records looked at, how often their amount may occur on the other side, how many of these are looked at, the nearest
# ones, and how far away; pairs of columns tried.
_RECORDS, _OFTEN, _NEAREST, _FAR_DAYS, _COLUMNS = 2_000, 200, 20, 93, 12
# Columns of amounts tried, and what part of the values they must have in common.
_AMOUNTS, _COMMON = 6, 0.5
# In so many records of equal amounts words are in common, and among strangers in so small a part of that.
_FEWEST, _SHARE, _BY_CHANCE = 20, 0.3, 0.2


@dataclass(frozen=True)
class Worded:
    """Two columns of texts that have words in common where amounts are equal.

    `amount`: equal in them; `share`: of the records with an equal amount on the other side; `at_least`: the likeness
    that tells these from records of other amounts; `lag`: days, right minus left, of the nearest such pairs.
    """

    field: MappedField
    amount: MappedField
    share: float
    at_least: float
    lag: tuple[int, int] | None


def worded(
    tables: Tables,
    columns: tuple[Sequence[Column], Sequence[Column]],
    amount: MappedField | None,
    date: MappedField | None,
    taken: Sequence[str],
    part: int,
) -> Worded | None:
    """The columns of texts that tell records of equal amounts apart best; None where none do. Without a known `amount`,
    the amounts that have most values in common: of a few usual ones nothing else tells.
    """
    texts = [[c for c in own if c.wordy] for own in columns]
    amount = amount or (_amount(columns, taken) if all(texts) else None)
    if not all(texts) or amount is None:
        return None
    one, two = (
        picked(
            table.frame,
            joint_key([amount], side, part),
            [
                (sided_value(date, side).cast(pl.Date) if date else pl.lit(None, pl.Date)).alias("day"),
                *(cleaned(pl.col(c.name), _STEPS).alias(f"{side}{i}") for i, c in enumerate(own)),
            ],
            part,
        ).collect(engine="streaming")
        for table, side, own in zip(tables, ("left", "right"), texts, strict=True)
    )
    pairs = _equal_amounts(one, two, dated=date is not None)
    if pairs["a"].n_unique() < _FEWEST:
        return None
    found = [
        (hit - 2 * chance, hit, chance, least, i, j)
        for i, j in islice(product(range(len(texts[0])), range(len(texts[1]))), _COLUMNS)
        for hit, chance, least in _shares(pairs, one[f"left{i}"], two[f"right{j}"])
        if hit >= _SHARE and chance <= _BY_CHANCE * hit
    ]
    if not found:
        return None
    _, hit, chance, least, i, j = max(found)
    left, right = texts[0][i], texts[1][j]
    alike = pairs.filter(_likeness(one[f"left{i}"].gather(pairs["a"]), two[f"right{j}"].gather(pairs["b"])) >= least)
    told = f"words in common in {hit:.0%} of the records whose amounts are equal, in {chance:.0%} of others"
    spec = {
        "name": field_name(left.name, [*taken, amount.spec.name]),
        "left": left.name,
        "right": right.name,
        "clean": list(_STEPS),
    }
    field = MappedField(FieldSpec.model_validate(spec), Pair(left, right, round(hit, 2), 0.0, told, alike=True))
    return Worded(field, amount, hit, least, usual_lag(_nearest(alike)["days"]) if date else None)


def worded_rules(seen: Worded, date: MappedField | None, currency: MappedField | None) -> list[ProposedRule]:
    """The amount and the words, on near days; then the same with fewer words in common."""
    name, told = seen.field.spec.name, seen.field.pair.reason
    base: On = [seen.amount.spec.name, *([currency.spec.name] if currency else [])]
    if date:
        base.append({"field": date.spec.name, "days": list(seen.lag)} if seen.lag else date.spec.name)
    most, fewer = (
        [*base, {"field": name, "similarity": "token_set", "at_least": least}]
        for least in (seen.at_least, round(seen.at_least - _FEWER, 2))
    )
    sure = 0.5 + 0.45 * seen.share
    why = "as the rule before, where the texts have more words of their own"
    return [
        rule(f"amount, words of {name}", most, sure, told, stage=0, gated=True),
        rule(f"amount, fewer words of {name}", fewer, 0.8 * sure, why, stage=1, gated=True),
    ]


def _amount(columns: tuple[Sequence[Column], Sequence[Column]], taken: Sequence[str]) -> MappedField | None:
    """The two columns of amounts, called as they may be, that have most values in common."""
    amounts = [[c for c in own if c.kind == "decimal"][:_AMOUNTS] for own in columns]
    best = max((pair_of(a, b) for a, b in product(*amounts)), key=lambda pair: pair.overlap, default=None)
    return mapped_field(best, taken) if best and best.overlap >= _COMMON else None


def _equal_amounts(one: pl.DataFrame, two: pl.DataFrame, *, dated: bool) -> pl.DataFrame:
    """Places (a, b) of records of both sides that have the same key, and the `days` between them."""
    left, right = (f.select("key", "day").with_row_index(at) for f, at in ((one, "a"), (two, "b")))
    left = left.gather_every(max(1, left.height // _RECORDS))
    few = right.group_by("key").len().filter(pl.col("len") <= _OFTEN)
    pairs = left.join(right.join(few, on="key", how="semi"), on="key", suffix="_right")
    pairs = pairs.select("a", "b", days=(pl.col("day_right") - pl.col("day")).dt.total_days())
    if not dated:
        return pairs
    near = pairs.filter(pl.col("days").abs() <= _FAR_DAYS).sort(pl.col("days").abs(), "a", "b")
    return near.group_by("a", maintain_order=True).head(_NEAREST)


def _shares(pairs: pl.DataFrame, left: pl.Series, right: pl.Series) -> list[tuple[float, float, float]]:
    """For each likeness: the share of the left records that have a right one of it, the same beside strangers, it."""
    stranger = np.random.default_rng(_SEED).permutation(len(right))[pairs["b"].to_numpy()]
    ours = left.gather(pairs["a"])
    each = [_likeness(ours, right.gather(at)).fill_null(0.0) for at in (pairs["b"].to_numpy(), stranger)]
    most = pl.DataFrame([pairs["a"], each[0].alias("own"), each[1].alias("strange")]).group_by("a").max()
    own, strange = most["own"].to_numpy(), most["strange"].to_numpy()
    return [(float((own >= least).mean()), float((strange >= least).mean()), least) for least in _LIKENESS]


def _likeness(left: pl.Series, right: pl.Series) -> pl.Series:
    return similarity(pl.DataFrame({"l": left, "r": right}), "l", "r", "token_set", None)


def _nearest(pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs of records that are nearest to each other, each for the other."""
    far = pl.col("days").abs()
    return pairs.filter((far == far.min().over("a")) & (far == far.min().over("b")))
