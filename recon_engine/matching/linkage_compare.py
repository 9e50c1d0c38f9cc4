"""How two records are compared: one comparison per field, chosen from its type and profile, giving ordered levels.

A comparison turns a pair's two values into a level: 0 says they differ, higher says they agree more, the highest of a
method says they are equal. `MISSING` where either side has no value. What a level is worth is learnt, not set here.

| method | for | levels between "differ" and "equal" |
|---|---|---|
| name | short texts | Jaro-Winkler at least .8, .88, .94; words contained in the other; another field's value |
| code | codes, numbers written as text | share a beginning, two edits, one edit |
| tfidf | longer texts | cosine of rarity-weighted words and trigrams in tenths, and model numbers shared or not |
| exact | anything | none |
| date, datetime | days, moments | same year, a month, a week, one digit or day and month swapped; an hour, a day |
| number | amounts, and texts that are quantities | relative difference up to 20 %, 5 %, 1 %, one digit |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

from recon_engine.matching.linkage_codes import code_status, mentioned
from recon_engine.matching.linkage_levels import JARO_WINKLER, RELATIVE, RULES, A, B
from recon_engine.matching.linkage_quantities import quantities

Kind = Literal["text", "number", "date", "datetime", "boolean"]
KINDS: dict[str, Kind] = {
    "text": "text",
    "decimal": "number",
    "integer": "number",
    "date": "date",
    "datetime": "datetime",
    "boolean": "boolean",
}
"""How the types of fields are compared."""
Levels = NDArray[np.uint8]
Inside = NDArray[np.float64]
METHODS = ("name", "code", "tfidf", "exact", "date", "datetime", "number")
MISSING = 255
# Pairs are compared in slices, so that memory stays flat.
SLICE = 1_000_000
# Where at most so many times as many pairs as are asked for stand between the same records, a product of all is faster.
_NEARLY_ALL = 4
# A field holds what the other table mentions in its texts where so many of its values are found there.
_WRITTEN = 0.05
_COSINE = tuple(round(0.1 * step, 1) for step in range(1, 10))


@dataclass(frozen=True)
class LinkField:
    """A field to compare: `method` None is chosen from the data. One that does not speak for or against a pair is there
    to be blocked on.
    """

    name: str
    kind: Kind
    method: str | None = None
    speaks: bool = True


@dataclass
class Prepared:
    """A field of both tables, ready to compare."""

    name: str
    method: str
    left: pl.Series
    right: pl.Series
    labels: tuple[str, ...]
    vectors: tuple[csr_array, csr_array] | None = None
    codes: tuple[pl.DataFrame, pl.DataFrame] | None = None
    other: Prepared | None = field(default=None, repr=False)
    within: bool = False
    several_words: bool = False

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return len(self.labels)

    @property
    def equal(self) -> int:
        """The level of equal values."""
        return self.levels - 1

    @property
    def ladders(self) -> list[list[int]]:
        """Runs of levels in which a higher one never says less; equal values top them all."""
        if self.method == "tfidf":
            fine = len(_COSINE) + 1
            bounds = (0, fine, 2 * fine, 2 * fine + 3, self.equal)
            runs = [list(range(a, b)) for a, b in pairwise(bounds)]
        elif self.method == "name":
            runs = [[0, 1, 2, 3], [5]]
        else:
            runs = [list(range(self.equal))]
        return [[*run, self.equal] for run in runs]

    def sided(self, sides: str) -> Prepared:
        """The same comparison within one table: `ll` or `rr`; `lr` is across."""
        if sides == "lr" and not self.within:
            return self
        first, second = (0 if s == "l" else 1 for s in sides)
        values = (self.left, self.right)
        return replace(
            self,
            left=values[first],
            right=values[second],
            vectors=self.vectors and (self.vectors[first], self.vectors[second]),
            codes=self.codes and (self.codes[first], self.codes[second]),
            other=None if self.other is None else replace(self.other, other=None).sided(sides),
            within=sides != "lr",
        )

    @cached_property
    def counts(self) -> pl.DataFrame:
        """Each value that both sides have (v), and how often (a, b)."""
        if self.within:
            return _counted(self.left, "a").with_columns(b="a")
        return _counted(self.left, "a").join(_counted(self.right, "b"), on="v")

    def pairs_known(self) -> float:
        """How many pairs of records have both values; within a table, of two records."""
        sizes = [float(len(s) - s.null_count()) for s in (self.left, self.right)]
        return max(1.0, sizes[0] * (sizes[0] - 1) / 2 if self.within else sizes[0] * sizes[1])

    def agreeing(self) -> float:
        """How many pairs have equal values."""
        return float(self.counts.select((pl.col("a") * pl.col("b")).sum()).item() or 0.0)

    def equal_by_chance(self) -> float:
        """The share of all pairs with equal values; within a table, of the pairs of two records."""
        equal = self.agreeing()
        if self.within:
            equal = (equal - (len(self.left) - self.left.null_count())) / 2
        return min(max(equal, 0.5) / self.pairs_known(), 0.999)


def prepare(left: pl.DataFrame, right: pl.DataFrame, fields: Sequence[LinkField]) -> list[Prepared]:
    """Normalise each field's values and choose its method."""
    prepared = []
    # All fields in one go, so that they share the processors.
    normal = [frame.select(_normal(f.name, f.kind) for f in fields) for frame in (left, right)]
    for spec in fields:
        sides = [frame[spec.name] for frame in normal]
        measured = quantities(left[spec.name], right[spec.name]) if spec.kind == "text" and not spec.method else None
        sides = list(measured or sides)
        method = spec.method or _choose("number" if measured else spec.kind, sides)
        if method in ("name", "code", "tfidf") and spec.kind != "text":
            sides = [s.cast(pl.String) for s in sides]
        if method == "code":
            sides = [s.str.replace_all(" ", "", literal=True) for s in sides]
        item = Prepared(spec.name, method, sides[0], sides[1], _labels(method))
        if method == "tfidf":
            item.vectors = _vectors(sides[0], sides[1])
        if method == "name":
            item.several_words = any(_share(s.str.contains(" ", literal=True)) > 0.2 for s in sides)
        prepared.append(item)
    _partners(prepared)
    _codes(left, right, prepared)
    return prepared


