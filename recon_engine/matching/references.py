"""Finds references inside free text, in either direction: whole words, words run together, or embedded in longer ones.

Both texts are folded to capital letters and digits; separators and leading zeros do not count. An inverted index of
the references' rarest characters in a row says which texts can hold them: nothing compares all with all.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from recon_engine.matching.text_parts import windows

SHORTEST_EMBEDDED = 4
"""A reference of fewer characters is found as a whole word only: inside a longer one it would be chance."""

WHOLE, EMBEDDED = 1.0, 0.8
_WINDOWS = (8, SHORTEST_EMBEDDED)  # long references are looked for by longer windows: fewer texts share them


def folded(text: pl.Expr) -> pl.Expr:
    """A reference as it is looked for: capital letters and digits, numbers without leading zeros; null when nothing
    is left.
    """
    plain = _without_zeros(text.str.to_uppercase()).str.replace_all(r"[^\p{L}\p{N}]", "")
    return pl.when(plain != "").then(plain)


def _spaced(text: pl.Expr) -> pl.Expr:
    """A text as words of capital letters and digits, numbers without leading zeros, single spaces between and
    around.
    """
    plain = _without_zeros(text.str.to_uppercase()).str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    return pl.concat_str(pl.lit(" "), plain, pl.lit(" "))


def _without_zeros(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"(^|[^0-9])0+([0-9])", "${1}${2}")


def found(pairs: pl.DataFrame, conditions: list[tuple[str, str]]) -> pl.Series:
    """How well one text of a pair holds the reference of the other: 1 as whole words, 0.8 embedded.

    `conditions`: (column of references, column of texts) for each direction; the better one counts. Null where no
    direction has both.
    """
    folds = {column: _of_distinct(pairs, column) for column in dict.fromkeys(c for way in conditions for c in way)}
    each = []
    for reference, text in conditions:
        wanted = folds[reference].select(w=pl.when(pl.col("r") != "").then("r"))
        frame = pl.concat([wanted, folds[text]], how="horizontal")
        words = pl.concat_str(pl.lit(" "), pl.col("w"), pl.lit(" "))
        whole = pl.col("s").str.contains(words, literal=True) | (pl.col("r") == pl.col("w"))
        embedded = pl.col("r").str.contains(pl.col("w"), literal=True)
        long = pl.col("w").str.len_chars() >= SHORTEST_EMBEDDED
        score = pl.when(whole).then(WHOLE).when(embedded & long).then(EMBEDDED).otherwise(0.0)
        known = pl.col("w").is_not_null() & pl.col("s").is_not_null()
        each.append(frame.select(pl.when(known).then(score)).to_series().alias(f"{reference} in {text}"))
    return pl.DataFrame(each).select(pl.max_horizontal(pl.all())).to_series()


def _of_distinct(pairs: pl.DataFrame, column: str) -> pl.DataFrame:
    """A column of texts as s: words with spaces between, and r: run together; worked out once for each record.

    Columns `l.*` and `r.*` are of the records whose positions are in `l` and `r`; where pairs have no positions, texts
    that repeat are worked out once.
    """
    texts, end = pairs.get_column(column), column.partition(".")[0]
    if end in pairs.columns and pairs.schema[end].is_integer():
        place = pairs.get_column(end).to_numpy()
        seen = np.zeros(int(place.max(initial=0)) + 1, dtype=np.uint32)
        rows = np.arange(len(place), dtype=np.uint32)
        seen[place] = rows
        shown = np.flatnonzero(seen[place] == rows)
        seen[place[shown]] = np.arange(len(shown), dtype=np.uint32)
        distinct, at = texts.gather(shown), pl.Series(seen[place])
    else:
        distinct = texts.drop_nulls().unique()
        if distinct.is_empty():
            distinct = pl.Series(texts.name, [""])
        at = texts.cast(pl.Enum(distinct)).to_physical()
    spaced = distinct.to_frame().select(s=_spaced(pl.first()))
    return spaced.with_columns(r=pl.col("s").str.replace_all(" ", "", literal=True))[at]


def candidate_texts(references: pl.Series, texts: pl.Series, most: int) -> tuple[pl.DataFrame, int]:
    """Pairs of positions (a: in `references`, b: in `texts`; String without nulls) where the text may hold the
    reference, and how many comparisons that means. Beyond `most` no pairs are made.
    """
    wanted = references.to_frame("w").with_row_index("a").with_columns(w=folded(pl.col("w"))).drop_nulls("w")
    spaced = texts.to_frame("t").with_row_index("b").with_columns(t=_spaced(pl.col("t")))
    words = spaced.select("b", w=pl.col("t").str.strip_chars().str.split(" ")).explode("w")
    run = spaced.select(i="b", t=pl.col("t").str.replace_all(" ", "", literal=True))
    whole = run.select(b="i", w="t")  # of several words, and yet too short to be looked for by windows
    pairs = [wanted.join(part, on="w").select("a", "b").unique() for part in (words, whole)]
    expected = pairs[0].height
    length, above = pl.col("w").str.len_chars(), None
    for window in _WINDOWS:
        looked_for = wanted.filter((length >= window) & (length < above if above else pl.lit(True)))
        above = window
        grams = _grams(looked_for.select(i="a", t="w"), window).unique()
        index = _grams(run, window).join(grams.select("g").unique(), on="g", how="semi").unique()
        counts = index.group_by("g").agg(pl.len().cast(pl.Int64).alias("n"))
        # A reference with a window that no text has is in none of them.
        rarest = (
            grams.join(counts, on="g", how="left")
            .with_columns(pl.col("n").fill_null(0))
            .sort("i", "n", "g")
            .unique("i", keep="first", maintain_order=True)
        )
        expected += int(rarest["n"].sum())
        if expected > most:
            return pl.DataFrame(schema={"a": pl.UInt32, "b": pl.UInt32}), expected
        pairs.append(rarest.join(index, on="g").select(a="i", b="i_right"))
    return pl.concat(pairs).unique(), expected


def _grams(texts: pl.DataFrame, size: int) -> pl.DataFrame:
    """Every window of characters of each text (i, t): i, g."""
    place, gram = windows(texts["t"], size)
    return pl.DataFrame({"i": texts["i"].gather(place), "g": gram})
