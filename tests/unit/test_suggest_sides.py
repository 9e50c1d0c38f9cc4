"""Proposed plans for the files of three sides and more, on tables in which the right answer is known."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
import yaml

from recon_engine import PlanError, Result, SidesPlan, reconcile, verify
from recon_engine import __main__ as command_line
from recon_engine.columns import columns_of
from recon_engine.errors import InputError
from recon_engine.nway.same_columns import same_columns
from recon_engine.nway.suggest import SidesSuggestion, sides_of, suggest_sides
from recon_engine.plan import Plan, ReaderOptions
from recon_engine.reading import open_table
from recon_engine.reading.table import staged
from recon_engine.suggest import suggest

pytestmark = pytest.mark.slow
REAL = Path(os.environ.get("RECON_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ledger"
ROWS = 300


def suggested(folder: Path, **files: pl.DataFrame) -> SidesSuggestion:
    """The proposal for these tables, each written as a file of its name."""
    for name, frame in files.items():
        frame.write_csv(folder / f"{name}.csv")
    return suggest_sides(sides_of([str(folder / f"{name}.csv") for name in files]))


def run(found: SidesSuggestion, out: Path) -> Result:
    """The run of what was proposed, verified."""
    result = reconcile(SidesPlan.build(yaml.safe_load(found.to_yaml())), out=out)
    assert [check for check in verify(result.path) if check.holds is False] == []
    assert result.summary["conserved"]
    return result


def sales(without: int) -> pl.DataFrame:
    """Numbered sales of distinct amounts; every `without`th is missing."""
    numbers = [n for n in range(ROWS) if n % without]
    return pl.DataFrame(
        {
            "ref": [f"R{n:04d}" for n in numbers],
            "amount": [f"{10 + n * 7.13:.2f}" for n in numbers],
            "day": [str(date(2026, 3, 1) + timedelta(n % 20)) for n in numbers],
        }
    )


def orders_ledger_bank() -> dict[str, pl.DataFrame]:
    """Orders; their entries with the other sign, another date format and lower case; payments up to two days later."""
    orders = sales(without=1_000)
    days = orders["day"].str.to_date()
    ledger = pl.DataFrame(
        {
            "entry": [f"L{n}" for n in range(orders.height)],
            "order ref": orders["ref"].str.to_lowercase(),
            "booked amount": "-" + orders["amount"],
            "posting date": days.dt.strftime("%d/%m/%Y"),
        }
    )
    lag = pl.Series([n % 3 for n in range(orders.height)])
    bank = pl.DataFrame(
        {
            "reference": orders["ref"],
            "value": orders["amount"],
            "value date": days.dt.offset_by(lag.cast(pl.String) + "d").cast(pl.String),
        }
    )
    return {
        "orders": orders.rename({"ref": "Order No", "amount": "Total", "day": "Ordered on"}),
        "ledger": ledger.filter(pl.int_range(pl.len()) % 10 != 0).sample(fraction=1, shuffle=True, seed=1),
        "bank": bank.filter(pl.int_range(pl.len()) % 15 != 0).sample(fraction=1, shuffle=True, seed=2),
    }


def test_copies_with_gaps_need_one_cascade_for_all_pairs(tmp_path: Path) -> None:
    """Rules that every pair shows stand once, without `between`; the breaks of the run name the sides with gaps."""
    found = suggested(tmp_path, a=sales(50), b=sales(70), c=sales(1_000))
    assert [field.columns for field in found.plan.fields] == [dict.fromkeys("abc", n) for n in ("ref", "amount", "day")]
    assert {rule.between for rule in found.plan.rules} == {None}
    assert found.plan.rules[0].fields == ("ref", "amount", "day")
    assert all(told.confidence > 0.5 and told.reason for told in found.fields)
    assert all(told.confidence > 0.5 and told.reason for told in found.rules)
    result = run(found, tmp_path / "out")
    gaps = {name: ROWS - sales(without).height for name, without in (("a", 50), ("b", 70), ("c", 1_000))}
    assert result.summary["matches"] == sum(bool(n % 50 and n % 70 and n % 1_000) for n in range(ROWS))
    # Number 0 is missing everywhere; each other gap of one side leaves a record open on both others.
    assert result.summary["missing"] == {name: 2 * (gap - 1) for name, gap in gaps.items() if gap > 1}


def test_codes_that_each_side_spells_in_its_own_way_are_one_key(tmp_path: Path) -> None:
    """Two of the three need only lose their zeros; the third has letters, and one way of cleaning must do for all."""
    numbers = [n for n in range(ROWS) if n % 25]
    tables = {
        "orders": sales(1_000).with_columns(ref="SO-" + pl.Series([f"{20_001 + n}" for n in range(1, ROWS)])),
        "shipments": pl.DataFrame({"order_id": [f"{20_001 + n:08}" for n in range(ROWS)], "parcels": 5}),
        "invoices": sales(25).with_columns(ref=pl.Series([f"{20_001 + n}" for n in numbers])),
    }
    for names in ([*tables], [*tables][::-1]):
        found = suggested(tmp_path, **{name: tables[name] for name in names})
        key = next(f for f in found.plan.fields if f.columns.get("shipments") == "order_id")
        assert key.columns == {name: tables[name].columns[0] for name in names}
        assert key.clean == ("digits_only", "strip_leading_zeros")
        result = run(found, tmp_path / "-".join(names))
        assert result.summary["matches"] == len(numbers)


def test_rules_of_a_pair_say_between_whom(tmp_path: Path) -> None:
    """A lag of one side, a turned sign, other names and another way to write dates: each where it was seen."""
    found = suggested(tmp_path, **orders_ledger_bank())
    fields = {f.name: f for f in found.plan.fields}
    assert fields["order_no"].columns == {"orders": "Order No", "ledger": "order ref", "bank": "reference"}
    assert fields["total"].clean == {"ledger": ("negate",)}
    assert fields["ordered_on"].formats == {"orders": "%Y-%m-%d", "ledger": "%d/%m/%Y", "bank": "%Y-%m-%d"}
    lags = {r.between: c.days for r in found.plan.rules for c in r.on if c.days and "small" not in r.name}
    assert lags == {("orders", "bank"): (0, 2), ("ledger", "bank"): (0, 2)}
    assert "ordered_on" not in found.plan.compare
    result = run(found, tmp_path / "out")
    assert result.summary["missing"].keys() == {"ledger", "bank"}
    assert result.summary["matches"] == sum(bool(n % 10 and n % 15) for n in range(ROWS - 1))


def test_the_order_of_the_files_changes_no_match(tmp_path: Path) -> None:
    """Whatever file comes first, the same records end up together."""
    tables = orders_ledger_bank()
    seen = []
    for number, names in enumerate(permutations(tables)):
        found = suggested(tmp_path, **{name: tables[name] for name in names})
        matches = run(found, tmp_path / str(number)).matches().collect()
        rows = matches.with_columns(pl.col("side").cast(pl.String)).group_by("match_id").agg("side", "row")
        groups = {tuple(sorted(zip(*sides, strict=True))) for sides in rows.select("side", "row").iter_rows()}
        seen.append(groups)
    assert all(groups == seen[0] for groups in seen)


def test_a_key_that_nothing_else_confirms_is_asked(tmp_path: Path) -> None:
    """Adjustments have the reference of what they adjust and else nothing of it: suggested, with a question."""
    adjusted = sales(1_000).with_columns(
        amount=pl.Series([f"{0.5 + (n * 37) % 101 / 100:.2f}" for n in range(ROWS - 1)]),
        day=pl.lit("2027-11-30"),
    )
    found = suggested(tmp_path, ledger=sales(50), bank=sales(70), adjustments=adjusted.sample(fraction=1, seed=3))
    asked = [r for r in found.plan.rules if r.outcome == "suggested"]
    assert [(r.fields, "adjustments" in (r.between or ())) for r in asked] == [(("ref",), True)]
    assert any("does it name the same thing in both?" in question for question in found.questions)
    assert run(found, tmp_path / "out").summary["matches"] > ROWS * 0.9


def test_a_date_that_could_be_either_is_asked_by_side(tmp_path: Path) -> None:
    """What the values cannot decide is asked once, in the words of a plan with sides."""
    days = [f"0{1 + n % 9}/0{1 + n // 9 % 9}/2026" for n in range(ROWS - 1)]
    found = suggested(tmp_path, a=sales(50), b=sales(70), c=sales(1_000).with_columns(day=pl.Series(days)))
    asked = [question for question in found.questions if "can be read as" in question]
    assert len(asked) == 1
    assert "c.csv: column 'day'" in asked[0]
    assert asked[0].endswith("set formats for this field (c)")


def test_a_side_of_its_own_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """A file that has nothing in common with the others is named."""
    strange = pl.DataFrame({"colour": ["red", "blue"], "weight": ["heavy", "light"]})
    with pytest.raises(InputError, match=r"^strange\.csv: no column is like one of a\.csv"):
        suggested(tmp_path, a=sales(50), b=sales(70), strange=strange)


def test_sides_are_named_after_their_files() -> None:
    """Names fit rules and results, and differ from each other and from the tables of a result."""
    sides = sides_of(["x/bank-04.csv.gz", "y/bank-04.csv", "matches.csv", "2026.xlsx", "Käse.csv", "銀行.csv"])
    assert [s.name for s in sides] == ["bank_04", "bank_04_2", "matches_2", "f_2026", "kse", "side_value"]
    assert [s.label for s in sides] == ["Bank 04", "Bank 04 2", "Matches", "2026", "Käse", "銀行"]


def test_two_columns_of_a_side_are_never_one_field(tmp_path: Path) -> None:
    """Of two columns that both look like one of another side, the surer has it."""
    many = [f"X{n:05d}" for n in range(50)]
    tables = {}
    for side, columns in {
        "a": {"reference": many},
        "b": {"reference": many, "ref": [*many[:40], *[None] * 10]},
        "c": {"ref": many[:45]},
    }.items():
        pl.DataFrame(columns).write_csv(tmp_path / f"{side}.csv")
        tables[side] = staged(open_table(tmp_path / f"{side}.csv"))
    sides = {side: columns_of(table, ReaderOptions(), 50, 1) for side, table in tables.items()}
    found = [{side: c.name for side, c in same.columns.items()} for same in same_columns(sides, tables, 1)]
    assert found == [{"a": "reference", "b": "reference"}, {"b": "ref", "c": "ref"}]


@pytest.mark.parametrize("unit", [1, 100])
def test_columns_are_found_by_records_that_agree(tmp_path: Path, unit: int) -> None:
    """What the columns are called says nothing; one side may write cents, wherever it stands, and all are one field."""
    whole = sales(1_000)
    cents = (pl.col("amount").cast(pl.Float64) * unit).round(0).cast(pl.Int64)
    other = whole.select(entry="day", wert=cents if unit > 1 else pl.col("amount"), zeichen="ref")
    third = whole.select(x="amount", y="ref", z="day")
    found = suggested(tmp_path, a=whole, b=other, c=third)
    money = next(spec for spec in found.plan.fields if spec.type == "decimal")
    assert money.columns == {"a": "amount", "b": "wert", "c": "x"}
    together = run(found, tmp_path / "out").summary["together"]
    assert [(group["sides"], group["groups"]) for group in together] == [(["a", "b", "c"], whole.height)]


def test_the_command_line_proposes_for_files_and_for_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three files, or the sides of a plan with names, labels and several files each; what it writes runs."""
    monkeypatch.chdir(tmp_path)
    whole = sales(1_000)
    for name, frame in {"a": sales(50), "b": sales(70), "c1": whole[:100], "c2": whole[100:]}.items():
        frame.write_csv(f"{name}.csv")
    assert command_line.main(["suggest", "a.csv", "b.csv", "c1.csv", "-o", "plan.yaml"]) == 0
    assert command_line.main(["run", "plan.yaml", "--out", "out"]) == 1
    sides = [{"name": "a", "label": "Shop", "files": ["a.csv"]}, {"name": "b", "files": ["b.csv"]}]
    sides.append({"name": "c", "files": ["c1.csv", "c2.csv"], "delimiter": ","})
    Path("sides.yaml").write_text(yaml.safe_dump({"sides": sides}))
    capsys.readouterr()
    assert command_line.main(["suggest", "--sides", "sides.yaml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    plan = SidesPlan.build(told["plan"])
    assert [(s.name, s.title, len(s.files)) for s in plan.sides] == [("a", "Shop", 1), ("b", "b", 1), ("c", "c", 2)]
    assert plan.side("c").delimiter == ","
    assert reconcile(plan, out=tmp_path / "two").summary["rows"]["c"]["read"] == whole.height
    for wrong, said in (
        (["a.csv"], "suggest needs the files of two sides or more"),
        (["a.csv", "--sides", "sides.yaml"], "either the files of the sides, or --sides"),
        (["a.csv", "b.csv", "c1.csv", "--more-left", "c2.csv"], "say it in --sides PLAN"),
        (["--sides", "plan.yaml", "--cause", "1"], "--cause goes with --from only"),
    ):
        capsys.readouterr()
        assert command_line.main(["suggest", *wrong]) == 2
        assert said in capsys.readouterr().err


def test_a_linkage_of_very_many_fields_is_refused_and_never_proposed(tmp_path: Path) -> None:
    """More fields than a linkage can tell apart are an error of the plan, and a proposal names fewer."""
    names = [f"field{n}" for n in range(40)]
    plan = {
        "name": "t",
        "left": {"label": "A"},
        "right": {"label": "B"},
        "fields": [{"name": n, "left": n, "right": n} for n in names],
        "rules": [{"name": "all", "link": {"fields": names}}],
    }
    with pytest.raises(PlanError, match=r"rules\[0\]\.link\.fields: must have at most 31"):
        Plan.build(plan)
    words = ["amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath"]
    left = pl.DataFrame(
        {n: [f"{words[(i * 7 + k) % 8]} {words[(i + k) % 8]} {i}" for i in range(60)] for k, n in enumerate(names)}
    )
    right = left.with_columns(pl.all() + "x")
    left.write_csv(tmp_path / "l.csv")
    right.write_csv(tmp_path / "r.csv")
    found = suggest(tmp_path / "l.csv", tmp_path / "r.csv")
    linked = [r.link for r in found.plan.rules if r.link]
    assert linked
    assert all(len(link.fields) == 31 for link in linked)
    assert reconcile(found.plan, out=tmp_path / "out").summary["conserved"]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"real tables are not at {REAL} (RECON_REAL_DATA)")
@pytest.mark.parametrize(
    ("folder", "files", "least"),
    [
        (
            "lerian_01_card_acquirer_settlement",
            ["ledger-midaz.csv", "acquirer-settlement.json.gz", "acquirer-fees.csv"],
            770,
        ),
        (
            "lerian_02_bank_statement_vs_ledger",
            ["bank-statement.csv", "midaz-ledger-export.json.gz", "bank-adjustments.csv"],
            460,
        ),
        ("data_act_crossfile", [f"cross_file_{name}.csv" for name in ("A", "B", "C", "D2")], 0),
    ],
)
def test_real_files_of_several_sides_by_suggest_alone(
    folder: str, files: list[str], least: int, tmp_path: Path
) -> None:
    """Files of an acquirer, a bank and an agency: what is proposed runs, verifies, and matches what has all sides."""
    found = suggest_sides(sides_of([str(REAL / folder / file) for file in files]))
    assert run(found, tmp_path / "out").summary["matches"] >= least


def test_a_sign_that_one_side_writes_its_own_way_is_left_out_on_all(tmp_path: Path) -> None:
    """Two sides write the same sign, the third its own direction: none says anything to the others then."""
    one = sales(without=1_000)
    own = pl.Series([1 if n % 3 else -1 for n in range(one.height)]) * one["amount"].cast(pl.Float64)
    turns = pl.Series([1 if n % 2 else -1 for n in range(one.height)]) * one["amount"].cast(pl.Float64)
    signed = one.with_columns(amount=turns.round(2).cast(pl.String))
    third = one.select(reference="ref", booked=own.round(2).cast(pl.String), value_day="day")
    found = suggested(tmp_path, first=signed, second=signed.rename({"ref": "no", "amount": "sum"}), third=third)
    field = next(f for f in found.plan.fields if f.columns.get("third") == "booked")
    assert "absolute" in str(field.clean)
    assert any("a wrong one would not show" in asked for asked in found.questions)
    result = run(found, tmp_path / "result")
    assert not result.summary["breaks"]
