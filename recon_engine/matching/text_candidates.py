"""Pairs of records whose texts may be alike, where a rule has nothing that must be equal."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from recon_engine.errors import PlanError
from recon_engine.matching import references, texts
from recon_engine.matching.comparables import text_column
from recon_engine.matching.conditions import Rarities, least_likeness, likeness_column, likenesses
from recon_engine.plan import Condition, Rule

MOST_COMPARISONS = 100_000_000
"""Comparisons of distinct texts, and pairs of records, that a rule may need; one that needs more is refused."""
_BATCH = 2_000_000


def alike(
    rule: Rule, left: pl.DataFrame, right: pl.DataFrame, known: Rarities, most: int | None = None
) -> Iterator[pl.DataFrame]:
    """Pairs (l, r: row numbers in the tables, UInt32) for which one condition on texts holds, in batches, with their
    likeness in the condition's `likeness_column`.

    `most`: how many comparisons of distinct texts, and pairs of records, are allowed; None: MOST_COMPARISONS.

    The first condition decides whose candidates can be found at a bearable price. Raises PlanError, before anything is
    compared, when there is none.
    """
    most = MOST_COMPARISONS if most is None else most
    prices = []
    for condition in likenesses(rule):
        ways, price = _ways(condition, left, right, known, most)
        if price <= most:
            for way in ways:
                yield from _records(rule, condition, way, left, right, known, most)
            return
        prices.append(price)
    raise _too_many(rule, "texts", min(prices), most)


class _Way:
    """One direction of a search: distinct texts of a left and a right column, and the candidates among them.

    `sought`: the end whose texts are looked for in the other's.
    """

    def __init__(self, columns: tuple[str, str], left: pl.DataFrame, right: pl.DataFrame, sought: str = "l") -> None:
        self.columns, self.sought = columns, sought
        self.texts = (_distinct(left[columns[0]]), _distinct(right[columns[1]]))
        self.pairs = pl.DataFrame()


def _distinct(column: pl.Series) -> pl.Series:
    return column.drop_nulls().unique().sort()


def _ways(
    condition: Condition, left: pl.DataFrame, right: pl.DataFrame, known: Rarities, most: int
) -> tuple[list[_Way], int]:
    name = text_column(condition.field)
    if condition.found_in is None:
        assert condition.similarity is not None
        way = _Way((name, name), left, right)
        rarity = known[condition.field, condition.similarity]
        way.pairs, price = texts.candidate_texts(
            *way.texts, condition.similarity, least_likeness(condition), rarity, most
        )
        return [way], price
    other = text_column(condition.found_in)
    ways = [_Way((name, other), left, right), _Way((other, name), left, right, sought="r")]
    ways[0].pairs, price = references.candidate_texts(*ways[0].texts, most)
    pairs, more = references.candidate_texts(ways[1].texts[1], ways[1].texts[0], most)
    ways[1].pairs = pairs.select(a="b", b="a")
    return ways, price + more


def _records(
    rule: Rule,
    condition: Condition,
    way: _Way,
    left: pl.DataFrame,
    right: pl.DataFrame,
    known: Rarities,
    most: int,
) -> Iterator[pl.DataFrame]:
    """The records that hold the texts which are alike enough."""
    told = likeness_column(condition)
    kept = [pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64, told: pl.Float64})]
    for begin in range(0, way.pairs.height, _BATCH):
        pairs = way.pairs.slice(begin, _BATCH).cast(pl.Int64)
        pairs = pairs.with_columns(_likeness(condition, way, pairs, known).alias(told))
        kept.append(pairs.filter(pl.col(told) >= least_likeness(condition) - 1e-12))
    sides = []
    for table, column, distinct, names in zip((left, right), way.columns, way.texts, ("al", "br"), strict=True):
        place = table[column].cast(pl.Enum(distinct)).to_physical().cast(pl.Int64)
        sides.append(table.select(**{names[0]: place}).with_row_index(names[1]).drop_nulls())
    counts = [side.group_by(n).agg(pl.len().cast(pl.Int64).alias(f"n{n}")) for side, n in zip(sides, "ab", strict=True)]
    found = pl.concat(kept).join(counts[0], on="a").join(counts[1], on="b")
    price = int(found.select((pl.col("na") * pl.col("nb")).sum()).item())
    if price > most:
        raise _too_many(rule, "records", price, most)
    running = (pl.col("na") * pl.col("nb")).cum_sum() // _BATCH
    for batch in found.with_columns(batch=running).partition_by("batch"):
        yield batch.join(sides[0], on="a").join(sides[1], on="b").select("l", "r", told)


def _likeness(condition: Condition, way: _Way, pairs: pl.DataFrame, known: Rarities) -> pl.Series:
    frame = pl.DataFrame({"l": way.texts[0].gather(pairs["a"]), "r": way.texts[1].gather(pairs["b"])})
    if condition.found_in is not None:
        return references.found(frame, [("l", "r") if way.sought == "l" else ("r", "l")])
    assert condition.similarity is not None
    return texts.similarity(frame, "l", "r", condition.similarity, known[condition.field, condition.similarity])


def _too_many(rule: Rule, what: str, price: int, most: int) -> PlanError:
    return PlanError(
        f"rule '{rule.name}': likeness alone would compare {price:,} pairs of {what}, {most:,} are "
        "allowed; add a field that must be equal, or ask for more likeness"
    )
