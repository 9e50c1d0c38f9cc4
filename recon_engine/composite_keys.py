"""Several fields that name a record together, and by how many days those that agree in them lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from recon_engine.reading.table import TextTable
from recon_engine.rule_proposals import MappedField, Tables, joint_key, picked, sided_value, usual_lag

_TRIED, _ROWS = 12, 200_000
_HELPS, _WHOLE = 0.02, 0.98
# Of records that repeat, those nearest to each other belong together where nearly all lie in a short window.
_FEWEST_NEAR, _IN_WINDOW, _WIDEST = 20, 0.8, 15


def composite_key(
    left: TextTable, right: TextTable, fields: list[MappedField], rows: tuple[int, int]
) -> tuple[list[MappedField], float]:
    """The fields that together name single records of the smaller file, added until it helps no more, and the share of
    records that they name. One that helps little is tried again beside those chosen after it.
    """
    table, side = (left, "left") if rows[0] <= rows[1] else (right, "right")
    usable = [f for f in fields if f.pair.overlap > 0.05 and not f.pair.left.undecided and not f.pair.right.undecided]
    usable.sort(
        key=lambda f: (
            f.spec.type != "decimal",
            -f.pair.overlap * min(f.pair.left.distinct, f.pair.right.distinct),
        )
    )
    chosen: list[MappedField] = []
    share = 0.0
    waiting = usable[:_TRIED]
    while waiting and share <= _WHOLE:
        put_off = []
        for mapped in waiting:
            trial = [*chosen, mapped]
            key = joint_key(trial, side, 1)  # null where one of them is: such a record the rule cannot match
            reached = float(
                table.frame.head(_ROWS).select((key.is_unique() & key.is_not_null()).mean()).collect().item() or 0
            )
            if reached > share + _HELPS or not chosen:
                chosen, share = trial, reached
            else:
                put_off.append(mapped)
            if share > _WHOLE:
                break
        if len(put_off) == len(waiting):
            break
        waiting = put_off
    return chosen, share


def lag_of_nearest(tables: Tables, keys: Sequence[MappedField], date: MappedField, part: int) -> tuple[int, int] | None:
    """The window of days, right minus left, of records that share `keys`, which repeat, and are nearest to each other;
    None where these lie far apart, or are few.
    """
    one, two = (
        picked(t.frame, joint_key(keys, side, part), [sided_value(date, side).cast(pl.Date).alias("day")], part)
        .drop_nulls()
        .sort("day")
        .collect(engine="streaming")
        .with_row_index(side)
        for t, side in zip(tables, ("left", "right"), strict=True)
    )
    there = one.join_asof(two.with_columns(other="day"), on="day", by="key", strategy="nearest", check_sortedness=False)
    back = two.join_asof(one, on="day", by="key", strategy="nearest", check_sortedness=False).drop_nulls("left")
    mutual = there.drop_nulls("right").join(back.select("left", "right"), on=["left", "right"])
    days = (mutual["other"] - mutual["day"]).dt.total_days()
    lag = usual_lag(days)
    if lag is None or len(days) < _FEWEST_NEAR or lag[1] - lag[0] > _WIDEST:
        return None
    return lag if float(days.is_between(*lag).mean() or 0) >= _IN_WINDOW else None  # type: ignore[arg-type]
