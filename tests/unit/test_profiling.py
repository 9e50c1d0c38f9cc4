"""Profiles: types, what decides them, and what stays undecided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recon_engine.plan import ReaderOptions
from recon_engine.profiling import ColumnProfile, Profile, profile
from recon_engine.reading import open_table


def profiled(folder: Path, values: list[str], header: str = "v", **options: object) -> ColumnProfile:
    """The profile of one column with these values."""
    path = folder / "t.csv"
    path.write_text(f"n|{header}\n" + "".join(f"{i}|{v}\n" for i, v in enumerate(values)), encoding="utf-8")
    return profile(open_table(path), ReaderOptions.model_validate(options)).columns[1]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-22"], "integer"),
        (["1.5", "2"], "decimal"),
        (["00123", "12"], "text"),
        (["2024-01-31", "2024-02-01"], "date"),
        (["2024-01-31T10:00:00Z"], "datetime"),
        (["03/13/2025 06:33:24 PM", "03/01/2025 01:00:00 AM"], "datetime"),
        (["05JAN25", "28FEB25"], "date"),
        (["A05JAN25", "28FEB25"], "text"),
        (["yes", "no"], "boolean"),
        (["a", "1"], "text"),
        (["1234567890123456789012"], "text"),
    ],
)
def test_types_come_from_the_values(tmp_path: Path, values: list[str], kind: str) -> None:
    """Every value must fit the type; codes with leading zeros stay text."""
    assert profiled(tmp_path, values).type == kind


def test_why_digits_stay_text(tmp_path: Path) -> None:
    """Leading zeros, too many of them, or other digits than 0 to 9: the reason that is told is the one there is."""
    for value, told in (("007", "leading zeros"), ("9" * 19, "more than 18 digits"), ("٦١٩٥٠٣", "other digits than 0")):
        (reason,) = profiled(tmp_path, [value] * 3).reasons
        assert told in reason


def test_an_ambiguous_date_is_undecided_until_one_value_proves_it(tmp_path: Path) -> None:
    """01/02 can be read both ways: both formats are listed; 31/01 decides, and its row is the proof."""
    unsure = profiled(tmp_path, ["01/02/2024", "03/04/2024"])
    assert unsure.undecided
    assert unsure.date_formats == ("%d/%m/%Y", "%m/%d/%Y")
    sure = profiled(tmp_path, ["01/02/2024", "31/01/2024"])
    assert not sure.undecided
    assert (sure.date_formats, sure.proof) == (("%d/%m/%Y",), (2,))


@pytest.mark.parametrize(
    ("value", "told"),
    [("25/02/2024", "day first"), ("02/25/2024", "month first"), ("970825", "year, month, day")],
)
def test_the_proof_of_a_date_says_the_order_of_its_parts(tmp_path: Path, value: str, told: str) -> None:
    """Six digits without marks begin with the year: they are told neither day first nor month first."""
    assert profiled(tmp_path, [value] * 3, "date").reasons[0].endswith(f": dates are {told}")


@pytest.mark.parametrize(
    ("values", "marks", "undecided"),
    [
        (["1,50", "2,5"], (",",), False),
        (["1,234.50"], (".",), False),
        (["1.234,50"], (",",), False),
        (["1,234", "5,678"], (",", "."), True),
        (["1.234"], (".", ","), True),
        (["0.125", "1.500"], (".",), False),
    ],
)
def test_decimal_marks(tmp_path: Path, values: list[str], marks: tuple[str, ...], undecided: bool) -> None:
    """The decimal mark is decided by the values, or both are listed."""
    column = profiled(tmp_path, values)
    assert (column.decimal_marks, column.undecided) == (marks, undecided)


def test_a_given_mark_decides(tmp_path: Path) -> None:
    """The reader options settle what the data cannot."""
    assert not profiled(tmp_path, ["1,234"], decimal=",").undecided


def test_a_value_beyond_the_sample_still_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that the sample missed changes the type, and a lone one is told as unreadable."""
    monkeypatch.setattr("recon_engine.profiling.SAMPLE_ROWS", 10)
    values = ["1"] * 100
    values[37] = "2.5"
    assert profiled(tmp_path, values).type == "decimal"
    values[37] = "oops"
    column = profiled(tmp_path, values)
    assert (column.type, column.unreadable, column.unreadable_samples) == ("integer", 1, ("oops",))


def test_counts_ranges_and_top_values(tmp_path: Path) -> None:
    """Nulls, distinct values, range by type and the most frequent values."""
    column = profiled(tmp_path, ["10.5", "9.25", "9.25", ""])
    assert (column.nulls, column.distinct, column.unique, column.scale) == (1, 2, False, 2)
    assert (column.minimum, column.maximum) == ("9.25", "10.5")
    assert column.top[0] == ("9.25", 2)


def test_a_profile_is_json_and_text(tmp_path: Path) -> None:
    """The same facts for machines and for people; rejected rows are counted."""
    path = tmp_path / "t.csv"
    path.write_text("ref,day\nA1,01/02/2024\nA2\n")
    found: Profile = profile(open_table(path))
    assert json.loads(json.dumps(found.as_dict()))["rejected"] == 1
    text = found.text()
    assert "t.csv: 2 rows, 2 columns, 1 rejected" in text
    assert "UNDECIDED" in text
    assert "row 2, line 3" in text
