"""Columns of one file that the other writes in one: found where the texts of one are those of several, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from recon_engine.columns import Column, contained
from recon_engine.plan import ReaderOptions
from recon_engine.reading.combined_columns import combined, with_combined
from recon_engine.reading.table import TextTable

# Texts of the whole column that are tried, their letters and digits, and how long they are at least; columns of the
# other file that are tried as parts, how many make one, and the rows that are read for it.
_TRIED, _LONGEST, _LEAST_LENGTH = 1_000, 60, 5
_MOST_COLUMNS, _MOST_PARTS, _MOST_ROWS = 60, 3, 2_000_000
# The share of the texts that begin with a part, and that are whole: at least, so much more than with a column less, and
# so much more than any single column has in common.
_BEGIN, _WHOLE, _FEWEST, _HELPS, _BETTER = 0.1, 0.3, 10, 0.1, 0.2
_KNOWN = 0.5
_KINDS = ("text", "integer", "date")


@dataclass(frozen=True)
class _Found:
    """Columns whose texts, put together, are those of `whole`: so large a share of the file with fewer of them."""

    whole: Column
    parts: tuple[str, ...]
    share: float


def with_proposed(
    tables: tuple[TextTable, TextTable], columns: Sequence[Sequence[Column]], rows: tuple[int, int]
) -> tuple[TextTable, TextTable]:
    """The tables with the columns that are to be made of several, so that they can be mapped; as they are where none
    is. A column is made for what the other file has in one, when its parts have no counterparts of their own.
    """
    if max(rows) > _MOST_ROWS:
        return tables
    made = [_made(tables[1 - side], columns[1 - side], tables[side], columns[side]) for side in (0, 1)]
    left, right = (
        with_combined(table, ReaderOptions(combined=own)) if own else table
        for table, own in zip(tables, made, strict=True)
    )
    return left, right


def _made(
    other: TextTable, others: Sequence[Column], table: TextTable, own: Sequence[Column]
) -> dict[str, tuple[str, ...]]:
    """What to make of the `own` columns of `table`: by name, the columns."""
    usable = [c for c in own if c.kind in _KINDS and c.distinct > 1 and c.name not in (table.parts or ())]
    if len(usable) > _MOST_COLUMNS:
        return {}
    parts = {c.name: _distinct(table, c.name) for c in usable}
    found: dict[str, tuple[str, ...]] = {}
    for whole in others:
        if whole.kind not in (*_KINDS, "datetime") or whole.distinct < _FEWEST or whole.name in table.combined:
            continue
        best = _best(other, whole, table, parts)
        if best is None or best.share < _BETTER + max(contained(whole.keys, c.keys) for c in own):
            continue
        if all(_is_known(next(c for c in usable if c.name == part), whole, others) for part in best.parts):
            continue
        name = whole.name if whole.name not in table.columns else " ".join(best.parts)
        if name not in table.columns and name not in found:
            found[name] = best.parts
    return found


def _is_known(part: Column, whole: Column, others: Sequence[Column]) -> bool:
    """Whether the other file has the part in a column of its own."""
    return any(contained(part.keys, c.keys) >= _KNOWN for c in others if c.name != whole.name)


def _best(other: TextTable, whole: Column, table: TextTable, parts: dict[str, pl.Series]) -> _Found | None:
    texts = _distinct(other, whole.name)
    tried = texts.gather(texts.hash(377).arg_sort().head(_TRIED))
    if len(tried) < _FEWEST or float(tried.str.len_chars().mean() or 0) < _LEAST_LENGTH:  # type: ignore[arg-type]
        return None
    begun = pl.DataFrame({"text": tried, "rest": tried}).filter(pl.col("text").str.len_chars() <= _LONGEST)
    least = max(_FEWEST, int(_BEGIN * len(tried)))
    best: _Found | None = None
    for names in sorted(_chains(begun, parts, (), least), key=lambda n: (len(n), n)):
        whole_texts = table.frame.select(_plain(combined(names)).alias("t")).unique().drop_nulls()
        joined = whole_texts.collect(engine="streaming").to_series()
        hits = int(tried.is_in(joined.implode()).sum())
        share = hits / len(tried) * max(1.0, len(texts) / max(1, len(joined)))
        enough = _WHOLE if best is None or len(names) == len(best.parts) else best.share + _HELPS
        if hits >= _FEWEST and share >= max(enough, best.share + 1e-9 if best else 0.0):
            best = _Found(whole, names, min(1.0, share))
    return best


def _chains(
    begun: pl.DataFrame, parts: dict[str, pl.Series], taken: tuple[str, ...], least: int
) -> Iterator[tuple[str, ...]]:
    """The columns, in order, whose texts can make up at least so many of the texts. `begun`: text, and its rest."""
    if len(taken) == _MOST_PARTS:
        return
    longest = int(begun["rest"].str.len_chars().max() or 0)  # type: ignore[arg-type]
    cut = begun.with_columns(n=pl.int_ranges(1, pl.col("rest").str.len_chars() + 1)).explode("n")
    cut = cut.with_columns(head=pl.col("rest").str.head(pl.col("n")), rest=pl.col("rest").str.slice(pl.col("n")))
    for name, values in parts.items():
        if name in taken or not longest:
            continue
        left = cut.join(values.alias("head").to_frame(), on="head", how="semi").select("text", "rest").unique()
        if taken and left.filter(pl.col("rest") == "")["text"].n_unique() >= least:
            yield (*taken, name)
        left = left.filter(pl.col("rest") != "")
        if left["text"].n_unique() >= least:
            yield from _chains(left, parts, (*taken, name), least)


def _distinct(table: TextTable, column: str) -> pl.Series:
    """The distinct texts of a column, their letters and digits only."""
    texts = table.frame.select(_plain(pl.col(column)).alias(column)).unique().drop_nulls()
    return texts.collect(engine="streaming").to_series()


def _plain(text: pl.Expr) -> pl.Expr:
    bare = text.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "")
    return pl.when(bare != "").then(bare)
