"""Where keys and equal values join few records, suggest tries linkage on some, and takes it if it finds more."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recon_engine import Plan, reconcile, trial_linkage
from recon_engine.matching import linkage_blocking
from recon_engine.matching.linkage_blocking import _BestOf
from recon_engine.suggest import Suggestion, suggest

pytestmark = pytest.mark.slow

GIVEN = ["Anna", "Bernd", "Clara", "Dieter", "Emma", "Frank", "Greta", "Hanno", "Ilse", "Jonas", "Karla", "Ludwig"]
FAMILY = ["Abendroth", "Brinkmann", "Castorp", "Dornbusch", "Eichhorn", "Falkenberg", "Gruenwald", "Hasenkamp"]
SHOPS = ["Nordic Paper", "Baltic Foods", "Alpine Energy", "Rhein Steel", "First Textiles", "Global Logistics"]
Row = dict[str, object]
SIDES = ("left", "right")


def people(count: int) -> list[Row]:
    """People with a number of their own; names and towns recur."""
    random = np.random.default_rng(3)
    return [
        {
            "customer_id": f"C{100_000 + i}",
            "name": f"{random.choice(GIVEN)} {random.choice(FAMILY)}",
            "street": f"Hafenweg {random.integers(1, 150)}",
            "town": ["Kiel", "Jena", "Ulm", "Trier"][random.integers(4)],
            "phone": f"0{random.integers(10**8, 10**9)}",
        }
        for i in range(count)
    ]


def suggested(folder: Path, left: list[Row], right: list[Row]) -> Suggestion:
    """The suggestion for two tables, the second in another order."""
    for name, rows in (("left", left), ("right", right)):
        pl.DataFrame([{k: str(v) for k, v in row.items()} for row in rows]).write_csv(folder / f"{name}.csv")
    return suggest(folder / "left.csv", folder / "right.csv")


def matched(found: Suggestion, who: str, left: list[Row], right: list[Row]) -> float:
    """F1 of the confirmed pairs; true are those that are equal in `who`."""
    result = reconcile(found.plan)  # its files last as long as it does
    matches = result.matches().filter(pl.col("outcome").cast(pl.String) == "confirmed").collect()
    one, two = (matches.filter(pl.col("side").cast(pl.String) == side).sort("match_id")["row"] for side in SIDES)
    hits = sum(left[a - 1][who] == right[b - 1][who] for a, b in zip(one, two, strict=True))
    true = len({row[who] for row in left} & {row[who] for row in right})
    return 2 * hits / (len(one) + true)


def test_a_sound_key_stays_however_few_records_share_it(tmp_path: Path) -> None:
    """Two lists of which three in ten are in both, some with another phone: the number says all that is to be said."""
    everyone = people(1700)
    moved = [p | {"phone": "" if i % 5 == 0 else p["phone"]} for i, p in enumerate(everyone)]
    left, right = everyone[:1000], moved[700:][::-1]
    found = suggested(tmp_path, left, right)
    assert [c.field for c in found.plan.rules[0].on] == ["customer_id"]
    assert all(rule.link is None for rule in found.plan.rules)
    assert matched(found, "customer_id", left, right) == 1


def test_people_without_a_key_are_linked(tmp_path: Path) -> None:
    """Of names, birthdays and towns with typing mistakes few are equal in all; linkage finds them."""
    random = np.random.default_rng(4)
    letters = list("abdefghiklmnoprstu")

    def word(size: int) -> str:
        return "".join(random.choice(letters, size))

    given, family = [word(5) for _ in range(80)], [word(7) for _ in range(160)]
    everyone = [
        {
            "first": random.choice(given),
            "last": random.choice(family),
            "year": random.integers(1940, 2005),
            "month": random.integers(1, 13),
            "who": i,
        }
        for i in range(1500)
    ]
    again = []
    for p in everyone[500:1000]:
        field = ("first", "last")[random.integers(2)]
        text = str(p[field])
        again.append(p | {field: text[:2] + random.choice(letters) + text[3:]})
    left, right = everyone[:1000], [*again, *everyone[1000:]][::-1]
    hidden = [[{k: v for k, v in p.items() if k != "who"} for p in side] for side in (left, right)]
    found = suggested(tmp_path, *hidden)
    (rule,) = found.plan.rules
    assert rule.link is not None
    assert "records tried, linkage finds" in found.rules[0].reason
    assert matched(found, "who", left, right) > 0.9


def payments(count: int) -> list[Row]:
    """Payments whose words are their own."""
    random = np.random.default_rng(5)
    letters = list("ABCDEFGHIKLMNOPRST")
    return [
        {
            "memo": f"{''.join(random.choice(letters, 7))} {random.choice(GIVEN)} {random.integers(10**5, 10**6)}",
            "booking_date": date(2026, 1, 5) + timedelta(days=int(random.integers(0, 120))),
            "amount": f"{random.integers(500, 900_000) / 100:.2f}",
            "who": i,
        }
        for i in range(count)
    ]


def test_payments_whose_amounts_and_words_differ_are_linked_after_equal_ones(tmp_path: Path) -> None:
    """A fee is kept back, days pass and words are cut short for nine in ten: linkage finds them, if not by accident."""
    left = payments(600)
    right = [
        p
        if i % 10 == 0
        else p
        | {
            "memo": str(p["memo"])[:-3],
            "amount": f"{float(str(p['amount'])) * (0.93 + i % 7 / 100):.2f}",
            "booking_date": p["booking_date"] + timedelta(days=i % 9),  # type: ignore[operator]
        }
        for i, p in enumerate(left)
    ][::-1]
    hidden = [[{k: v for k, v in p.items() if k != "who"} for p in side] for side in (left, right)]
    found = suggested(tmp_path, *hidden)
    assert found.plan.rules[0].link is None
    last = found.plan.rules[-1]
    assert last.link is not None
    assert last.max_false_rate == 0.05
    assert matched(found, "who", left, right) > 0.9


def test_spending_that_recurs_is_not_linked(tmp_path: Path) -> None:
    """Two quarters of payments to the same shops resemble each other, and none of them is another's counterpart."""
    random = np.random.default_rng(6)

    def quarter(month: int) -> list[Row]:
        return [
            {
                "supplier": random.choice(SHOPS),
                "category": ["Rent", "Fuel", "Food"][random.integers(3)],
                "paid_date": date(2026, month, 1) + timedelta(days=int(random.integers(0, 85))),
                "amount": f"{random.integers(500, 90_000) / 100:.2f}",
            }
            for _ in range(800)
        ]

    found = suggested(tmp_path, quarter(1), quarter(4))
    assert all(rule.link is None for rule in found.plan.rules)