def compare(item: Prepared, lefts: pl.Series, rights: pl.Series) -> Levels:
    """The level of every pair (positions lefts[k], rights[k])."""
    return compare_closely(item, lefts, rights)[0]


def compare_closely(item: Prepared, lefts: pl.Series, rights: pl.Series) -> tuple[Levels, Inside]:
    """The same, and how far above the middle of its level each pair is: from -0.5 to 0.5 of the way to the next, 0
    where a level is one thing.
    """
    starts = range(0, max(len(lefts), 1), SLICE)
    parts = [_compare_slice(item, lefts.slice(at, SLICE), rights.slice(at, SLICE)) for at in starts]
    return np.concatenate([level for level, _ in parts]), np.concatenate([inside for _, inside in parts])


def _share(true: pl.Series) -> float:
    known = true.drop_nulls()
    return float(known.sum()) / max(1, len(known))


def _counted(values: pl.Series, name: str) -> pl.DataFrame:
    """Each value (v), and how often."""
    return values.alias("v").to_frame().drop_nulls().group_by("v").agg(pl.len().cast(pl.Float64).alias(name))


def _normal(name: str, kind: Kind) -> pl.Expr:
    """Text without case, accents and punctuation; other kinds as they are. Nothing left is missing."""
    if kind != "text":
        return pl.col(name)
    text = (
        pl.col(name)
        .str.to_lowercase()
        .str.normalize("NFKD")
        .str.replace_all(r"[\p{M}'’`]", "")
        .str.replace_all(r"[^\p{L}\p{N}]+", " ")
        .str.strip_chars()
    )
    return pl.when(text.str.len_bytes() > 0).then(text).alias(name)


def _choose(kind: Kind, sides: list[pl.Series]) -> str:
    """The method of a field from its type and what its values look like."""
    if kind != "text":
        return {"number": "number", "date": "date", "datetime": "datetime", "boolean": "exact"}[kind]
    values = pl.concat([s.alias("v") for s in sides]).drop_nulls().to_frame()
    if values.is_empty():
        return "name"
    value = pl.col("v")
    words, length, coded = values.select(
        (value.str.count_matches(" ", literal=True) + 1).mean().alias("words"),
        value.str.len_chars().mean().alias("length"),
        (value.str.count_matches(r"\p{N}") * 2 >= value.str.len_chars()).mean().alias("coded"),
    ).row(0)
    if coded >= 0.5:
        return "code"
    return "tfidf" if words >= 3 or length >= 25 else "name"


