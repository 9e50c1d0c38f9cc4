"""A Parquet file that knows its types is read as the same values written as text would be."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import Plan, reconcile

AMOUNTS = [Decimal("1.50"), Decimal("-0.05"), None, Decimal("12345678901234567.25")]
DAYS = [date(2025, 1, 31), date(999, 1, 1), None, date(2025, 2, 1)]
COLUMNS: dict[str, tuple[Any, list[Any]]] = {
    "ref": (pl.String, ["A", "B", "C", "D"]),
    "amount": (pl.Decimal(20, 2), AMOUNTS),
    "day": (pl.Date, DAYS),
    "count": (pl.Int64, [1, -(10**18), 10**17, None]),
    "flag": (pl.Boolean, [True, False, None, True]),
}


def run(folder: Path, frame: pl.DataFrame, nulls: tuple[str, ...] = ()) -> Any:
    """Reconciles a file with itself."""
    folder.mkdir()
    frame.write_parquet(folder / "a.parquet")
    types = {"amount": "decimal", "day": "date", "count": "integer", "flag": "boolean"}
    side = {"files": ["a.parquet"], "nulls": list(nulls)}
    data = {
        "name": "t",
        "left": {"label": "L", **side},
        "right": {"label": "R", **side},
        "fields": [{"name": n, "left": n, "right": n, "type": types.get(n, "text")} for n in frame.columns],
        "rules": [{"name": "exact", "on": ["ref"]}],
        "compare": [n for n in frame.columns if n != "ref"],
    }
    data["fields"][1]["scale"] = 2  # type: ignore[index]
    return reconcile(Plan.build(data, base=folder), out=folder / "out")


@pytest.mark.parametrize("nulls", [(), ("2025-02-01",)])
def test_own_values_say_the_same_as_their_text(tmp_path: Path, nulls: tuple[str, ...]) -> None:
    """Records, rejected rows with their reasons, and how columns were read."""
    typed = pl.DataFrame({n: pl.Series(values, dtype=kind) for n, (kind, values) in COLUMNS.items()})
    written = typed.with_columns(pl.col("amount", "count").cast(pl.String), pl.col("day").dt.to_string("iso"),
                                 pl.col("flag").cast(pl.String))  # fmt: skip
    a, b = run(tmp_path / "typed", typed, nulls), run(tmp_path / "text", written, nulls)
    for name in ("left", "right", "rejected", "matches", "differences"):
        there, here = (pl.read_parquet(one.path / f"{name}.parquet") for one in (a, b))
        assert there.equals(here), name
    assert pl.read_parquet(a.path / "rejected.parquet").height == 2 * 2
    assert a.summary["rows"] == b.summary["rows"]


def test_more_decimals_than_the_scale_are_rejected_not_rounded(tmp_path: Path) -> None:
    """Money is exact, also where the file says it is a decimal."""
    frame = pl.DataFrame({"ref": ["A", "B"], "amount": pl.Series([Decimal("1.005"), Decimal("2.500")])})
    result = run(tmp_path / "x", frame)
    assert result.summary["rows"]["left"]["rejected"] == 1
    assert pl.read_parquet(result.path / "rejected.parquet")["raw"].to_list() == ["1.005", "1.005"]
