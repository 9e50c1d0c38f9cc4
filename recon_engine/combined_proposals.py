"""Columns of one file that the other writes in one: found where the texts of one are those of several, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import polars as pl

from recon_engine.columns import Column, contained
from recon_engine.plan import ReaderOptions
from recon_engine.reading.combined_columns import combined, with_combined
from recon_engine.reading.table import TextTable

# Texts of the whole column that are tried, their letters and digits, and how long they are at least; columns of the
# other file that are tried as parts, how many make one, and how many cells are read for it.
_TRIED, _LONGEST, _LEAST_LENGTH = 300, 40, 5
_MOST_COLUMNS, _MOST_PARTS, _MOST_CELLS = 60, 3, 4_000_000
# The share of the texts that begin with a part, and that are whole: at least, so much more than with a column less, and
# so much more than any single column has in common; how many of as many parts are looked at in the rows.
_BEGIN, _WHOLE, _FEWEST, _HELPS, _BETTER, _LOOKED_AT = 0.1, 0.3, 10, 0.1, 0.2, 3
# Of each part, so many are tried as the next one: those that stand for most of the texts. A file gets so many columns.
_NEXT, _MOST_MADE = 8, 20
_KNOWN = 0.5
_KINDS = ("text", "integer", "date")


def with_proposed(
    tables: Sequence[TextTable], columns: Sequence[Sequence[Column]], rows: Sequence[int]
) -> list[TextTable]:
    """The tables with the columns that are to be made of several, so that they can be mapped; the same where none is.
    A column is made for what another file has in one, when its parts have no counterparts of their own there.
    """
    if sum(count * len(own) for count, own in zip(rows, columns, strict=True)) > _MOST_CELLS:
        return list(tables)
    sides = list(zip(tables, columns, strict=True))
    wider = []
    for table, own in sides:
        made: dict[str, tuple[str, ...]] = {}
        for other, others in sides:
            if other is not table:
                found = _made(other, others, table, own)
                made = {name: parts for name, parts in found.items() if parts not in made.values()} | made
        made = dict(islice(made.items(), max(0, _MOST_MADE - len(table.combined))))
        wider.append(with_combined(table, ReaderOptions(combined=made)) if made else table)
    return wider


def _made(
    other: TextTable, others: Sequence[Column], table: TextTable, own: Sequence[Column]
) -> dict[str, tuple[str, ...]]:
    """What to make of the `own` columns of `table`: by name, the columns."""
    made = {*(table.parts or ()), *table.combined}
    usable = {c.name: c for c in own if c.kind in _KINDS and c.distinct > 1 and c.name not in made}
    if not 1 < len(usable) <= _MOST_COLUMNS:
        return {}
    alone = {w.name: max(contained(w.keys, c.keys) for c in own) for w in others if _is_long(w)}
    wholes = [w for w in others if alone.get(w.name, 1.0) < 1 - _BETTER and w.name not in table.combined]
    if not wholes:
        return {}
    values = pl.concat(
        [_distinct(table, name).alias("value").to_frame().with_columns(part=pl.lit(name)) for name in usable]
    )
    found: dict[str, tuple[str, ...]] = {}
    for whole in wholes:
        parts, share = _best(_distinct(other, whole.name), table, values)
        if share < alone[whole.name] + _BETTER or all(_is_known(usable[p], whole, others) for p in parts):
            continue
        name = whole.name if whole.name not in table.columns else f"{whole.name} of {' and '.join(parts)}"
        if name not in table.columns and parts not in found.values():
            found[name] = parts
    return found


def _is_long(whole: Column) -> bool:
    """Whether a column's texts are such as could be made of several."""
    long = float(whole.raw.str.len_chars().mean() or 0) >= _LEAST_LENGTH  # type: ignore[arg-type]
    return whole.kind in (*_KINDS, "datetime") and whole.distinct >= _FEWEST and long


def _is_known(part: Column, whole: Column, others: Sequence[Column]) -> bool:
    """Whether the other file has the part in a column of its own."""
    return any(contained(part.keys, c.keys) >= _KNOWN for c in others if c.name != whole.name)


