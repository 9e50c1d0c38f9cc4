"""Input that is unusual and plausible: what people have lost, missed or could not read through it before."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import InputError, Plan, PlanError, Result, reconcile, verify
from recon_engine.__main__ import main
from recon_engine.matching import candidates
from recon_engine.profiling import profile
from recon_engine.reading import open_table
from recon_engine.suggest import suggest
from services.result_workbook import xlsx_file

AMOUNT = {"name": "amt", "left": "amt", "right": "amt", "type": "decimal", "scale": 2}
FIELDS = [{"name": "ref", "left": "ref", "right": "ref"}, AMOUNT]


def plan(*rules: dict[str, Any], fields: list[dict[str, Any]] = FIELDS, **more: Any) -> Plan:
    """A plan of two sides with these rules."""
    sides = {"left": {"label": "L"}, "right": {"label": "R"}}
    return Plan.build({"name": "p", **sides, "fields": fields, "rules": list(rules), **more})


def written(folder: Path, **files: str) -> dict[str, Path]:
    """Files of these texts, by name."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.csv" for name in files}


def holds(result: Result) -> bool:
    """Whether nothing in the result fails when it is checked again."""
    return not [check for check in verify(result.path) if check.holds is False]


def test_an_output_directory_with_files_of_people_is_left_alone(tmp_path: Path) -> None:
    """A second run replaces the first; where an auditor has put copies there, it says so and touches nothing."""
    files = written(tmp_path, a="ref,amt\nA,1\n", b="ref,amt\nA,1\n")
    made = plan({"name": "r", "on": ["ref"]}).with_files(left=[files["a"]], right=[files["b"]])
    (tmp_path / "plan.yaml").write_text(made.to_yaml())
    arguments = ["run", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "out")]
    assert main(arguments) == main(arguments) == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert main(arguments) == 2
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.glob("*.partial-*"))


@pytest.mark.parametrize("target", ["plan", "result"])
def test_a_place_where_nothing_can_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    """One sentence and exit 2, for a suggested plan and for a result."""
    files = written(tmp_path, a="ref,amt\nA,1\nB,2\n", b="ref,amt\nA,1\nB,2\n")
    nowhere = files["a"] / "below" / "x"
    if target == "plan":
        assert main(["suggest", str(files["a"]), str(files["b"]), "-o", str(nowhere)]) == 2
    else:
        made = plan({"name": "r", "on": ["ref"]}).with_files(left=[files["a"]], right=[files["b"]])
        (tmp_path / "plan.yaml").write_text(made.to_yaml())
        assert main(["run", str(tmp_path / "plan.yaml"), "--out", str(nowhere)]) == 2
    assert str(nowhere) in capsys.readouterr().err


@pytest.mark.parametrize("names", ["番号,金額", "Номер,Сумма", "Αριθμός,Ποσό"])
def test_columns_with_names_in_any_script_are_mapped(tmp_path: Path, names: str) -> None:
    """Every amount differs: the columns are the same by name, and the differences are told."""
    one, two = (names + "\n" + "".join(f"N{i * 37},{i * 7 + off}.50\n" for i in range(40)) for off in (0, 500))
    files = written(tmp_path, one=one, two=two)
    found = suggest(files["one"], files["two"])
    assert {(f.left, f.right) for f in found.plan.fields} == {(name, name) for name in names.split(",")}
    assert reconcile(found.plan).summary["differences"]


@pytest.mark.parametrize("name", ["*", "^x$"])
def test_a_column_name_that_means_many_is_refused(tmp_path: Path, name: str) -> None:
    """What polars would take for all columns, or for a pattern of names."""
    with pytest.raises(InputError, match="stands for other columns"):
        open_table(written(tmp_path, a=f"ref,{name}\nA,1\n")["a"])


def test_digits_of_other_scripts_are_not_taken_for_numbers(tmp_path: Path) -> None:
    """They are text, and compared as such; no row is rejected."""
    text = "ref,amt\n" + "".join(f"R{i},１{i % 10}\n" for i in range(30)).translate(
        {ord(str(d)): chr(0xFF10 + d) for d in range(10)}
    )
    files = written(tmp_path, one=text, two=text)
    assert {c.name: c.type for c in profile(open_table(files["one"])).columns}["amt"] == "text"
    result = reconcile(suggest(files["one"], files["two"]).plan)
    assert pl.read_parquet(result.path / "rejected.parquet").is_empty()


def test_a_netting_rule_with_another_opposite_condition_holds() -> None:
    """Verify looks at the amount that is netted, not at the first field with another sign."""
    fields = [FIELDS[0], {**AMOUNT, "name": "fee", "left": "fee", "right": "fee"}, AMOUNT]
    on = ["ref", {"field": "fee", "sign": "opposite"}, {"field": "amt", "total": True}]
    rule = {"name": "reversals", "net": "left", "on": on}
    left = pl.DataFrame({"ref": ["A", "A"], "fee": ["0.00", "0.00"], "amt": ["100", "-100"]})
    result = reconcile(plan(rule, fields=fields), left=left, right=left.clear())
    assert result.summary["rules"][0]["matches"] == 1
    assert holds(result)


def test_the_nearest_record_names_its_file(tmp_path: Path) -> None:
    """Both files of the right side have a first row; the second one's is meant."""
    files = written(tmp_path, left="ref,amt\nB,10\n", one="ref,amt\nA,1\n", two="ref,amt\nB,50\n")
    made = plan({"name": "r", "on": ["ref", "amt"]})
    result = reconcile(made.with_files(left=[files["left"]], right=[files["one"], files["two"]]))
    near = result.breaks().filter(pl.col("side") == "left").collect().row(0, named=True)
    assert (near["nearest_row"], near["nearest_source"]) == (1, "two.csv")


