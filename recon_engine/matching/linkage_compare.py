"""How two records are compared: one comparison per field, chosen from its type and profile, giving ordered levels.

A comparison turns a pair's two values into a level: 0 says they differ, higher says they agree more, the highest of a
method says they are equal. `MISSING` where either side has no value. What a level is worth is learnt, not set here.

| method | for | levels between "differ" and "equal" |
|---|---|---|
| name | short texts | Jaro-Winkler at least .8, .88, .94; one contains the other's words; the value of another field |
| code | codes, numbers written as text | share a beginning, two edits, one edit |
| tfidf | longer texts | cosine of rarity-weighted words and trigrams in tenths, with and without a shared model number |
| exact | anything | none |
| date, datetime | days, moments | same year, a month, a week, one digit or day and month swapped; an hour, a day |
| number | amounts | relative difference up to 20 %, 5 %, 1 %, one digit |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Kind = Literal["text", "number", "date", "datetime", "boolean"]
Levels = NDArray[np.uint8]
METHODS = ("name", "code", "tfidf", "exact", "date", "datetime", "number")
MISSING = 255
# Pairs are compared in slices, so that memory stays flat.
SLICE = 1_000_000
_JARO_WINKLER = (0.80, 0.88, 0.94)
_RELATIVE = (0.20, 0.05, 0.01)
_COSINE = tuple(round(0.1 * step, 1) for step in range(1, 10))


@dataclass(frozen=True)
class LinkField:
    """A field to compare: `method` None is chosen from the data."""

    name: str
    kind: Kind
    method: str | None = None


@dataclass
class Prepared:
    """A field of both tables, ready to compare."""

    name: str
    method: str
    left: pl.Series
    right: pl.Series
    labels: tuple[str, ...]
    vectors: tuple[csr_array, csr_array] | None = None
    codes: tuple[pl.Series, pl.Series] | None = None
    other: Prepared | None = field(default=None, repr=False)

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return len(self.labels)

    @property
    def equal(self) -> int:
        """The level of equal values."""
        return self.levels - 1


def prepare(left: pl.DataFrame, right: pl.DataFrame, fields: Sequence[LinkField]) -> list[Prepared]:
    """Normalise each field's values and choose its method."""
    prepared = []
    for spec in fields:
        sides = [_normal(frame[spec.name], spec.kind) for frame in (left, right)]
        method = spec.method or _choose(spec.kind, sides)
        if method == "code":
            sides = [s.str.replace_all(" ", "", literal=True) for s in sides]
        if method in ("name", "code", "tfidf") and spec.kind != "text":
            sides = [s.cast(pl.String) for s in sides]
        item = Prepared(spec.name, method, *sides, labels=_labels(method))
        if method == "tfidf":
            item.vectors = _vectors(*sides)
            item.codes = tuple(model_codes(frame[spec.name]) for frame in (left, right))
        prepared.append(item)
    _partners(prepared)
    return prepared


def compare(item: Prepared, l: pl.Series, r: pl.Series) -> Levels:
    """The level of every pair (positions l[k], r[k])."""
    parts = [
        _compare_slice(item, l.slice(start, SLICE), r.slice(start, SLICE)) for start in range(0, max(len(l), 1), SLICE)
    ]
    return np.concatenate(parts)


def _normal(values: pl.Series, kind: Kind) -> pl.Series:
    """Text without case, accents and punctuation; other kinds as they are. Nothing left is missing."""
    if kind != "text":
        return values
    text = (
        pl.col("v")
        .str.to_lowercase()
        .str.normalize("NFKD")
        .str.replace_all(r"[\p{M}'’`]", "")
        .str.replace_all(r"[^\p{L}\p{N}]+", " ")
        .str.strip_chars()
    )
    return values.alias("v").to_frame().select(pl.when(text.str.len_bytes() > 0).then(text)).to_series()


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
            *(f"Jaro-Winkler ≥ {cut:.2f}" for cut in _JARO_WINKLER),
            "words contained",
            "value of another field",
            "equal",
        )
    if method == "code":
        return ("differ", "same beginning", "two edits", "one edit", "equal")
    if method == "tfidf":
        cosines = ("cosine < 0.1", *(f"cosine ≥ {cut:.1f}" for cut in _COSINE))
        said = ("", ", other model numbers", ", a common model number")
        return (*(c + s for s in said for c in cosines), "equal")
    if method == "date":
        return ("differ", "same year", "within a month", "within a week", "one digit or day and month swapped", "equal")
    if method == "datetime":
        return ("differ", "within a day", "within an hour", "equal")
    if method == "number":
        return ("differ", *(f"within {cut:.0%}" for cut in _RELATIVE), "one digit", "equal")
    return ("differ", "equal")


