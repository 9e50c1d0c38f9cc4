"""Files of many trades by suggest alone: columns found by records that agree, and what a key leaves open."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from recon_engine import Result, reconcile
from recon_engine.suggest import Suggestion, suggest

pytestmark = pytest.mark.slow

FIRST = ["anna", "bernd", "clara", "dieter", "emma", "frank", "greta", "hanno", "ilse", "jonas", "karla"]
LAST = ["abend", "brink", "castorp", "dorn", "eich", "falken", "gruen", "hase", "ivers", "jung", "kranz", "lenz", "mai"]
DAYS = [date(2025, 1, 1) + timedelta(i * 7 % 300) for i in range(400)]
Columns = dict[str, list[object]]


def suggested(folder: Path, left: Columns, right: Columns) -> Suggestion:
    """The suggestion for two tables, the right one upside down."""
    pl.DataFrame(left).write_csv(folder / "one.csv")
    pl.DataFrame(right).reverse().write_csv(folder / "two.csv")
    return suggest(folder / "one.csv", folder / "two.csv")


def proposed(folder: Path, left: Columns, right: Columns) -> tuple[Suggestion, Result]:
    """What is `suggested`, and what its plan makes of the tables."""
    found = suggested(folder, left, right)
    return found, reconcile(found.plan)


def right_share(result: Result, rows: int) -> float:
    """Confirmed pairs of the same place in both tables, less the others, as a share of the `rows`."""
    matches = result.matches().filter(pl.col("outcome") == "confirmed").collect()
    one, two = (matches.filter(pl.col("side") == side).select("match_id", "row") for side in ("left", "right"))
    pairs = one.join(two, on="match_id")
    good = int((pairs["row"] + pairs["row_right"] == rows + 1).sum())
    return (2 * good - pairs.height) / rows


def cents(i: int) -> int:
    """An amount that no other equals."""
    return 1_000 + i * 7_919 % 90_001


def test_columns_are_found_by_records_that_agree(tmp_path: Path) -> None:
    """Numbers that run on and names that say nothing: equal amounts bring records together, and there all is equal."""
    left: Columns = {
        "Name": [f"#{1000 + i}" for i in range(300)],
        "Total": [f"{cents(i) / 100:.2f}" for i in range(300)],
        "Tag": [f"t{i * 31 % 97}" for i in range(300)],
    }
    right: Columns = {
        "K1": [1000 + i for i in range(300)],
        "K2": [f"T{i * 31 % 97}" for i in range(300)],
        "K3": left["Total"],
    }
    found, result = proposed(tmp_path, left, right)
    assert {(f.left, f.right) for f in found.fields} == {("Name", "K1"), ("Total", "K3"), ("Tag", "K2")}
    assert "records that are the same by other columns" in found.fields[0].reason
    assert right_share(result, 300) == 1


def test_cents_against_whole_units(tmp_path: Path) -> None:
    """One side writes 1234, the other 12.34: a factor is proposed, and nothing differs."""
    left: Columns = {"report": [f"{cents(i) / 100:.2f}" for i in range(200)], "day": [str(d) for d in DAYS[:200]]}
    right: Columns = {"amount_cents": [cents(i) for i in range(200)], "at": left["day"]}
    found, result = proposed(tmp_path, left, right)
    (spec,) = [f for f in found.plan.fields if f.left == "report"]
    assert [step.model_dump() for step in spec.clean.left if not isinstance(step, str)] == [{"times": 100}]
    assert right_share(result, 200) == 1


def test_records_without_their_key_are_matched_by_the_rest(tmp_path: Path) -> None:
    """Checks have numbers, deposits have none: amount and usual days find these, and stand below the key."""
    late = [str(d + timedelta(i % 3)) for i, d in enumerate(DAYS)]
    left: Columns = {
        "check": [f"{5000 + i:08}" if i % 2 else "" for i in range(400)],
        "amount": [f"{cents(i) / 100:.2f}" for i in range(400)],
        "date": [str(d) for d in DAYS],
    }
    right = left | {"check": [str(5000 + i) if i % 2 else "" for i in range(400)], "date": late}
    found, result = proposed(tmp_path, left, right)
    last = found.plan.rules[-1]
    assert last.name == "without check"
    assert last.max_false_rate is not None
    assert right_share(result, 400) == 1


def test_names_come_to_the_help_of_near_dates(tmp_path: Path) -> None:
    """Gifts of a few round sums, booked days later under the same name in another order."""
    people = [f"{FIRST[i * 5 % 11]} {LAST[i * 3 % 13]}" for i in range(400)]
    left: Columns = {
        "donor": people,
        "gift": [f"{(i % 7 + 1) * 10}.00" if i % 3 else f"{cents(i) / 100:.2f}" for i in range(400)],
        "given": [str(d) for d in DAYS],
    }
    right: Columns = {
        "payer": [" ".join(reversed(p.upper().split())) for p in people],
        "credit": left["gift"],
        "booked": [str(d + timedelta(i // 3 % 3 + 1)) for i, d in enumerate(DAYS)],
    }
    found, result = proposed(tmp_path, left, right)
    rules = {r.name: r for r in found.plan.rules}
    assert "exact" not in rules, "nobody is booked on the day of the gift"
    assert rules["near dates, like words"].outcome == "confirmed"
    assert right_share(result, 400) > 0.95


def test_what_names_few_records_is_only_suggested(tmp_path: Path) -> None:
    """The same rents fall due on the same day: equal amounts and days are no proof of anything."""
    left: Columns = {"charge": [f"{800 + i % 5 * 50}.00" for i in range(300)], "due": ["2025-03-01"] * 300}
    right: Columns = {"paid": left["charge"], "date": left["due"]}
    found, _ = proposed(tmp_path, left, right)
    assert {r.outcome for r in found.plan.rules} == {"suggested"}


def test_shop_and_day_where_the_amount_differs(tmp_path: Path) -> None:
    """0007 is Store 7: shop and day name a record together, so wrong amounts are found, for a person to judge."""
    places = [(shop, day) for shop in range(1, 21) for day in range(20)]
    amount = [cents(i) for i in range(400)]
    left: Columns = {
        "Store": [f"{shop:04}" for shop, _ in places],
        "Day": [str(DAYS[0] + timedelta(day)) for _, day in places],
        "Net": [f"{a / 100:.2f}" for a in amount],
    }
    right: Columns = {
        "Location": [f"Store {shop}" for shop, _ in places],
        "Date": left["Day"],
        "Amount": [f"{(-a - (500 if i % 20 == 0 else 0)) / 100:.2f}" for i, a in enumerate(amount)],
    }
    found, result = proposed(tmp_path, left, right)
    rules = {r.name: r.outcome for r in found.plan.rules}
    assert rules["same store and day"] == "suggested"
    assert result.summary["rows"]["left"]["suggested"] == 20
    assert right_share(result, 400) == 0.95


def test_a_quantity_by_article_and_shelf(tmp_path: Path) -> None:
    """No money at all: articles lost their zeros, shelves their dashes; what was counted otherwise is a difference."""
    left: Columns = {
        "Material": [f"{i * 7919 % 99_991 + 200:09}" for i in range(300)],
        "Bin": [f"{'ABC'[i % 3]}-{i % 29:02}-{i % 7}" for i in range(300)],
        "Stock": [i * 37 % 251 for i in range(300)],
    }
    right: Columns = {
        "item": [int(str(m)) for m in left["Material"]],
        "shelf": [str(b).replace("-", "") for b in left["Bin"]],
        "counted": [i * 37 % 251 + (3 if i % 10 == 0 else 0) for i in range(300)],
    }
    found, result = proposed(tmp_path, left, right)
    assert right_share(result, 300) == 1
    assert result.differences().filter(pl.col("field") == "stock").collect().height == 30
    assert not found.questions


def test_a_mistyped_postcode_loses_no_row(tmp_path: Path) -> None:
    """Whole numbers with a letter here and there are codes."""
    left: Columns = {"ref": [f"R{i:03}" for i in range(100)], "postcode": [10_000 + i * 731 for i in range(100)]}
    right = left | {"postcode": [*map(str, left["postcode"][:-1]), "9O210"]}
    found, result = proposed(tmp_path, left, right)
    assert found.plan.field("postcode").type == "text"
    assert result.summary["rows"]["right"]["rejected"] == 0


def test_claims_paid_weeks_later_have_a_key(tmp_path: Path) -> None:
    """The number of a claim is a number though no payment falls near the day of the loss."""
    left: Columns = {"claim no": [f"CLM{24_000 + i}" for i in range(200)], "loss date": [str(d) for d in DAYS[:200]]}
    right: Columns = {
        "claim": left["claim no"],
        "paid on": [str(d + timedelta(40 + i % 21)) for i, d in enumerate(DAYS[:200])],
    }
    found, result = proposed(tmp_path, left, right)
    assert not found.questions
    assert "loss_date" not in found.plan.compare
    assert right_share(result, 200) == 1


def test_records_of_several_kinds_in_one_file_are_linked(tmp_path: Path) -> None:
    """People have a name, episodes a title and a number: the two never stand together, and 6.0 is no amount of money.

    The columns are called by addresses of a vocabulary; only their last parts tell them apart.
    """
    term = "http://example.org/ontology/"

    def table(*, later: int) -> Columns:
        people = [f"{a} {b}" + ("e" if later and n % 9 == 0 else "") for n, (a, b) in enumerate(product(FIRST, LAST))]
        episodes = [f"the {b} of {a}" for a, b in product(FIRST, LAST)]
        return {
            f"{term}title": [None] * len(people) + episodes,
            f"{term}name": people + [None] * len(episodes),
            f"{term}episodeNumber": [None] * len(people) + [f"{i % 20 + 1}.0" for i in range(len(episodes))],
            f"{term}releaseDate": [None] * len(people)
            + [str(DAYS[i] + timedelta(later)) for i in range(len(episodes))],
        }

    found, result = proposed(tmp_path, table(later=0), table(later=2))
    assert [rule.name for rule in found.plan.rules] == ["same thing by all fields"]
    assert {f.name for f in found.plan.fields} == {"title", "name", "episodenumber", "releasedate"}
    assert right_share(result, 2 * len(FIRST) * len(LAST)) > 0.9  # all but those whose names are misspelt