def _labels(method: str) -> tuple[str, ...]:
    """What each level of a method says, the lowest first."""
    if method == "name":
        return (
            "differ",
            *(f"Jaro-Winkler ≥ {cut:.2f}" for cut in JARO_WINKLER),
            "words contained",
            "value of another field",
            "equal",
        )
    if method == "code":
        return ("differ", "same beginning", "two edits", "one edit", "equal")
    if method == "tfidf":
        fine = ("cosine < 0.1", *(f"cosine ≥ {cut:.1f}" for cut in _COSINE))
        coarse = ("cosine < 0.3", "cosine ≥ 0.3", "cosine ≥ 0.6")
        runs = ((fine, ""), (fine, ", other model numbers"), (coarse, ", a similar model number"))
        return (*(c + said for run, said in (*runs, (coarse, ", the same model number")) for c in run), "equal")
    if method == "date":
        return ("differ", "same year", "within a month", "within a week", "one digit or day and month swapped", "equal")
    if method == "datetime":
        return ("differ", "within a day", "within an hour", "equal")
    if method == "number":
        return ("differ", *(f"within {cut:.0%}" for cut in RELATIVE), "one digit", "equal")
    return ("differ", "equal")


def _partners(prepared: list[Prepared]) -> None:
    """Fields that hold each other's kind of values (given name and surname): swapped values are looked for."""
    names = [p for p in prepared if p.method == "name"]
    values = [pl.concat([p.left.alias("v"), p.right.alias("v")]).drop_nulls() for p in names]
    shares = [v.value_counts(normalize=True, name="share") for v in values]
    for a, first in zip(names, shares, strict=True):
        best = 0.05
        for b, second in zip(names, shares, strict=True):
            if a is not b and (share := _overlap(first, second)) > best:
                best, a.other = share, b


def _overlap(first: pl.DataFrame, second: pl.DataFrame) -> float:
    """The share of values that two fields' distributions have in common."""
    both = first.join(second, on="v", suffix="2").select(pl.min_horizontal("share", "share2").sum())
    return float(both.item() or 0.0)


def _codes(left: pl.DataFrame, right: pl.DataFrame, prepared: list[Prepared]) -> None:
    """Give the first long text the model numbers that its records mention anywhere, but those that many mention; those
    of a field of their own among them, where the other table writes them into its texts.
    """
    texts = [p for p in prepared if p.method == "tfidf"]
    if not texts:
        return
    frames = (left, right)
    written = [pl.concat([mentioned(frame[p.name]) for p in texts]).unique() for frame in frames]
    said = written
    for item in prepared:
        if item.method in ("code", "name"):
            own = [mentioned(frame[item.name]) for frame in frames]
            found = [o.join(s, on="code", how="semi")["i"].n_unique() for o, s in zip(own, written[::-1], strict=True)]
            if any(n >= _WRITTEN * max(1, o["i"].n_unique()) for n, o in zip(found, own, strict=True)):
                said = [pl.concat([s, o]).unique() for s, o in zip(said, own, strict=True)]
    often = [max(3, frame.height // 300) for frame in frames]
    left_codes, right_codes = (s.filter(pl.len().over("code") <= n) for s, n in zip(said, often, strict=True))
    texts[0].codes = (left_codes, right_codes)


def terms(values: pl.Series) -> pl.DataFrame:
    """The words and the character trigrams of each value: i (position), term, one row each."""
    frame = values.alias("v").to_frame().with_row_index("i").drop_nulls()
    words = frame.select("i", term=pl.col("v").str.split(" ")).explode("term")
    padded = frame.select("i", v=pl.lit(" ") + pl.col("v") + pl.lit(" "))
    shifted = [
        padded.select("i", term=pl.col("v").str.replace(f"^.{{{k}}}", "").str.extract_all(r"(?s).{3}")).explode("term")
        for k in range(3)
    ]
    return pl.concat([words.select("i", term="w" + pl.col("term")), *shifted]).drop_nulls().group_by("i", "term").len()


def _vectors(left: pl.Series, right: pl.Series) -> tuple[csr_array, csr_array]:
    """Unit vectors of rarity-weighted terms for both sides; terms of one side alone count in the length only."""
    from scipy.sparse import csr_array

    sides = [terms(left), terms(right)]
    total = len(left) + len(right)
    frequency = pl.concat(sides).group_by("term").agg(df=pl.len()).sort("term").with_row_index("t")
    vectors = []
    for side, size in zip(sides, (len(left), len(right)), strict=True):
        rows = side.join(frequency, on="term").sort("i", "t")
        weight = (1 + rows["len"].log()) * (total / rows["df"]).log()
        i = rows["i"].to_numpy()
        value = weight.to_numpy().astype(np.float64)
        norm = np.sqrt(np.bincount(i, value**2, minlength=size))
        value = (value / np.maximum(norm[i], 1e-12)).astype(np.float32)
        start = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=size))])
        vectors.append(csr_array((value, rows["t"].to_numpy().astype(np.int32), start), shape=(size, len(frequency))))
    return vectors[0], vectors[1]


