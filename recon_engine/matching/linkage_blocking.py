"""Which pairs are worth comparing: those that share a key, or whose long texts are near each other.

Keys are given, or chosen from the data (`linkage_keys`). Of a key's values the rarest come first, until the key's
budget of pairs is used. The union is compared. Nothing is drawn by chance, and rows' order plays no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import polars as pl

from recon_engine.matching.linkage_codes import shortened
from recon_engine.matching.linkage_compare import Prepared
from recon_engine.matching.linkage_keys import Key, choose

# Tables whose product is small are compared whole.
WHOLE = 300_000
# Records of long text are compared with so many nearest, by as much arithmetic as this allows.
_NEAREST, _COSINE = 10, 0.05
# So many pairs are put by before they are sorted out.
_AT_ONCE = 2_000_000
_WORK, _WORK_PER_RECORD = 3e8, 500
# Pairs that one automatic key may make, per record of the two tables.
_PAIRS_PER_RECORD = 6
# Where exact keys may miss more than this share of matches, the beginnings of values are tried too.
_MAY_MISS = 0.01


@dataclass(frozen=True)
class Plan:
    """The keys to block on; `whole` compares every pair; `beginnings` adds keys of the first letters of two fields;
    `apart`: fields of keys that speak neither for nor against a pair.
    """

    keys: list[Key]
    most_pairs: int
    given: bool = False
    whole: bool = False
    beginnings: bool = False
    apart: Sequence[Prepared] = ()

    def sided(self, sides: str) -> Plan:
        """The same for the pairs within one table: `ll` or `rr`."""
        return replace(self, apart=[item.sided(sides) for item in self.apart])


@dataclass(frozen=True)
class Blocked:
    """The candidate pairs (l, r, sorted), what each key gave, and how many pairs a given key had to leave out."""

    pairs: pl.DataFrame
    keys: list[dict[str, object]]
    capped: bool


def plan_blocking(
    prepared: Sequence[Prepared],
    block_on: Sequence[Sequence[str]] | None,
    most_pairs: int,
    apart: Sequence[Prepared] = (),
) -> Plan:
    """The keys of two tables: as given, of fields `apart` from those compared too, or chosen."""
    if block_on is not None:
        return Plan([tuple(key) for key in block_on], most_pairs, given=True, apart=apart)
    if len(prepared[0].left) * len(prepared[0].right) <= min(WHOLE, most_pairs):
        return Plan([], most_pairs, whole=True)
    keys, missed = choose(prepared)
    return Plan(keys, most_pairs, beginnings=missed > _MAY_MISS)


def block(prepared: Sequence[Prepared], plan: Plan, only: pl.Series | None = None) -> Blocked:
    """The candidate pairs of two tables; with `only`, of these left records."""
    rows = (len(prepared[0].left), len(prepared[0].right))
    if plan.whole:
        left = pl.int_range(rows[0], dtype=pl.UInt32, eager=True).alias("l") if only is None else only.alias("l")
        right = pl.int_range(rows[1], dtype=pl.UInt32, eager=True).alias("r")
        pairs = left.to_frame().join(right.to_frame(), how="cross")
        return Blocked(pairs, [{"key": "every pair", "pairs": len(pairs), "dropped": 0}], False)
    budget = plan.most_pairs if plan.given else min(plan.most_pairs, _PAIRS_PER_RECORD * sum(rows) + 20_000)
    share = 1.0 if only is None else len(only) / max(1, rows[0])
    by_words = {f"words of {item.name}" for item in prepared}
    words = 0.25 if plan.beginnings else 0.05
    found: list[pl.DataFrame] = []
    said: list[dict[str, object]] = []
    capped = False
    for name, left_keys, right_keys in _keys(prepared, plan, only):
        # Of a few records, most keys of the other side are none of theirs.
        others = right_keys if only is None else right_keys.join(left_keys, on="key", how="semi")
        pairs, dropped = _rarest(left_keys, others, int(budget * share * (words if name in by_words else 1.0)))
        found.append(pairs)
        said.append({"key": name, "pairs": len(pairs), "dropped": dropped})
        capped = capped or (plan.given and dropped > 0)
    for item in prepared if not plan.given else ():
        if item.vectors is not None:
            pairs = _nearest(item, only)
            found.append(pairs)
            said.append({"key": f"nearest by {item.name}", "pairs": len(pairs), "dropped": 0})
    if not found:
        return Blocked(pl.DataFrame(schema={"l": pl.UInt32, "r": pl.UInt32}), said, capped)
    packed = pl.concat([p.select(p=pl.col("l").cast(pl.UInt64) * 2**32 + pl.col("r")) for p in found]).unique()
    pairs = packed.sort("p").select(l=(pl.col("p") // 2**32).cast(pl.UInt32), r=(pl.col("p") % 2**32).cast(pl.UInt32))
    return Blocked(pairs, said, capped)


def _of(frame: pl.DataFrame, only: pl.Series | None) -> pl.DataFrame:
    """The rows of a frame with their numbers (i); with `only`, these rows."""
    numbered = frame.with_row_index("i")
    return numbered if only is None else numbered.select(pl.all().gather(only))


def _keyed(columns: Sequence[pl.Series], only: pl.Series | None = None) -> pl.DataFrame:
    """i, key of the records that have a value in every column."""
    frame = _of(pl.DataFrame({str(n): c for n, c in enumerate(columns)}), only).drop_nulls()
    names = [c for c in frame.columns if c != "i"]
    return frame.select("i", key=pl.struct(names).hash(378) if len(names) > 1 else pl.col(names[0]).hash(378))


def _keys(
    prepared: Sequence[Prepared], plan: Plan, only: pl.Series | None
) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    """Each key's name and its values on both sides; with `only`, of these left records."""
    by_name = {p.name: p for p in (*prepared, *plan.apart)}
    for key in plan.keys:
        items = [by_name[n] for n in key]
        yield " + ".join(key), _keyed([i.left for i in items], only), _keyed([i.right for i in items])
    for item in prepared if not plan.given else ():
        if item.method == "name" and item.several_words:
            yield f"words of {item.name}", _words(item.left, only), _words(item.right)
        if item.codes is not None:
            left, right = (shortened(c).select("i", key=pl.col("code").hash(378)) for c in item.codes)
            left = left if only is None else left.filter(pl.col("i").is_in(only.implode()))
            yield f"model numbers of {item.name}", left, right
    for a, b in combinations(prepared, 2) if plan.beginnings else ():
        one, two = ([s.cast(pl.String).str.slice(0, 3) for s in (p.left, p.right)] for p in (a, b))
        yield f"beginnings of {a.name} + {b.name}", _keyed([one[0], two[0]], only), _keyed([one[1], two[1]])


