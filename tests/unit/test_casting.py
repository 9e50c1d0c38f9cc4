"""Text becomes typed values: what is read, what is refused, and what is asked for."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from recon_engine import UndecidedError
from recon_engine.plan import FieldSpec, ReaderOptions
from recon_engine.reading.casting import cast_for, decimals_written


def read(values: list[str | None], kind: str, options: dict[str, Any] | None = None, **spec: Any) -> list[str | None]:
    """The values as the field's type, shown as text."""
    field = FieldSpec(name="f", left="c", right="c", type=kind, **spec)  # type: ignore[arg-type]
    frame = pl.DataFrame({"c": values}, schema={"c": pl.String}).lazy()
    cast = cast_for(field, "left", ReaderOptions(**(options or {})), frame, "file.csv")
    return frame.select(cast.value.cast(pl.String)).collect().to_series().to_list()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            ["1", "-2.5", "+3.10", " 4.00 ", ".5", "5.", "6.7000"],
            ["1.00", "-2.50", "3.10", "4.00", "0.50", "5.00", "6.70"],
        ),
        (["1.005", "x", "1e3", "NaN", "0x1", "1 2", "--1", "٣"], [None] * 8),
        (["9999999999999999.99", "10000000000000000.00"], ["9999999999999999.99", None]),
        (["1,234.50", "2"], ["1234.50", "2.00"]),
        (["1.234,50", "2", "3,5"], ["1234.50", "2.00", "3.50"]),
        (["1,234,567", "1,23"], [None, None]),
        (["3,5", "1.5"], ["3.50", None]),
    ],
)
def test_decimals_are_exact_or_refused(values: list[str], expected: list[str | None]) -> None:
    """Marks are decided by the data; nothing is rounded, nothing is read in two ways."""
    assert read(values, "decimal") == expected


def test_a_number_that_can_be_read_two_ways_is_asked_for() -> None:
    """1,234 alone is a thousand or one and a bit: the plan must say."""
    with pytest.raises(UndecidedError, match=r"left\.thousands"):
        read(["1,234", "5"], "decimal")
    assert read(["1,234", "5"], "decimal", {"thousands": ","}) == ["1234.00", "5.00"]
    assert read(["1,234", "5"], "decimal", {"decimal": ","}, scale=3) == ["1.234", "5.000"]


def test_the_scale_is_what_was_written() -> None:
    """Zeros at the end do not count, decimals do."""
    frame = pl.DataFrame({"c": ["1.2300", "1,234.5678", None]}).lazy()
    assert decimals_written(frame, "c", ReaderOptions()) == 4


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2026-01-31", "2026-02-30"], ["2026-01-31", None]),
        (["31/01/2026", "01/02/2026"], ["2026-01-31", "2026-02-01"]),
        (["01/31/2026", "01/02/2026"], ["2026-01-31", "2026-01-02"]),
        (["970808", "980131"], ["1997-08-08", "1998-01-31"]),
        (["2026-02-03T09:39:00Z", "2026-02-03T23:00:00-05:00"], ["2026-02-03", "2026-02-03"]),
        (["05/05/2026"], ["2026-05-05"]),
    ],
)
def test_date_order_is_decided_by_the_values(values: list[str], expected: list[str | None]) -> None:
    """One value that fits one order only decides for all; 30 February is refused."""
    assert read(values, "date") == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["03/12/2025 06:33:24 PM", "03/13/2025 12:01:00 AM"], ["2025-03-12 18:33:24", "2025-03-13 00:01:00"]),
        (["3/12/2025 6:33 pm", "13/2/2025 12:05 AM"], ["2025-12-03 18:33:00", "2025-02-13 00:05:00"]),
        (["2025/03/12 06:33"], ["2025-03-12 06:33:00"]),
        (["2025/03/12 16:33:24"], ["2025-03-12 16:33:24"]),
        (["12-03-2025 06.33.11"], ["2025-03-12 06:33:11"]),
        (["12-13-2025 06:33"], ["2025-12-13 06:33:00"]),
        (["12.03.2025 06:33"], ["2025-03-12 06:33:00"]),
        (["05 Jan 2025 10:11:12"], ["2025-01-05 10:11:12"]),
        (["05JAN25", "5Feb25"], ["2025-01-05 00:00:00", "2025-02-05 00:00:00"]),
        (["05JAN2025"], ["2025-01-05 00:00:00"]),
        (["05/Jan/2025"], ["2025-01-05 00:00:00"]),
        (["Mon, 06 Jan 2025", "Tue, 06 Jan 2025"], ["2025-01-06 00:00:00", None]),
        (["2025年2月26日", "2025年12月06日"], ["2025-02-26 00:00:00", "2025-12-06 00:00:00"]),
    ],
)
def test_moments_as_programs_write_them(values: list[str], expected: list[str | None]) -> None:
    """Half days, months by name, years before and after: known without a format in the plan."""
    told = [t and t.removesuffix(".000000") for t in read([*values], "datetime")]
    assert told == expected
    assert read([*values], "date") == [t and t[:10] for t in expected]


def test_half_days_do_not_decide_the_order_of_day_and_month() -> None:
    """03/12 at 6 PM is asked for as 03/12 is; between dashes, too."""
    for undecided in (["03/12/2025 06:33 PM"], ["03/12/2025 06:33:24 PM"], ["03-12-2025 06:33"]):
        with pytest.raises(UndecidedError, match="no value decides"):
            read([*undecided], "datetime")


def test_a_date_order_that_no_value_decides_is_asked_for() -> None:
    """01/02 and 03/04 can both be read day first and month first."""
    with pytest.raises(UndecidedError, match="no value decides"):
        read(["01/02/2026", "03/04/2026"], "date")


def test_moments_written_in_several_ways_of_one_norm_are_read() -> None:
    """With and without offset, seconds, fraction or time; offsets turned to UTC, a time without one as it stands."""
    written = [
        "2026-01-31T23:30:00Z",
        "2026-01-31 23:30",
        "2026-01-31T23:30:15.25-0530",
        "2026-01-31",
        "2026-01-32",
        "x",
    ]
    told = [
        "2026-01-31 23:30:00",
        "2026-01-31 23:30:00",
        "2026-02-01 05:00:15.250000",
        "2026-01-31 00:00:00",
        None,
        None,
    ]
    assert [t and t.removesuffix(".000000") for t in read([*written], "datetime")] == told
    assert read([*written], "date") == ["2026-01-31"] * 4 + [None] * 2, "the day is the one that is written"
    assert read(["31/01/2026"], "date", formats={"left": "ISO 8601"}) == [None]


def test_integers_and_yes_no() -> None:
    """Whole numbers and the usual words; the rest is refused."""
    assert read(["12", "5.0", "5.5", "x"], "integer") == ["12", "5", None, None]
    most = "9" * 18
    assert read([most, f"-{most}", f"+{most}"], "integer") == [most, f"-{most}", most]
    assert read(["1" + "0" * 18, f"-{most}0", "9" * 19], "integer") == [None] * 3, "at most 18 digits, as refusals say"
    assert read(["Yes", "n", "TRUE", "0", "maybe"], "boolean") == ["true", "false", "true", "false", None]
