"""What one match adds up to, and the evidence of its first pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl


def sums_of(left: pl.DataFrame, right: pl.DataFrame) -> dict[str, dict[str, Decimal]]:
    """Per decimal field the exact sum of each side, and right minus left."""
    told = {}
    for name, kind in left.schema.items():
        if isinstance(kind, pl.Decimal):
            own, other = (sum((v for v in frame[name] if v is not None), Decimal(0)) for frame in (left, right))
            told[name] = {"left": own, "right": other, "difference": other - own}
    return told


def first_pair(weights: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """The bits by field of the first pair of a linked match."""
    if not weights:
        return None
    first = min((line["left_row"], line["right_row"]) for line in weights)
    return {line["field"]: line["bits"] for line in weights if (line["left_row"], line["right_row"]) == first}