def _words(values: pl.Series, only: pl.Series | None = None) -> pl.DataFrame:
    frame = _of(values.alias("v").to_frame(), only).drop_nulls()
    frame = frame.with_columns(pl.col("v").str.split(" ")).explode("v")
    return frame.select("i", key=pl.col("v").hash(378)).unique()


def _nearest(item: Prepared, only: pl.Series | None) -> pl.DataFrame:
    """The pairs whose texts are among each other's nearest by cosine; terms too common to afford are left out."""
    assert item.vectors is not None
    a, b = item.vectors
    rows = np.arange(a.shape[0]) if only is None else np.sort(only.to_numpy())
    a = a[rows]
    often = [np.bincount(v.indices, minlength=v.shape[1]).astype(np.float64) for v in (a, b)]
    work = often[0] * often[1]
    order = np.argsort(work, kind="stable")
    afford = np.cumsum(work[order]) <= _WORK + _WORK_PER_RECORD * (a.shape[0] + b.shape[0])
    rare = work <= work[order][afford].max(initial=0.0)
    a, b = a[:, rare], b[:, rare].T.tocsr()
    own, across = _BestOf("l", len(rows)), _BestOf("r", b.shape[1])
    step = max(1, int(2e7 / max(1.0, work[rare].sum() / max(1, a.shape[0]))))
    for start in range(0, a.shape[0], step):
        product = (a[start : start + step] @ b).tocoo()
        near = product.data >= _COSINE
        part = pl.DataFrame({"l": product.row[near] + start, "r": product.col[near], "c": product.data[near]})
        own.add(part)
        across.add(part)
    pairs = pl.concat([own.pairs(), across.pairs()]).unique()
    return pairs.select(l=pl.Series(rows).gather(pairs["l"]).cast(pl.UInt32), r=pl.col("r").cast(pl.UInt32))


class _BestOf:
    """Of each record at one `end` of pairs (l, r, c: their cosine) the nearest, while pairs are added bit by bit.

    Where records are equally near, and more than are wanted, none of them is among the nearest; so that this is known,
    all of them are kept to the end.
    """

    def __init__(self, end: str, rows: int) -> None:
        self._end = end
        self._least = np.zeros(rows, dtype=np.float32)
        self._found: list[pl.DataFrame] = []
        self._sorted_out = 0

    def add(self, pairs: pl.DataFrame) -> None:
        """Look at more pairs."""
        better = pl.Series(pairs["c"].to_numpy() >= self._least[pairs[self._end].to_numpy()])
        self._found.append(pairs.filter(better))
        if sum(map(len, self._found)) > 2 * self._sorted_out + _AT_ONCE:
            self._sort_out()

    def _sort_out(self) -> None:
        found = pl.concat(self._found)
        least = found.group_by(self._end).agg(pl.col("c").top_k(_NEAREST).min().alias("least"), pl.len())
        kept = found.join(least, on=self._end).filter(pl.col("c") >= pl.col("least")).select(found.columns)
        full = least.filter(pl.col("len") >= _NEAREST)
        self._least[full[self._end].to_numpy()] = full["least"].to_numpy()
        self._found, self._sorted_out = [kept], kept.height

    def pairs(self) -> pl.DataFrame:
        """l, r of the nearest."""
        self._sort_out()
        rank = pl.col("c").rank("max", descending=True).over(self._end)
        return self._found[0].filter(rank <= _NEAREST).select("l", "r")


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
    dropped = 0
    if (counts["n"].sum() or 0) > budget:
        by_rarity = counts.group_by("n").agg(all=pl.col("n").sum()).sort("n").with_columns(upto=pl.col("all").cum_sum())
        fits = by_rarity.filter(pl.col("upto") <= budget)
        dropped = int(by_rarity["all"].sum()) - int(fits["all"].sum())
        counts = counts.filter(pl.col("n") <= (fits["n"].max() if len(fits) else 0))
        left = left.join(counts, on="key", how="semi")
    return left.join(right, on="key").select(l="i", r="i_right"), dropped