def _compare_slice(item: Prepared, lefts: pl.Series, rights: pl.Series) -> tuple[Levels, Inside]:
    pairs = pl.DataFrame({"a": item.left.gather(lefts), "b": item.right.gather(rights)})
    missing = A.is_null() | B.is_null()
    if item.method == "tfidf":
        level, inside = _tfidf_levels(item, pairs, lefts.to_numpy(), rights.to_numpy())
        return np.where(pairs.select(missing).to_series().to_numpy(), MISSING, level).astype(np.uint8), inside
    plain = pl.when(missing).then(MISSING).when(A == B).then(item.equal).otherwise(0).cast(pl.UInt8)
    level = pairs.select(plain).to_series().to_numpy().copy()
    # Most candidates are equal in most fields: only of the others more than that need be asked.
    differ = np.flatnonzero(level == 0)
    if len(differ):
        at = pl.Series(differ)
        pairs = pairs.select(pl.all().gather(at))
        rule = RULES[item.method]()
        if item.other is not None:
            crossed = {"a2": item.other.left.gather(lefts.gather(at)), "b2": item.other.right.gather(rights.gather(at))}
            pairs = pairs.with_columns(**crossed)
            rule = pl.when((pl.col("b2") == A) | (pl.col("a2") == B)).then(5).otherwise(rule)
        level[differ] = pairs.select(rule.cast(pl.UInt8)).to_series().to_numpy()
    return level, np.zeros(len(lefts))


def _tfidf_levels(
    item: Prepared, pairs: pl.DataFrame, lefts: NDArray[np.uint32], rights: NDArray[np.uint32]
) -> tuple[Levels, Inside]:
    cosine = _cosines(item, lefts, rights)
    fine = len(_COSINE) + 1
    step = np.searchsorted(np.array(_COSINE), cosine + 1e-6, side="right")
    inside = np.clip(np.round(cosine * fine - step, 3), 0, 1) - 0.5
    if item.codes is not None:
        status = code_status(item.codes, pl.DataFrame({"l": lefts, "r": rights}))
        inside = np.where(status < 2, inside, 0.0)  # the levels of shared model numbers are coarse
        coarse = np.searchsorted(np.array([3, 6]), step, side="right")
        step = np.where(status < 2, fine * status + step, 2 * fine + 3 * (status - 2) + coarse)
    equal = pairs.select((A == B).fill_null(False)).to_series().to_numpy()
    return np.where(equal, item.equal, step).astype(np.uint8), np.where(equal, 0.0, inside)


def _cosines(item: Prepared, lefts: NDArray[np.uint32], rights: NDArray[np.uint32]) -> NDArray[np.float64]:
    assert item.vectors is not None
    a, b = item.vectors
    rows, left = np.unique(lefts, return_inverse=True)
    columns, right = np.unique(rights, return_inverse=True)
    if len(rows) * len(columns) <= _NEARLY_ALL * len(lefts):
        return np.asarray((a[rows] @ b[columns].T).toarray()[left, right], dtype=np.float64)
    cosine = np.zeros(len(lefts))
    for start in range(0, len(lefts), 100_000):
        part = slice(start, start + 100_000)
        cosine[part] = a[lefts[part]].multiply(b[rights[part]]).sum(axis=1)
    return cosine


def by_content(prepared: Sequence[Prepared], side: str, most: int) -> pl.DataFrame:
    """i, h (hash of the content) of up to `most` records, chosen by their content."""
    frame = pl.DataFrame({p.name: getattr(p, side) for p in prepared})
    hashed = frame.select(h=pl.struct(frame.columns).hash(377)).with_row_index("i")
    return hashed.bottom_k(min(most, frame.height), by=["h", "i"]).select("i", "h")
