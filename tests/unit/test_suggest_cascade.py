"""What suggest proposes for unknown files: each kind of rule on made-up records, and real files by suggest alone."""

from __future__ import annotations

import os
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from recon_engine import reconcile
from recon_engine.rules import NetOf
from recon_engine.suggest import Suggestion, suggest

pytestmark = pytest.mark.slow

REAL = Path(os.environ.get("RECON_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}: set RECON_REAL_DATA")

GIVEN = ["anna", "bernd", "clara", "dieter", "emma", "frank", "greta", "hanno", "ilse", "jonas", "karla"]
FAMILY = ["abendroth", "brinkmann", "castorp", "dornbusch", "eichhorn", "falkenberg", "gruenwald"]
STREETS = ["lindenallee", "marktplatz", "hafenweg", "schlossstrasse", "amselgrund", "uferpromenade"]


def suggested(folder: Path, left: dict[str, list[str]], right: dict[str, list[str]]) -> Suggestion:
    """The suggestion for two tables."""
    pl.DataFrame(left).write_csv(folder / "left.csv")
    pl.DataFrame(right).write_csv(folder / "right.csv")
    return suggest(folder / "left.csv", folder / "right.csv")


def person(i: int) -> dict[str, str]:
    """A person that no other equals."""
    return {
        "given": GIVEN[i % 11],
        "family": FAMILY[i // 11 % 7] + GIVEN[i % 5],
        "street": f"{i % 97 + 1} {STREETS[i % 6]} {FAMILY[i * 5 % 7]}",
        "passport": f"P{(i * 7919) % 1_000_003:07}X",
    }


def mistyped(row: dict[str, str], i: int) -> dict[str, str]:
    """The same with a letter missing in one or two places, now and then in the passport number."""
    field = ("family", "street", "given", "passport")[i % 4]
    return row | {field: row[field][:3] + row[field][4:]}


def columns(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    """Rows as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_persons_with_mistyped_keys_are_linked(tmp_path: Path) -> None:
    """A key that joins three in four among misspelt texts is one voice of several; running the plan finds the rest."""
    left = [person(i) for i in range(300)]
    right = [mistyped(person(i), i) for i in range(299, -1, -1)]
    found = suggested(tmp_path, columns(left), columns(right))
    (rule,) = found.plan.rules
    assert rule.link is not None, found.to_yaml()
    assert set(rule.link.fields) == {"given", "family", "street", "passport"}
    assert (rule.cardinality, rule.outcome) == ("one_to_one", "confirmed")
    assert "written in two ways" in found.rules[0].reason
    result = reconcile(found.plan, left=pl.DataFrame(left), right=pl.DataFrame(right))
    matches = result.matches().collect()
    rows = [matches.filter(pl.col("side") == side).sort("match_id")["row"] for side in ("left", "right")]
    right_ones = int((rows[0] + rows[1] == 301).sum())
    assert right_ones >= 0.99 * 300
    assert right_ones >= 0.99 * len(rows[0])


def test_things_that_one_side_repeats_are_linked_one_to_many(tmp_path: Path) -> None:
    """Where values that name a person on the left stand several times on the right, a person has several there."""
    left = [person(i) for i in range(200)]
    right = [mistyped(person(i // 3), i % 4) for i in range(600)]
    assert suggested(tmp_path, columns(left), columns(right)).plan.rules[0].cardinality == "one_to_many"
    assert suggested(tmp_path, columns(right), columns(left)).plan.rules[0].cardinality == "many_to_one"


def test_lists_of_names_are_linked(tmp_path: Path) -> None:
    """A text of several words is enough, where it is the only column that both files have; what is equal needs none."""
    names = [f"{person(i)['given']} {person(i)['family']} {person(i)['street']}" for i in range(300)]
    spelt = [name[:5] + name[6:] if i % 3 else name.upper() for i, name in enumerate(names)]
    found = suggested(tmp_path, {"company": names}, {"name": spelt[::-1]})
    (rule,) = found.plan.rules
    assert rule.link is not None
    assert rule.link.fields == ("company",)
    result = reconcile(found.plan, left=pl.DataFrame({"company": names}), right=pl.DataFrame({"name": spelt[::-1]}))
    matches = result.matches().collect()
    rows = [matches.filter(pl.col("side") == side).sort("match_id")["row"] for side in ("left", "right")]
    right_ones = int((rows[0] + rows[1] == 301).sum())
    assert right_ones >= 0.95 * 300
    assert right_ones >= 0.99 * len(rows[0])
    (equal,) = suggested(tmp_path, {"company": names}, {"name": names[::-1]}).plan.rules
    assert equal.link is None


def test_row_numbers_are_no_key(tmp_path: Path) -> None:
    """Both files number their rows from 1; the names say that equal numbers are different people."""
    left = [{"id": str(i + 1)} | person(i) for i in range(200)]
    right = [{"id": str(i + 1)} | mistyped(person((i * 7 + 3) % 200), i) for i in range(200)]
    found = suggested(tmp_path, columns(left), columns(right))
    assert "id" not in {name for rule in found.plan.rules for name in rule.fields}
    assert "id" not in found.plan.compare
    assert any("own numbering" in question for question in found.questions)


def test_equal_repeats_become_one_to_many(tmp_path: Path) -> None:
    """A standing order is paid every month: account and amount name it, its payments repeat them."""
    orders = {"account": [f"{7000 + i // 2}" for i in range(60)], "amount": [f"{100 + i * 3}.50" for i in range(60)]}
    paid = [(i, month) for i in range(60) for month in range(1, 7)]
    payments = {
        "account": [orders["account"][i] for i, _ in paid],
        "amount": [orders["amount"][i] for i, _ in paid],
        "date": [f"2024-{month:02}-05" for _, month in paid],
    }
    found = suggested(tmp_path, orders, payments)
    rules = [r for r in found.plan.rules if r.cardinality == "one_to_many"]
    assert rules
    assert {c.field for c in rules[0].on} == {"account", "amount"}
    assert rules[0].total is None
    summary = reconcile(found.plan, left=pl.DataFrame(orders), right=pl.DataFrame(payments)).summary
    assert summary["rows"]["right"]["matched"] == 360


@pytest.mark.parametrize("adds_up", [True, False])
def test_repeats_are_added_up_only_where_the_sums_fit(tmp_path: Path, *, adds_up: bool) -> None:
    """Invoices paid in parts: a rule on totals, where the data shows that parts make the whole, and only there."""
    bills = {"ref": [f"INV-{i:04}" for i in range(80)], "amount": [f"{300 + i}.00" for i in range(80)]}
    parts = [(i, part) for i in range(80) for part in ((100, 200 + i) if i % 2 else (300 + i,))]
    off = 0 if adds_up else 37
    paid = {"ref": [f"INV-{i:04}" for i, _ in parts], "amount": [f"{p + (off if i % 2 else 0)}.00" for i, p in parts]}
    found = suggested(tmp_path, bills, paid)
    totals = [r for r in found.plan.rules if r.total]
    assert bool(totals) is adds_up, found.to_yaml()
    if adds_up:
        summary = reconcile(found.plan, left=pl.DataFrame(bills), right=pl.DataFrame(paid)).summary
        assert (summary["rows"]["left"]["matched"], summary["breaks"]) == (80, {})


@pytest.mark.parametrize("lag", [2, -1])
def test_sums_of_another_day_are_found_where_it_always_is_as_far(tmp_path: Path, lag: int) -> None:
    """A payout has the charges of the day but one before, now and then a single one; refunds lessen it."""
    days = [date(2026, 1, 1) + timedelta(i) for i in range(80)]
    charges = [
        (i, (999, 1999, -1999, 4900, 19900)[(i * 7 + k * k) % 5] + k) for i in range(80) for k in range(i % 6 + 1)
    ]
    left = {"created": [str(days[i]) for i, _ in charges], "net": [f"{Decimal(c) / 100}" for _, c in charges]}
    sums = [sum(c for i, c in charges if i == n) for n in range(80)]
    right = {
        "Date": [f"{day + timedelta(lag):%d/%m/%Y}" for day in reversed(days)],
        "Credit": [f"{Decimal(total) / 100}" for total in reversed(sums)],
    }
    found = suggested(tmp_path, left, right)
    (rule,) = found.plan.rules
    assert (rule.cardinality, rule.outcome) == ("many_to_one", "confirmed")
    assert [(c.field, c.total, c.days) for c in rule.on] == [("net", True, None), ("created", False, (lag, lag))]
    assert "created" not in found.plan.compare
    assert reconcile(found.plan).summary["rows"]["left"]["matched"] == len(charges)


def test_other_codes_are_translated(tmp_path: Path) -> None:
    """SIPO and household go together wherever the rest agrees: a lookup is proposed; mixed codes get none."""
    codes, words = ["SIPO", "UVER", "LEAS"], ["household", "loan", "leasing"]
    left = {
        "account": [f"{9000 + i}" for i in range(90)],
        "amount": [f"{50 + i}.00" for i in range(90)],
        "symbol": [codes[i % 3] for i in range(90)],
    }
    paid = [i for i in range(90) for _ in range(3)]
    right = {
        "account": [left["account"][i] for i in paid],
        "amount": [left["amount"][i] for i in paid],
        "symbol": [words[i % 3] for i in paid],
    }
    plan = suggested(tmp_path, left, right).plan
    (step,) = [s for s in plan.field("symbol").clean.left if not isinstance(s, str)]
    assert step.model_dump() == {"map": dict(zip(codes, words, strict=True))}
    assert "symbol" in {c.field for c in plan.rules[0].on}
    mixed = right | {"symbol": [words[(i + k) % 3] for k, i in enumerate(paid)]}
    assert not any(suggested(tmp_path, left, mixed).plan.field("symbol").clean.left)


def test_a_usual_fee_is_learnt(tmp_path: Path) -> None:
    """The acquirer keeps 2.5 % back; amounts that differ by chance propose nothing."""
    gross = [1000 + 737 * i % 90_000 for i in range(120)]
    left = {"ref": [f"T{i:04}" for i in range(120)], "amount": [f"{g}.00" for g in gross]}
    right = {"ref": left["ref"], "amount": [f"{g * 0.975:.2f}" for g in gross]}
    (rule,) = [r for r in suggested(tmp_path, left, right).plan.rules if r.name == "net of fee"]
    assert rule.on[-1].net_of == NetOf(percent=Decimal("2.50"))
    wild = {"ref": left["ref"], "amount": [f"{g * (1 - i % 13 / 100 - 0.01):.2f}" for i, g in enumerate(gross)]}
    assert "net of fee" not in {r.name for r in suggested(tmp_path, left, wild).plan.rules}


def test_amounts_far_off_are_for_a_person(tmp_path: Path) -> None:
    """Where amounts usually agree, records of one key with another amount are suggested, not confirmed."""
    left = {"ref": [f"T{i:04}" for i in range(100)], "amount": [f"{100 + i}.00" for i in range(100)]}
    right = {"ref": left["ref"], "amount": [f"{100 + i + (250 if i > 95 else 0)}.00" for i in range(100)]}
    rules = {r.name: r for r in suggested(tmp_path, left, right).plan.rules}
    assert rules["exact"].outcome == "confirmed"
    assert rules["same ref"].outcome == "suggested"


def test_a_window_holds_no_days_that_chance_explains(tmp_path: Path) -> None:
    """Booked up to two days later; other records lie anywhere within months of each other and widen nothing."""
    first = date(2024, 6, 1)
    lags = [*(i % 3 for i in range(400)), *(i % 120 - 60 for i in range(240))]
    left = {
        "shop": [f"S{i:03}" for i in range(640)],
        "amount": [f"{i + 20}.00" for i in range(640)],
        "day": [str(first + timedelta(i * 7 % 300)) for i in range(640)],
    }
    right = left | {"day": [str(first + timedelta(i * 7 % 300 + lag)) for i, lag in enumerate(lags)]}
    (late,) = [r for r in suggested(tmp_path, left, right).plan.rules if r.name == "other day"]
    assert late.on[-1].days == (0, 2)


def named_pairs(matches: pl.DataFrame, left: pl.Series, right: pl.Series) -> pl.DataFrame:
    """The matched pairs (a, b) by their ids."""
    one, two = (matches.filter(pl.col("side") == side).select("match_id", "row") for side in ("left", "right"))
    pairs = one.join(two, on="match_id", suffix="_right")
    return pl.DataFrame({"a": left.gather(pairs["row"] - 1), "b": right.gather(pairs["row_right"] - 1)})


def real_f1(folder: str, sides: tuple[str, str], truth: tuple[str, str, str], ids: tuple[str, str]) -> float:
    """F1 of the confirmed pairs that the suggested plan finds in two real files."""
    paths = [REAL / folder / name for name in sides]
    tables = [pl.read_csv(path, infer_schema=False) for path in paths]
    result = reconcile(suggest(paths[0], paths[1]).plan, left=tables[0], right=tables[1])
    matches = result.matches().filter(pl.col("outcome") == "confirmed").collect()
    named = named_pairs(matches, tables[0][ids[0]], tables[1][ids[1]])
    known = pl.read_csv(REAL / folder / truth[0], infer_schema=False).select(a=truth[1], b=truth[2]).unique()
    hits = named.join(known, on=["a", "b"], how="semi").height
    return 2 * hits / (named.height + known.height)


PERSONS = (("left_org.csv", "right_dup.csv"), ("truth_org_dup.csv", "left_id", "right_id"), ("rec_id", "rec_id"))
THINGS = (("left.csv", "right.csv"), ("truth.csv", "left_id", "right_id"), ("id", "id"))
FILMS = (("left.csv", "right.csv.gz"), *THINGS[1:])
DINERS = (("left.csv", "right.csv"), ("truth.csv", "fodors_id", "zagats_id"), ("id", "id"))
ORDERS = (
    ("standing_orders.csv", "transactions.csv.gz"),
    ("truth_order_to_trans.csv", "order_id", "trans_id"),
    ("order_id", "trans_id"),
)


@needs_real
@pytest.mark.parametrize(
    ("folder", "files", "least"),
    [
        ("linkage/febrl3", PERSONS, 0.99),
        ("linkage/abt_buy", THINGS, 0.88),
        ("linkage/fodors_zagats", DINERS, 0.98),
        # Six in ten false pairs are people with the same name, spelt alike and single in both files: the only field.
        ("linkage/imdb_tmdb", FILMS, 0.9),
        ("ledger/berka_open", ORDERS, 0.99),
    ],
)
def test_real_files_by_suggest_alone(
    folder: str, files: tuple[tuple[str, str], tuple[str, str, str], tuple[str, str]], least: float
) -> None:
    """No plan written by hand: what suggest proposes finds the published pairs."""
    assert real_f1(folder, *files) >= least


@needs_real
@pytest.mark.parametrize(
    ("left", "right", "fields"),
    [
        ("febrl1/left_org.csv", "febrl1/right_dup.csv", {"surname", "date_of_birth", "soc_sec_id", "postcode"}),
        ("fodors_zagats/left.csv", "fodors_zagats/right.csv", {"name", "addr", "city", "phone", "type"}),
        ("dblp_acm/left.csv", "dblp_acm/right.csv", {"title", "authors", "venue", "year"}),
    ],
)
def test_what_is_proposed_for_other_real_files(left: str, right: str, fields: set[str]) -> None:
    """Linkage alone, one to one, over all that speaks for a pair; running all takes too long for a unit test."""
    (rule,) = suggest(REAL / "linkage" / left, REAL / "linkage" / right).plan.rules
    assert rule.link is not None
    assert fields <= set(rule.link.fields)
    assert not {"id", "rec_id"} & set(rule.link.fields)
    assert rule.cardinality == "one_to_one"


@needs_real
def test_orders_are_found_without_their_counterparty(tmp_path: Path) -> None:
    """Bank and account hidden: account, amount and the translated symbol are enough."""
    folder = REAL / "ledger/berka_open"
    left = pl.read_csv(folder / "standing_orders.csv", infer_schema=False).drop("bank_to", "account_to")
    right = pl.read_csv(folder / "transactions.csv.gz", infer_schema=False).drop("bank", "account")
    plan = suggested(tmp_path, left.to_dict(as_series=False), right.to_dict(as_series=False)).plan
    assert plan.rules[0].cardinality == "one_to_many"
    result = reconcile(plan, left=left, right=right)
    matches = result.matches().collect()
    named = named_pairs(matches, left["order_id"], right["trans_id"])
    known = pl.read_csv(folder / "truth_order_to_trans.csv", infer_schema=False).select(a="order_id", b="trans_id")
    hits = named.join(known, on=["a", "b"], how="semi").height
    assert hits >= 0.99 * named.height
    assert hits >= 0.99 * known.height
