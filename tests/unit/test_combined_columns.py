"""One column made of several: as the options say, as suggest finds it, and in a run from the file to the evidence."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from recon_engine.errors import InputError, PlanError
from recon_engine.execution.local import run
from recon_engine.execution.preview import preview, write_sample
from recon_engine.nway.any_plan import parse_plan
from recon_engine.nway.run import run_sides
from recon_engine.nway.suggest import sides_of, suggest_sides
from recon_engine.plan import Plan, ReaderOptions
from recon_engine.reading import open_table
from recon_engine.suggest import suggest
from recon_engine.verification.verify import verify

FIRST = [
    "anna",
    "bert",
    "carla",
    "dirk",
    "emma",
    "frank",
    "gina",
    "hans",
    "ines",
    "jonas",
    "karla",
    "lukas",
    "nils",
    "olga",
]
LAST = [
    "abel",
    "bauer",
    "conrad",
    "dietz",
    "ernst",
    "fuchs",
    "graf",
    "huber",
    "imhof",
    "jung",
    "kuhn",
    "lang",
    "roth",
    "otto",
    "seidl",
]
FULL = {"full name": ("first", "last")}


def csv_file(path: Path, header: str, rows: list[str]) -> Path:
    """A CSV file."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def people(folder: Path, pattern: str = "{first} {last}") -> tuple[Path, Path]:
    """200 people in another order on each side: the name in one column, and in two."""
    rng = random.Random(5)
    names = rng.sample([(f.capitalize(), n.capitalize()) for f in FIRST for n in LAST], 200)
    one = [f"{pattern.format(first=f, last=n)},{k % 7}" for k, (f, n) in enumerate(names)]
    two = [f"{f},{n},{k % 7}" for k, (f, n) in enumerate(names)]
    rng.shuffle(two)
    return csv_file(folder / "one.csv", "member,team", one), csv_file(folder / "two.csv", "first,last,group", two)


def test_the_texts_stand_in_the_order_given(tmp_path: Path) -> None:
    """With a space between; an empty one is passed over, and where all are, there is nothing."""
    path = csv_file(tmp_path / "a.csv", "last,first,day", ["Bauer, Anna ,1", ",Bert,2", "Graf, ,3", " ,,4"])
    table = open_table(path, ReaderOptions(combined=FULL | {"key": ("day", "last", "first")}))
    assert table.columns == ("last", "first", "day", "full name", "key")
    found = table.frame.select("full name", "key").collect()
    assert found["full name"].to_list() == ["Anna Bauer", "Bert", "Graf", None]
    assert found["key"].to_list() == ["1 Bauer Anna", "2 Bert", "3 Graf", "4"]
    told = "full name of first and last; key of day and last and first"
    assert table.facts.as_dict()["combined"] == {"value": told, "decided_by": "given"}


