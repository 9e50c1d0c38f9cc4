"""Which pairs are worth comparing: those that share something rare.

Each blocking key gives every record some values (a field's value, its words, two fields together, ...); pairs that
share a value are candidates, the rarest values first, until the key's budget of pairs is used. The union of the keys
is compared. Nothing is drawn by chance, and rows' order plays no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from recon_engine.matching.linkage_compare import Prepared, shortened

# Tables whose product is small are compared whole.
WHOLE = 300_000
# Records of long text are compared with so many nearest, by as much arithmetic as this allows.
_NEAREST = 10
_WORK, _WORK_PER_RECORD = 3e8, 500
# Pairs that one automatic key may make, per record of the two tables.
PAIRS_PER_RECORD = 6


@dataclass(frozen=True)
class Blocked:
    """The candidate pairs (l, r, sorted) and what each key gave."""

    pairs: pl.DataFrame
    keys: list[dict[str, object]]
    dropped: int

    @property
    def capped(self) -> bool:
        """True when pairs that share a value were left out to stay within the limit."""
        return self.dropped > 0


def block(prepared: Sequence[Prepared], block_on: Sequence[Sequence[str]] | None, most_pairs: int) -> Blocked:
    """The candidate pairs of two tables."""
    rows = (len(prepared[0].left), len(prepared[0].right))
    if block_on is None and rows[0] * rows[1] <= min(WHOLE, most_pairs):
        left, right = (pl.int_range(n, dtype=pl.UInt32, eager=True).alias(c) for n, c in zip(rows, "lr", strict=True))
        pairs = left.to_frame().join(right.to_frame(), how="cross", maintain_order="left_right")
        return Blocked(pairs, [{"key": "every pair", "pairs": len(pairs), "dropped": 0}], 0)
    by_name = {p.name: p for p in prepared}
    budget = most_pairs if block_on is not None else min(most_pairs, PAIRS_PER_RECORD * sum(rows) + 20_000)
    keys = _given(by_name, block_on) if block_on is not None else _automatic(prepared)
    found: list[pl.DataFrame] = []
    said: list[dict[str, object]] = []
    total = 0
    for name, left, right in keys:
        pairs, dropped = _rarest(left, right, budget)
        found.append(pairs)
        said.append({"key": name, "pairs": len(pairs), "dropped": dropped})
        total += dropped if block_on is not None else 0
        if sum(len(p) for p in found) > 4 * most_pairs:
            found = [pl.concat(found).unique()]
    for item in prepared if block_on is None else ():
        if item.vectors is not None:
            pairs = _nearest(item)
            found.append(pairs)
            said.append({"key": f"nearest by {item.name}", "pairs": len(pairs), "dropped": 0})
    pairs = pl.concat(found).unique().sort("l", "r") if found else pl.DataFrame(schema={"l": pl.UInt32, "r": pl.UInt32})
    return Blocked(pairs, said, total)


def _values(item: Prepared, how: str) -> list[pl.Series]:
    """A key of each record on both sides: the whole value, its beginning, its year."""
    sides = [item.left, item.right]
    if how == "start":
        return [s.cast(pl.String).str.slice(0, 3) for s in sides]
    return sides


def _keyed(columns: Sequence[pl.Series]) -> pl.DataFrame:
    """i, key of the records that have a value in every column."""
    frame = pl.DataFrame({str(n): c for n, c in enumerate(columns)}).with_row_index("i").drop_nulls()
    names = [c for c in frame.columns if c != "i"]
    return frame.select("i", key=pl.struct(names).hash(378) if len(names) > 1 else pl.col(names[0]).hash(378))


def _given(
    by_name: dict[str, Prepared], block_on: Sequence[Sequence[str]]
) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    for names in block_on:
        items = [by_name[n] for n in names]
        yield " + ".join(names), _keyed([i.left for i in items]), _keyed([i.right for i in items])


def _automatic(prepared: Sequence[Prepared]) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    for item in prepared:
        yield item.name, _keyed([item.left]), _keyed([item.right])
        if item.method == "name":
            yield f"words of {item.name}", *(_words(s) for s in (item.left, item.right))
        if item.codes is not None:
            yield (
                f"model numbers of {item.name}",
                *(shortened(c).select("i", key=pl.col("code").hash(378)) for c in item.codes),
            )
    for a, b in combinations(prepared, 2):
        one, two = _values(a, "start"), _values(b, "start")
        yield f"beginnings of {a.name} + {b.name}", _keyed([one[0], two[0]]), _keyed([one[1], two[1]])


def _words(values: pl.Series) -> pl.DataFrame:
    frame = values.str.split(" ").alias("v").to_frame().with_row_index("i").explode("v").drop_nulls()
    return frame.select("i", key=pl.col("v").hash(378)).unique()


def _nearest(item: Prepared) -> pl.DataFrame:
    """The pairs whose texts are among each other's nearest by cosine; terms too common to afford are left out."""
    assert item.vectors is not None
    a, b = item.vectors
    often = [np.bincount(v.indices, minlength=v.shape[1]).astype(np.float64) for v in (a, b)]
    work = often[0] * often[1]
    order = np.argsort(work, kind="stable")
    afford = np.cumsum(work[order]) <= _WORK + _WORK_PER_RECORD * (a.shape[0] + b.shape[0])
    limit = work[order][afford].max(initial=0.0)
    rare = work <= limit
    a, b = a[:, rare], b[:, rare].T.tocsr()
    parts = []
    rows = max(1, int(2e7 / max(1.0, work[rare].sum() / max(1, a.shape[0]))))
    for start in range(0, a.shape[0], rows):
        product = (a[start : start + rows] @ b).tocoo()
        part = pl.DataFrame({"l": product.row + start, "r": product.col, "c": product.data}).filter(pl.col("c") >= 0.05)
        parts.append(part)
    pairs = pl.concat(parts).cast({"l": pl.UInt32, "r": pl.UInt32})
    rank = pl.col("c").rank("max", descending=True)
    return pairs.filter((rank.over("l") <= _NEAREST) | (rank.over("r") <= _NEAREST)).select("l", "r")


def _rarest(left: pl.DataFrame, right: pl.DataFrame, budget: int) -> tuple[pl.DataFrame, int]:
    """Pairs that share a key, the rarest keys first, whole ranks of rarity, within the budget; and how many were left
    out.
    """
    counts = (
        left.group_by("key")
        .agg(a=pl.len())
        .join(right.group_by("key").agg(b=pl.len()), on="key")
        .with_columns(n=pl.col("a").cast(pl.Int64) * pl.col("b"))
    )
    by_rarity = counts.group_by("n").agg(all=pl.col("n").sum()).sort("n").with_columns(upto=pl.col("all").cum_sum())
    fits = by_rarity.filter(pl.col("upto") <= budget)
    most = fits["n"].max() if len(fits) else 0
    dropped = int(by_rarity["all"].sum()) - int(fits["all"].sum())
    kept = counts.filter(pl.col("n") <= most).select("key")
    pairs = (
        left.join(kept, on="key", how="semi")
        .join(right, on="key")
        .select(pl.col("i").alias("l"), pl.col("i_right").alias("r"))
        .unique()
    )
    return pairs, dropped
