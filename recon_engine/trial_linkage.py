"""What linkage would find: a trial on a sample of the smaller file, where the rules there are may join too few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recon_engine.cleaning import cleaned
from recon_engine.matching.linkage import KINDS, LinkField, link
from recon_engine.matching.linkage_relatives import Relatives, accidents
from recon_engine.reading.table import TextTable
from recon_engine.rule_proposals import MappedField, Tables, sided_key, sided_value
from recon_engine.rules import Cardinality

# Records of the smaller file that are tried, and of either for what chance does; the most values of both files that are
# read for it, and bytes of text times those of a record: so that nobody waits long.
_SAMPLE, _DECOYS, _MOST_VALUES, _MOST_TEXT = 500, 500, 300_000, 1_000_000_000
_MOST_PAIRS = 2_000_000
# Where so many records of one file have a double in it, and so many times as many as of the other, it is of many.
_MANY, _TIMES = 0.15, 3.0
_SIDES = ("left", "right")


@dataclass(frozen=True)
class Trial:
    """Of `tried` records: how many linkage gives a counterpart, and how many have one that is equal as rules demand.

    Where a record may have several counterparts, these are counted. `accidents`: the share of the linked that near
    relatives account for, as far as that is known. `cardinality`: as given, but one to many where the records of one
    file have doubles in it and those of the other have not.
    """

    tried: int
    linked: int
    joined: int
    accidents: float
    cardinality: Cardinality


def trial_linkage(
    tables: Tables,
    fields: Sequence[MappedField],
    rules: Sequence[Sequence[MappedField]],
    rows: tuple[int, int],
    probability: float,
    cardinality: Cardinality,
) -> Trial | None:
    """Link a sample of the smaller file with all of the other; None where the files are too large to try.

    `rules`: the fields that each rule there is demands to be equal.
    """
    if sum(rows) * len(fields) > _MOST_VALUES:
        return None
    small = 0 if rows[0] <= rows[1] else 1
    keys = {f.spec.name: f for rule in rules for f in rule}
    one, other = (_values(tables[number], fields, [*keys.values()], _SIDES[number]) for number in (small, 1 - small))
    text = sum(map(_text, (one, other)))
    if text * text > _MOST_TEXT * sum(rows):
        return None
    by_content = one.select(pl.struct(one.columns).hash(377)).to_series().arg_sort()
    sample = one[by_content.head(_SAMPLE)]
    kinds = [LinkField(f.spec.name, KINDS[f.spec.type]) for f in fields]
    found = link(sample, other, kinds, probability=probability, most_pairs=_MOST_PAIRS, decoys=_DECOYS)
    linked = found.pairs.filter(pl.col("probability") >= probability).select("l", "r")
    several = cardinality == ("one_to_many" if small == 0 else "many_to_one")
    joined = pl.concat([linked.clear(), *(_equal(sample, other, [_key(f) for f in rule], several) for rule in rules)])
    counts = [_counterparts(pairs, several) for pairs in (linked, joined)]
    if found.relatives is None:
        return Trial(sample.height, counts[0], counts[1], 0.0, cardinality)
    chance = accidents(*found.relatives, "one_to_one")
    share = chance[0] / max(1, counts[0]) if chance else 0.0
    if cardinality == "one_to_one":
        cardinality = _repeated(*found.relatives, one.height / sample.height, swapped=small == 1)
    return Trial(sample.height, counts[0], counts[1], share, cardinality)


def _repeated(sample: Relatives, other: Relatives, times: float, *, swapped: bool) -> Cardinality:
    """Which file has things several times, by the share of records with a double; `times` as large as its sample the
    smaller file is.
    """
    doubles = [min(1.0, float((own.alike > 0).mean()) * by) for own, by in ((sample, times), (other, 1.0))]
    few, many = sorted(doubles)
    if many < _MANY or many < _TIMES * few:
        return "one_to_one"
    return "one_to_many" if (doubles[1] == many) != swapped else "many_to_one"


def _text(table: pl.DataFrame) -> int:
    """Bytes of text that linkage reads."""
    lengths = table.select(pl.col(pl.String).exclude(r"^=.*$").str.len_bytes().sum())
    return sum(lengths.row(0)) if lengths.width else 0


def _counterparts(pairs: pl.DataFrame, several: bool) -> int:
    ends = pairs.select(pl.col("l", "r").n_unique()).row(0)
    return int(ends[1] if several else min(ends))


def _equal(sample: pl.DataFrame, other: pl.DataFrame, names: list[str], several: bool) -> pl.DataFrame:
    """Which records agree in all of `names`; where each has one counterpart, one stands for all that agree."""
    one, two = (t.select(names).with_row_index(end) for t, end in ((sample, "l"), (other, "r")))
    one, two = one.unique(names), two if several else two.unique(names)
    return one.join(two, on=names).select("l", "r")


def _key(mapped: MappedField) -> str:
    return f"={mapped.spec.name}"


def _values(table: TextTable, fields: Sequence[MappedField], keys: Sequence[MappedField], side: str) -> pl.DataFrame:
    """The fields as linkage reads them, and the keys (=) as values that are equal where the plan's are."""
    columns = [_read(f, side).alias(f.spec.name) for f in fields]
    equal = [sided_key(f, side, thorough=True).alias(_key(f)) for f in keys]
    return table.frame.select(*columns, *equal).collect(engine="streaming")


def _read(mapped: MappedField, side: str) -> pl.Expr:
    """Text cleaned, a number as a whole one of the field's smallest unit, days and microseconds since 1970."""
    spec = mapped.spec
    if spec.type in ("text", "boolean"):
        column, steps = (spec.left, spec.clean.left) if side == "left" else (spec.right, spec.clean.right)
        text = cleaned(pl.col(column), steps) if spec.type == "text" else sided_key(mapped, side, thorough=True)
        return pl.when(text != "").then(text)
    value = sided_value(mapped, side)
    if spec.type == "date":
        return value.cast(pl.Date).to_physical()
    if spec.type == "datetime":
        return value.cast(pl.Datetime("us")).to_physical()
    smallest_units = float(10 ** (spec.scale or 0))
    return (value.cast(pl.Float64) * smallest_units).round().cast(pl.Int64, strict=False)