def _best(texts: pl.Series, table: TextTable, values: pl.DataFrame) -> tuple[tuple[str, ...], float]:
    """The columns whose texts, put together, are those of `texts`, and the share of these, or of their own if they are
    fewer; none and 0 where there are none. `values`: part, value.
    """
    tried = texts.gather(texts.hash(377).arg_sort().head(_TRIED)).alias("text").to_frame()
    tried = tried.filter(pl.col("text").str.len_chars() <= _LONGEST)
    if tried.height < _FEWEST:
        return (), 0.0
    ends = tried.with_columns(at=pl.int_ranges(pl.col("text").str.len_chars())).explode("at")
    pieces = _cut(ends.select(rest=pl.col("text").str.slice("at")).unique())["head"].unique()
    near = values.filter(pl.col("value").is_in(pieces.implode()))
    least = max(_FEWEST, int(_BEGIN * tried.height))
    longest = near.group_by("part").agg(pl.col("value").str.len_chars().max())["value"].sort(descending=True)
    most = [0, *longest.head(_MOST_PARTS).cum_sum()]
    chains = sorted(_chains(tried.with_columns(rest="text"), near, (), least, most), key=lambda c: (-c[1], c[0]))
    best: tuple[tuple[str, ...], float] = (), 0.0
    for many in range(2, _MOST_PARTS + 1):
        enough = max(_WHOLE, best[1] + _HELPS)
        for names, _ in [chain for chain in chains if len(chain[0]) == many][:_LOOKED_AT]:
            made = table.frame.select(_plain(combined(names)).alias("t")).unique().drop_nulls()
            joined = made.collect(engine="streaming").to_series()
            hits = int(tried["text"].is_in(joined.implode()).sum())
            share = min(1.0, hits / tried.height * max(1.0, len(texts) / max(1, len(joined))))
            by_chance = _density(joined, tried["text"])
            if hits >= _FEWEST and share >= max(enough, by_chance + _BETTER) and share > best[1]:
                best = names, share
    return best


def _chains(
    begun: pl.DataFrame, values: pl.DataFrame, taken: tuple[str, ...], least: int, most: Sequence[int]
) -> Iterator[tuple[tuple[str, ...], int]]:
    """The columns, in order, whose texts can make up at least so many of the texts, and how many. `begun`: text, and
    the rest of it; `values`: part, value; `most`: how long the texts of so many parts are together, at most.
    """
    after = _MOST_PARTS - len(taken) - 1
    cut = _cut(begun).filter(pl.col("rest").str.len_chars() <= most[min(after, len(most) - 1)])
    matched = cut.join(values.filter(~pl.col("part").is_in(taken)), left_on="head", right_on="value")
    is_whole, text = pl.col("rest") == "", pl.col("text").n_unique()
    if taken:
        whole = matched.filter(is_whole).group_by("part").agg(text).filter(pl.col("text") >= least)
        yield from (((*taken, part), many) for part, many in whole.sort("part").iter_rows())
    if not after:
        return
    matched = matched.filter(~is_whole)
    stands_for = pl.col("head").str.len_chars().sum().alias("letters")
    following = matched.group_by("part").agg(text, stands_for).filter(pl.col("text") >= least)
    for part in following.sort("letters", "part", descending=[True, False]).head(_NEXT)["part"]:
        rest = matched.filter(pl.col("part") == part).select("text", "rest").unique()
        yield from _chains(rest, values, (*taken, part), least, most)


def _density(joined: pl.Series, texts: pl.Series) -> float:
    """Of the numbers between the texts' least and greatest, the share that can be made: so many meet by chance. None
    where the texts are no numbers.
    """
    numbers = texts.cast(pl.Int64, strict=False)
    low, high = numbers.min(), numbers.max()
    if numbers.null_count() or not isinstance(low, int) or not isinstance(high, int):
        return 0.0
    made = joined.cast(pl.Int64, strict=False).drop_nulls().unique()
    return float(made.is_between(low, high).sum()) / (high - low + 1)


def _cut(begun: pl.DataFrame) -> pl.DataFrame:
    """Every way to cut `rest` into a `head` and what is left of it."""
    cut = begun.with_columns(at=pl.int_ranges(1, pl.col("rest").str.len_chars() + 1)).explode("at")
    return cut.with_columns(head=pl.col("rest").str.head(pl.col("at")), rest=pl.col("rest").str.slice(pl.col("at")))


def _distinct(table: TextTable, column: str) -> pl.Series:
    """The distinct texts of a column, their letters and digits only."""
    texts = table.frame.select(_plain(pl.col(column)).alias(column)).unique().drop_nulls()
    return texts.collect(engine="streaming").to_series()


def _plain(text: pl.Expr) -> pl.Expr:
    bare = text.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "")
    return pl.when(bare != "").then(bare)