def test_names_that_one_file_has_in_many_spellings_are_one_to_many(tmp_path: Path) -> None:
    """Of 120 institutes the longer list has five spellings each: linkage sees doubles in it, and none in the other."""
    random = np.random.default_rng(12)
    letters = list("abdefghiklmnoprstu")
    words = ["".join(random.choice(letters, 8)).title() for _ in range(500)]
    institutes = [" ".join(random.choice(words, 4, replace=False)) for _ in range(120)]
    ways = ["{} Institute", "Institute of {}", "{} Univ", "The {}", "{} Laboratories, Dept. of {}"]
    left: list[Row] = [{"affiliation": name, "who": i} for i, name in enumerate(institutes)]
    right = [
        {"affiliation": way.format(name, random.choice(words)), "who": i}
        for i, name in enumerate(institutes)
        for way in ways
    ][::-1]
    found = suggested(tmp_path, *([{"affiliation": r["affiliation"]} for r in side] for side in (left, right)))
    (rule,) = found.plan.rules
    assert rule.cardinality == "one_to_many"
    assert "often have a double in it" in found.rules[0].reason


def test_years_in_texts_are_no_codes(tmp_path: Path) -> None:
    """A numbering from 1 to 2,600 holds the years that stand in titles: few numbers in many texts name nothing."""
    random = np.random.default_rng(8)
    letters = list("abdefghiklmnoprstu")
    words = ["".join(random.choice(letters, 6)) for _ in range(400)]
    papers = [
        {"title": " ".join(random.choice(words, 5)), "year": int(random.integers(1994, 2004)), "who": i}
        for i in range(2600)
    ]
    left = [{"id": i, "title": p["title"], "year": p["year"]} for i, p in enumerate(papers, 1)]
    right = [{"nr": f"x{i}", "title": f"{p['title']} {p['year']}", "year": ""} for i, p in enumerate(papers[::-1], 1)]
    found = suggested(tmp_path, left, right)
    assert all(c.found_in is None for rule in found.plan.rules for c in rule.on)