def _partners(prepared: list[Prepared]) -> None:
    """Fields that hold each other's kind of values (given name and surname): swapped values are looked for."""
    names = [p for p in prepared if p.method == "name"]
    for a in names:
        best = 0.05
        for b in names:
            if a is not b and (share := _overlap(a, b)) > best:
                best, a.other = share, b


def _overlap(a: Prepared, b: Prepared) -> float:
    """The share of values that two fields' distributions have in common."""
    first, second = (
        pl.concat([p.left.alias("v"), p.right.alias("v")]).drop_nulls().value_counts(normalize=True, name="share")
        for p in (a, b)
    )
    both = first.join(second, on="v", suffix="2").select(pl.min_horizontal("share", "share2").sum())
    return float(both.item() or 0.0)


def model_codes(values: pl.Series) -> pl.Series:
    """The model numbers in each text: words of four and more characters with a digit, without punctuation."""
    words = (
        values.alias("v")
        .to_frame()
        .select(
            pl.col("v")
            .str.to_lowercase()
            .str.extract_all(r"[\p{L}\p{N}][\p{L}\p{N}\-./]*")
            .list.eval(pl.element().str.replace_all(r"[\-./]", ""))
            .list.eval(pl.element().filter(_is_code(pl.element())))
            .list.unique()
            .list.sort()
        )
        .to_series()
    )
    return words


def _is_code(word: pl.Expr) -> pl.Expr:
    return (
        word.str.contains(r"\p{N}")
        & (word.str.len_chars() >= 4)
        & (word.str.contains(r"\p{L}") | (word.str.len_chars() >= 5))
    )


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


def _compare_slice(item: Prepared, l: pl.Series, r: pl.Series) -> Levels:
    pairs = pl.DataFrame({"a": item.left.gather(l), "b": item.right.gather(r)})
    if item.method == "tfidf":
        level = _tfidf_levels(item, pairs, l.to_numpy(), r.to_numpy())
    else:
        rule = {
            "name": _name,
            "code": _code,
            "date": _date,
            "datetime": _datetime,
            "number": _number,
            "exact": lambda: pl.when(_A == _B).then(1).otherwise(0),
        }[item.method]()
        if item.method == "name" and item.other is not None:
            crossed = {"a2": item.other.left.gather(l), "b2": item.other.right.gather(r)}
            pairs = pairs.with_columns(**crossed)
            rule = pl.when((_A != _B) & ((_A == pl.col("b2")) | (_B == pl.col("a2")))).then(5).otherwise(rule)
        level = pairs.select(rule.cast(pl.UInt8)).to_series().to_numpy()
    missing = pairs.select(_A.is_null() | _B.is_null()).to_series().to_numpy()
    return np.where(missing, MISSING, level).astype(np.uint8)


_A, _B = pl.col("a"), pl.col("b")


def _name() -> pl.Expr:
    from polars_ds import str_jw

    closeness = str_jw("a", "b", parallel=True)
    short, long = _A.str.split(" "), _B.str.split(" ")
    fewest = pl.min_horizontal(short.list.len(), long.list.len())
    contained = (short.list.set_intersection(long).list.len() >= fewest) & (
        pl.min_horizontal(_A.str.len_chars(), _B.str.len_chars()) >= 4
    )
    several = _A.str.contains(" ", literal=True) | _B.str.contains(" ", literal=True)
    level = pl.sum_horizontal([(closeness >= cut).cast(pl.UInt8) for cut in _JARO_WINKLER])
    return pl.when(_A == _B).then(6).when(several & contained).then(4).otherwise(level)


