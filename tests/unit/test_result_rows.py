"""Reading rows of a table: the same as from the whole table in memory."""

from __future__ import annotations

import random

import polars as pl
import pytest

from services import result_rows
from services.errors import Invalid
from services.result_rows import rows_of, with_rows

SIDE = pl.Enum(["left", "right"])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """A table of 3,000 rows in many row groups with ties and missing values: its file, and the whole of it."""
    dice = random.Random(5)
    frame = pl.DataFrame(
        {
            "row": range(1, 3001),
            "side": pl.Series([dice.choice(("left", "right")) for _ in range(3000)], dtype=SIDE),
            "amount": pl.Series([dice.choice((None, *range(-9, 9))) for _ in range(3000)], dtype=pl.Decimal(10, 2)),
            "text": [dice.choice(("a", "b", None)) for _ in range(3000)],
        }
    )
    path = tmp_path_factory.mktemp("rows") / "t.parquet"
    frame.write_parquet(path, row_group_size=100)
    return pl.scan_parquet(path), frame


@pytest.mark.parametrize("near", [1, 50, 20_000])
@pytest.mark.parametrize("best", [0, 10_000])
@pytest.mark.parametrize("sort", [None, "amount", "-amount", "text", "-row"])
@pytest.mark.parametrize(
    "filters",
    [{}, {"side": "left"}, {"side": "nowhere"}, {"text": ["a", "c"]}, {"row": [7, "1234"]}, {"amount": None}],
    ids=str,
)
def test_a_page_is_that_of_the_whole_table(
    table: tuple[pl.LazyFrame, pl.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
    filters: dict[str, str],
    sort: str | None,
    best: int,
    near: int,
) -> None:
    """However it is read, the count and the rows are those of filtering, sorting and cutting the whole."""
    monkeypatch.setattr(result_rows, "_BEST", best)
    monkeypatch.setattr(result_rows, "_NEAR", near)
    scan, whole = table
    for name, value in filters.items():
        if value is not None:
            wanted = [str(one) for one in (value if isinstance(value, list) else [value])]
            whole = whole.filter(pl.Series([str(one) in wanted for one in whole[name]]))
    if sort:
        whole = whole.sort(sort.strip("-"), descending=sort[0] == "-", nulls_last=True, maintain_order=True)
    for offset in (0, 30, 1400, 2990, 5000):
        total, rows = rows_of(scan, filters, sort, offset, 20)
        assert total == whole.height
        assert rows.rows() == whole.slice(offset, 20).rows()
        assert rows.columns == whole.columns


@pytest.mark.parametrize("count", [0, 1, 30, 300])
def test_records_are_found_by_their_numbers(table: tuple[pl.LazyFrame, pl.DataFrame], count: int) -> None:
    """Those that are there, each once."""
    wanted = [*random.Random(count).sample(range(1, 3001), count), 9999]
    assert sorted(with_rows(table[0], wanted).collect()["row"]) == sorted(wanted[:-1])


def test_an_unknown_column_is_refused_with_those_there_are(table: tuple[pl.LazyFrame, pl.DataFrame]) -> None:
    """Only the table's own columns are named."""
    with pytest.raises(Invalid, match="are row, side, amount, text"):
        rows_of(table[0], {"colour": "red"}, None, 0, 5)