@pytest.mark.parametrize(
    "column",
    [
        ["yes", "no", "no"],
        ["2025-01-01 10:00:00", "2025-02-02 11:30:00", "2025-02-03 12:45:30"],
        ["2025-01-01", "2025-03-01", "2025-03-02"],
        ["1.250", "17.500", "-3.125"],
        ["12", "7", "400"],
        ["", "", ""],
    ],
    ids=["boolean", "time", "day", "decimal", "integer", "empty"],
)
def test_fields_of_every_type_can_be_tried(column: list[str], tmp_path: Path) -> None:
    """Whatever is beside two texts that recur, and never both in the same way, a proposal is made."""
    rows = [{"a": f"n{i % 9} m", "b": f"k{i % 7} q", "c": column[i % 3]} for i in range(90)]
    others = [{"a": f"n{i % 8} m", "b": f"k{i % 5} q", "c": column[i % 2]} for i in range(90)]
    assert suggested(tmp_path, rows, others).plan.rules


def test_a_field_may_be_called_anything(tmp_path: Path) -> None:
    """Names of the trial's own columns are not those of people's."""
    names = ["h", "l", "r", "key", "v", "w", "code", "n"]
    rows = [{name: f"n{i * k % 97}x m{i % k}" for k, name in enumerate(names, 3)} for i in range(120)]
    others = [{name: f"n{i * k % 97}y m{i % k}" for k, name in enumerate(names, 3)} for i in range(90)]
    found = suggested(tmp_path, rows, others)
    linking = {"name": "linked", "link": {"fields": [f.name for f in found.plan.fields], "probability": 0.5}}
    result = reconcile(Plan.build(found.plan.to_data() | {"rules": [linking]}))
    assert result.summary["rules"][0]["candidates"] > 0


def test_long_texts_are_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would take minutes is left out, however few the cells."""
    tried: list[object] = []
    monkeypatch.setattr(trial_linkage, "link", lambda *given, **_: tried.append(given))
    monkeypatch.setattr(trial_linkage, "_MOST_TEXT", 1_000)
    everyone = people(600)
    suggested(tmp_path, everyone, [p | {"customer_id": f"D{i}", "phone": ""} for i, p in enumerate(everyone[::-1])])
    assert not tried


@pytest.mark.parametrize("at_once", [1, 50, 10_000])
def test_the_nearest_are_the_same_however_pairs_come(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs kept bit by bit are those that a look at all of them keeps, equal ones among them."""
    monkeypatch.setattr(linkage_blocking, "_AT_ONCE", at_once)
    random = np.random.default_rng(9)
    pairs = pl.DataFrame(
        {
            "l": np.repeat(np.arange(60, dtype=np.int32), 50),
            "r": np.tile(np.arange(50, dtype=np.int32), 60),
            "c": pl.Series(random.integers(1, 25, 3000) / 25, dtype=pl.Float32),
        }
    )
    for end, rows in (("l", 60), ("r", 50)):
        best = _BestOf(end, rows)
        for part in pairs.iter_slices(170):
            best.add(part)
        wanted = pairs.filter(pl.col("c").rank("max", descending=True).over(end) <= 10)
        assert best.pairs().sort("l", "r").equals(wanted.select("l", "r").sort("l", "r"))