def _code() -> pl.Expr:
    from polars_ds import str_osa

    edits = str_osa("a", "b", parallel=True)
    longest = pl.max_horizontal(_A.str.len_chars(), _B.str.len_chars())
    begins = (_A.str.starts_with(_B) | _B.str.starts_with(_A)) & (
        pl.min_horizontal(_A.str.len_chars(), _B.str.len_chars()) >= 3
    )
    return (
        pl.when(_A == _B)
        .then(4)
        .when(edits == 1)
        .then(3)
        .when((edits == 2) & (longest >= 4))
        .then(2)
        .when(begins)
        .then(1)
        .otherwise(0)
    )


def _date() -> pl.Expr:
    from polars_ds import str_osa

    a, b = _A.cast(pl.Date), _B.cast(pl.Date)
    written = pl.struct(x=a.dt.strftime("%Y%m%d"), y=b.dt.strftime("%Y%m%d"))
    edits = str_osa(written.struct.field("x"), written.struct.field("y"), parallel=True)
    swapped = (a.dt.year() == b.dt.year()) & (a.dt.month() == b.dt.day()) & (a.dt.day() == b.dt.month())
    days = (_A.cast(pl.Int64) - _B.cast(pl.Int64)).abs()
    return (
        pl.when(_A == _B)
        .then(5)
        .when((edits == 1) | swapped)
        .then(4)
        .when(days <= 7)
        .then(3)
        .when(days <= 31)
        .then(2)
        .when(a.dt.year() == b.dt.year())
        .then(1)
        .otherwise(0)
    )


def _datetime() -> pl.Expr:
    apart = (_A - _B).abs()
    return (
        pl.when(_A == _B)
        .then(3)
        .when(apart <= 3_600_000_000)
        .then(2)
        .when(apart <= 86_400_000_000)
        .then(1)
        .otherwise(0)
    )


def _number() -> pl.Expr:
    from polars_ds import str_osa

    apart = (_A.cast(pl.Float64) - _B.cast(pl.Float64)).abs()
    size = pl.max_horizontal(_A.abs(), _B.abs()).cast(pl.Float64)
    written = pl.struct(x=_A.cast(pl.String), y=_B.cast(pl.String))
    digit = str_osa(written.struct.field("x"), written.struct.field("y"), parallel=True) == 1
    level = pl.sum_horizontal([(apart <= size * cut).cast(pl.UInt8) for cut in _RELATIVE])
    return pl.when(_A == _B).then(5).when(digit).then(4).otherwise(level)


def _tfidf_levels(item: Prepared, pairs: pl.DataFrame, l: NDArray[np.uint32], r: NDArray[np.uint32]) -> Levels:
    assert item.vectors is not None
    assert item.codes is not None
    a, b = item.vectors
    chunks = [
        np.asarray(a[l[s : s + 100_000]].multiply(b[r[s : s + 100_000]]).sum(axis=1)).ravel()
        for s in range(0, len(l), 100_000)
    ]
    cosine = np.concatenate(chunks) if chunks else np.zeros(0)
    step = np.searchsorted(np.array(_COSINE), cosine + 1e-6, side="right")
    codes = pl.DataFrame({"x": item.codes[0].gather(l), "y": item.codes[1].gather(r)})
    both = (pl.col("x").list.len() > 0) & (pl.col("y").list.len() > 0)
    common = pl.col("x").list.set_intersection("y").list.len() > 0
    said = (
        codes.select(pl.when(both & common).then(2).when(both).then(1).otherwise(0).fill_null(0)).to_series().to_numpy()
    )
    equal = pairs.select((_A == _B).fill_null(False)).to_series().to_numpy()
    return np.where(equal, item.equal, said * (len(_COSINE) + 1) + step).astype(np.uint8)