def test_a_file_that_knows_types_is_combined_as_its_text_reads(tmp_path: Path) -> None:
    """Parquet: numbers and days as they are written."""
    days = [date(2026, 1, 2), date(2026, 1, 3)]
    pl.DataFrame({"branch": [40, None], "day": days}).write_parquet(tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet", ReaderOptions(combined={"key": ("branch", "day")}))
    assert table.frame.select("key").collect().to_series().to_list() == ["40 2026-01-02", "2026-01-03"]


@pytest.mark.parametrize(
    ("combined", "sentence"),
    [
        ({"name": ["first", "surname"]}, "there is no column 'surname' to make 'name' of; the columns are first, last"),
        ({"first": ["last", "group"]}, "has a column 'first' already; call the combined one something else"),
        ({"name ": ["first", "last"]}, "the name of a combined column is empty, or begins or ends with a space"),
        ({"": ["first", "last"]}, "the name of a combined column is empty, or begins or ends with a space"),
        ({"^f.*$": ["first", "last"]}, r"a column is called '\^f\.\*\$', which stands for other columns; rename it"),
        ({"__row": ["first", "last"]}, "a column is called '__row', which is reserved; rename it"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path: Path, combined: dict[str, list[str]], sentence: str) -> None:
    """In one sentence, with the file's name and the mend."""
    _, two = people(tmp_path)
    with pytest.raises(InputError, match=f"two.csv: {sentence}"):
        open_table(two, ReaderOptions.model_validate({"combined": combined}))


@pytest.mark.parametrize("parts", [["first"], ["first", "first"]])
def test_a_column_is_made_of_several(parts: list[str]) -> None:
    """Of one, or of the same twice, it is a mistake in the plan, told where it stands."""
    with pytest.raises(PlanError, match=r"left\.combined\.name"):
        Plan.build(
            {
                "name": "n",
                "left": {"label": "L", "combined": {"name": parts}},
                "right": {"label": "R"},
                "fields": [{"name": "name", "left": "name", "right": "name"}],
                "rules": [{"name": "exact", "on": ["name"]}],
            }
        )


@pytest.mark.parametrize(
    ("pattern", "parts"), [("{first} {last}", ("first", "last")), ('"{last}, {first}"', ("last", "first"))]
)
def test_suggest_finds_what_is_made_of_what(tmp_path: Path, pattern: str, parts: tuple[str, str]) -> None:
    """In either order; the plan runs, every record has its counterpart, and the result is proven."""
    found = suggest(*people(tmp_path, pattern))
    assert (found.plan.left.combined, found.plan.right.combined) == ({}, {"member": parts})
    member = next(f for f in found.fields if f.name == "member")
    assert member.reason.endswith(f"member is made of {' and '.join(parts)}")
    summary = run(found.plan, tmp_path / "out")
    assert summary["matches"] == 200
    assert all(check.holds for check in verify(tmp_path / "out"))


def test_a_reference_of_two_numbers_is_found(tmp_path: Path) -> None:
    """0040-0000123 against branch 0040 and number 0000123."""
    rng = random.Random(6)
    keys = sorted({(f"{rng.randrange(1, 30):04}", f"{rng.randrange(10**6):07}") for _ in range(300)})
    left = csv_file(tmp_path / "l.csv", "account,amount", [f"{a}-{b},{k}.50" for k, (a, b) in enumerate(keys)])
    right = csv_file(tmp_path / "r.csv", "branch,number,paid", [f"{a},{b},{k}.50" for k, (a, b) in enumerate(keys)])
    assert suggest(left, right).plan.right.combined == {"account": ("branch", "number")}
    assert suggest(right, left).plan.left.combined == {"account": ("branch", "number")}


def test_what_both_files_have_in_parts_is_left_so(tmp_path: Path) -> None:
    """Where the other file has the parts, too, the whole says nothing more."""
    one, two = people(tmp_path)
    wide = [f"{row},{row.split(',')[0].replace(' ', ',')}" for row in one.read_text("utf-8").splitlines()[1:]]
    csv_file(one, "member,team,given,family", wide)
    assert suggest(one, two).plan.right.combined == {}


@pytest.mark.parametrize(("rows", "most"), [(400, 99_999), (3_000, 14_999)])
def test_numbers_are_not_put_together_by_chance(tmp_path: Path, rows: int, most: int) -> None:
    """Numbers of five digits, beside columns of which two could make many or nearly all of them."""
    rng = random.Random(7)
    one = [f"R{k:04},{rng.randrange(10_000, most)}" for k in range(rows)]
    two = [f"R{k:04},{rng.randrange(10, 15)},{rng.randrange(100, 1000)},{rng.randrange(1, 9)}" for k in range(rows)]
    left, right = (
        csv_file(tmp_path / "l.csv", "ref,code", one),
        csv_file(tmp_path / "r.csv", "ref,shop,till,shift", two),
    )
    assert suggest(left, right).plan.right.combined == {}


def test_numbers_beside_each_other_are_no_number(tmp_path: Path) -> None:
    """`100 456` is an account, and says nothing of how the side writes thousands."""
    rng = random.Random(8)
    keys = [(rng.randrange(100, 999), rng.randrange(100, 999)) for _ in range(200)]
    one = [f"{a}{b},{k + 1000}.50" for k, (a, b) in enumerate(dict.fromkeys(keys))]
    two = [f'{a},{b},"{k + 1000:,}.50"' for k, (a, b) in enumerate(dict.fromkeys(keys))]
    plan = suggest(
        csv_file(tmp_path / "l.csv", "account,amount", one), csv_file(tmp_path / "r.csv", "branch,number,paid", two)
    ).plan
    assert (plan.right.combined, plan.right.thousands) == ({"account": ("branch", "number")}, ",")
    assert plan.field("account").type == "text"
    assert run(plan, tmp_path / "out")["matches"] == len(one)


def test_what_was_given_stays_beside_what_is_found(tmp_path: Path) -> None:
    """A column that a person made is kept, and no part of another; names with line breaks leave the plan readable."""
    one, two = people(tmp_path)
    two.write_text(two.read_text("utf-8").replace("first,last,group", 'first,"last\nname",group'), encoding="utf-8")
    given = ReaderOptions(combined={"who": ("group", "first")})
    found = suggest(one, two, right_options=given)
    assert found.plan.right.combined == {"who": ("group", "first"), "member": ("first", "last\nname")}
    assert parse_plan(found.to_yaml()).right.combined == found.plan.right.combined  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", [[], [",,1"], ["a,,1"]])
def test_a_file_with_nothing_to_put_together(tmp_path: Path, rows: list[str]) -> None:
    """Empty columns, one row, none: as if nobody had looked."""
    one, _ = people(tmp_path)
    with pytest.raises(InputError, match="no columns with like names or values"):
        suggest(one, csv_file(tmp_path / "few.csv", "x,y,z", rows))


def test_a_sample_keeps_what_was_made(tmp_path: Path) -> None:
    """Counting on a sample reads the made columns from it: they are not made twice, nor is an amount of two columns."""
    left, right = people(tmp_path)
    paid = [f"{row},{k}.00,{''}" for k, row in enumerate(right.read_text("utf-8").splitlines()[1:])]
    csv_file(right, "first,last,group,Debit,Credit", paid)
    plan = suggest(left, right).plan
    assert plan.right.combined == {"member": ("first", "last")}
    (tmp_path / "sample").mkdir()
    plan = plan.model_copy(update={"right": plan.right.model_copy(update={"debit": "Debit", "credit": "Credit"})})
    write_sample(plan, tmp_path / "sample")
    assert preview(plan, tmp_path / "sample")["rules"][0]["matched"] == 200


def test_of_three_files_the_one_in_parts_is_put_together(tmp_path: Path) -> None:
    """Two have the name in one column, one in two: a match has all three."""
    one, two = people(tmp_path)
    third = tmp_path / "three.csv"
    third.write_text(one.read_text("utf-8").replace("member,team", "person,squad"), encoding="utf-8")
    plan = suggest_sides(sides_of([str(one), str(two), str(third)])).plan
    assert [side.combined for side in plan.sides] == [{}, {"member": ("first", "last")}, {}]
    assert run_sides(plan, tmp_path / "out")["matches"] == 200