def test_the_order_of_conditions_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups too large to search are divided by every window, whichever stands first."""
    monkeypatch.setattr(candidates, "LARGEST_GROUP", 400)
    fields = [*FIELDS, {"name": "day", "left": "day", "right": "day", "type": "date"}]
    rows = {"ref": ["X"] * 90, "amt": [f"{i}.00" for i in range(90)], "day": ["2026-01-01"] * 90}
    close, wide = {"field": "amt", "within": "0.05"}, {"field": "day", "days": 400}
    near, share = {"field": "amt", "percent": "0.001"}, {"field": "amt", "percent": "0.001", "cap": 20_000}
    for windows in ([close, wide], [wide, close], [near, wide], [wide, near], [share], [share, wide]):
        made = plan({"name": "r", "on": ["ref", *windows]}, fields=fields)
        result = reconcile(made, left=pl.DataFrame(rows), right=pl.DataFrame(rows))
        assert result.summary["rules"][0]["matches"] == 90, windows


def test_a_percentage_too_fine_to_count_exactly_is_refused() -> None:
    """Beyond six digits, products of amounts would not fit."""
    with pytest.raises(PlanError, match="at most 6 digits"):
        plan({"name": "r", "on": ["ref", {"field": "amt", "percent": "33.33333333333333333"}]})


def test_large_products_do_not_wrap_round() -> None:
    """Far apart they stay far apart, whatever the factor."""
    fields = [{"name": "n", "left": "n", "right": "n", "type": "integer", "clean": [{"times": 10}]}]
    left, right = (pl.DataFrame({"n": [f"{sign}922337203685477580"]}) for sign in ("", "-"))
    result = reconcile(plan({"name": "r", "on": [{"field": "n", "within": 20}]}, fields=fields), left=left, right=right)
    assert result.summary["rules"][0]["matches"] == 0


def test_durations_of_parquet_files_are_text(tmp_path: Path) -> None:
    """A column that nobody maps must not keep a file from being read."""
    pl.DataFrame({"ref": ["A"], "took": [timedelta(minutes=5)]}).write_parquet(tmp_path / "a.parquet")
    assert open_table(tmp_path / "a.parquet").frame.collect()["took"].to_list() == ["PT5M"]


def test_the_nearest_record_does_not_depend_on_the_side() -> None:
    """1.03 is nearer to 2.00 than 3.00 is, from either side."""
    one = pl.DataFrame({"ref": ["X"], "amt": ["2.00"]})
    two = pl.DataFrame({"ref": ["X", "X"], "amt": ["1.03", "3.00"]})
    made = plan({"name": "r", "on": ["ref", "amt"]})
    there, back = reconcile(made, left=one, right=two), reconcile(made, left=two, right=one)
    distances = [
        r.breaks().filter(pl.col("side") == side).collect()["nearest_distance"][0]
        for r, side in ((there, "left"), (back, "right"))
    ]
    assert distances == [0.97, 0.97]


def test_workbooks_keep_every_digit_and_say_what_is_cut() -> None:
    """A cell holds fifteen digits and 32,767 characters."""
    frame = pl.DataFrame(
        {"n": [123456789012345678], "d": [Decimal("1234567890123456.78")], "few": [12.5], "t": ["x" * 40_000]}
    )
    read = pl.read_excel(xlsx_file("s", [frame]).read(), engine="calamine").row(0)
    assert [str(v) for v in read[:3]] == ["123456789012345678", "1234567890123456.78", "12.5"]
    assert len(read[3]) == 32_767
    assert read[3].endswith("the CSV file has all)")


def test_a_record_whose_counterpart_went_to_another_by_a_suggestion_is_no_duplicate() -> None:
    """An order and its refund have one number; the payment is the refund's: the order is open, and none too many."""
    strict, loose = {"name": "exact", "on": ["ref", "amt"]}, {"name": "same", "on": ["ref"], "outcome": "suggested"}
    order = pl.DataFrame({"ref": ["A", "A", "B", "B"], "amt": ["9.00", "-9.00", "5.00", "5.00"]})
    paid = pl.DataFrame({"ref": ["A", "B"], "amt": ["-9.00", "5.00"]})
    result = reconcile(plan(strict, loose), left=order, right=paid)
    found = {b["row"]: b["category"] for b in result.breaks().collect().iter_rows(named=True)}
    assert found[1] == "missing_counterpart"
    assert found.keys() - {1} <= {3, 4}


def test_a_side_is_called_after_its_file_without_the_month(tmp_path: Path) -> None:
    """Next month's files take the same plan, and the same names."""
    files = written(tmp_path, **{"shop_orders_2026-09": "ref\nA\nB\n", "Payout-202609": "ref\nA\nB\n"})
    found = suggest(*files.values()).plan
    assert (found.left.label, found.right.label) == ("Shop orders", "Payout")


def test_letters_of_other_languages_are_written_out_in_field_names(tmp_path: Path) -> None:
    """Straße is strasse, and not stra_e."""
    files = written(tmp_path, a="Straße,Größe\nWeg 1,3\nRing 2,4\n", b="Straße,Größe\nWeg 1,3\nRing 2,4\n")
    assert {f.name for f in suggest(files["a"], files["b"]).plan.fields} == {"strasse", "grosse"}
