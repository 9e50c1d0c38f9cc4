"""Model numbers that long texts mention: records that share one are likely the same thing, whatever else they say."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray


def mentioned(values: pl.Series) -> pl.DataFrame:
    """i, code: the words of four and more characters with letters and digits, without punctuation; long numbers too."""
    frame = values.cast(pl.String).alias("code").to_frame().with_row_index("i").drop_nulls()
    code = pl.col("code")
    return (
        frame.select("i", code.str.to_lowercase().str.extract_all(r"[\p{L}\p{N}][\p{L}\p{N}\-./]*"))
        .explode("code")
        .select("i", code.str.replace_all(r"[\-./]", ""))
        .filter(
            code.str.contains(r"\p{N}")
            & (code.str.len_chars() >= pl.when(code.str.contains(r"\p{L}")).then(4).otherwise(5))
            & ~code.str.contains(r"^\p{N}+\p{L}{1,3}$")
        )
        .unique()
    )


def shortened(codes: pl.DataFrame) -> pl.DataFrame:
    """The codes, and each without its last one and two characters: variants of one model differ at the end."""
    code = pl.col("code")
    cut = [codes.select("i", code.str.head(-k)).filter(code.str.len_chars() >= 5) for k in (1, 2)]
    return pl.concat([codes, *cut]).unique()


def sharing(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """The pairs (l, r) that have a code in common."""
    return left.join(right, on="code").select(l="i", r="i_right").unique()


def code_status(codes: tuple[pl.DataFrame, pl.DataFrame], pairs: pl.DataFrame) -> NDArray[np.int64]:
    """0: a side mentions no model number, 1: others, 2: similar ones, 3: the same."""
    alike = (shortened(codes[0]), shortened(codes[1]))
    statuses = [sharing(*variants).with_columns(hit=pl.lit(1)) for variants in (codes, alike)]
    has = [c.select("i").unique().with_columns(has=pl.lit(1)) for c in codes]
    found = (
        pairs.join(has[0], left_on="l", right_on="i", how="left", maintain_order="left")
        .join(has[1], left_on="r", right_on="i", how="left", maintain_order="left", suffix="_r")
        .join(statuses[0], on=["l", "r"], how="left", maintain_order="left")
        .join(statuses[1], on=["l", "r"], how="left", maintain_order="left", suffix="_like")
    )
    status = (
        pl.when(pl.col("hit") == 1)
        .then(3)
        .when(pl.col("hit_like") == 1)
        .then(2)
        .when((pl.col("has") == 1) & (pl.col("has_r") == 1))
        .then(1)
        .otherwise(0)
    )
    return found.select(status.cast(pl.Int64)).to_series().to_numpy()
