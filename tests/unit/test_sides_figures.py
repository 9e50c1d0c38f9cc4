"""What a close asks of a result of several sides: balances of each two of them, and open amounts of each."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import SidesPlan, reconcile
from services.result_figures import figures
from services.result_headline import against, headline, uncompared

pytestmark = pytest.mark.slow

LABELS = {"orders": "Orders", "ledger": "Ledger", "bank": "Bank"}
EVERY = dict.fromkeys(LABELS, "amount")
ORDERS = "R1 100.00 EUR 2026-03-01, R2 20.00 EUR 2026-03-02, R3 7.00 USD 2026-01-03, R4 3.00 EUR 2026-03-31"
LEDGER = "R1 -100.00 EUR 2026-03-01, R2 -20.00 EUR 2026-03-02, R3 -7.00 USD 2026-01-03"
BANK = "R1 100.02 EUR 2026-03-01, R2 20.00 EUR 2026-03-02, R9 50.00 EUR 2026-03-05"


def frame(text: str) -> pl.DataFrame:
    """Records as 'reference amount currency day', with a comma between them."""
    names = dict.fromkeys(("ref", "amount", "cur", "day"), pl.String)
    return pl.DataFrame([one.split() for one in text.split(",")], schema=names, orient="row")


def data(**changed: Any) -> dict[str, Any]:
    """Orders, ledger with the other sign, bank: 2 cents are allowed."""
    near = {"field": "amount", "within": "0.02"}
    return {
        "name": "three",
        "sides": [{"name": name, "label": label} for name, label in LABELS.items()],
        "fields": [
            {"name": "ref", "columns": dict.fromkeys(LABELS, "ref")},
            {"name": "amount", "columns": EVERY, "type": "decimal", "clean": {"ledger": ["negate"]}},
            {"name": "cur", "columns": dict.fromkeys(LABELS, "cur")},
            {"name": "day", "columns": dict.fromkeys(LABELS, "day"), "type": "date"},
        ],
        "rules": [{"name": "same", "on": ["ref", "cur", near]}],
        "currency": {"field": "cur"},
    } | changed


def told(folder: Path, plan: dict[str, Any], bank: pl.DataFrame | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The summary and the figures of a run of the plan."""
    model = SidesPlan.build(plan)
    frames = {"orders": frame(ORDERS), "ledger": frame(LEDGER), "bank": frame(BANK) if bank is None else bank}
    result = reconcile(model, sides=frames, out=folder / "out")
    assert result.summary["conserved"]
    ran = SidesPlan.build({**plan})

    def scan(name: str) -> Any:
        return nullcontext(pl.scan_parquet(folder / "out" / f"{name}.parquet"))

    found = figures(ran, result.summary["totals"], scan)
    return result.summary, json.loads(json.dumps(found))


def unexplained(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Per two sides and currency what is left."""
    return {
        against(one, LABELS): {currency: sums["unexplained"] for currency, sums in one["sums"].items()}
        for one in found["balances"]
    }


def test_each_two_sides_are_a_balance(tmp_path: Path) -> None:
    """Opposite signs are added; what both have and the third lacks cancels out; 2 cents in a match are left."""
    summary, found = told(tmp_path, data())
    assert unexplained(found) == {
        "Orders and Ledger added": {"EUR": "0.00", "USD": "0.00"},
        "Bank less Orders": {"EUR": "0.02", "USD": "0.00"},
        "Ledger and Bank added": {"EUR": "0.02", "USD": "0.00"},
    }
    with_bank = found["balances"][1]["sums"]
    assert with_bank["EUR"] == {
        "left": "123.00", "right": "170.02", "apart": "47.02", "breaks": "47.00", "suggested": "0.00",
        "rejected": "0.00", "unexplained": "0.02",
    }  # fmt: skip
    assert (with_bank["USD"]["apart"], with_bank["USD"]["breaks"]) == ("-7.00", "-7.00")
    tiles = {label: (figure, parts) for label, figure, parts in headline(summary, found, LABELS)}
    assert tiles["Unexplained difference"] == ("0.02 EUR", "amount, Bank less Orders, and 1 more")
    assert tiles["Breaks"] == ("4", "missing in Bank 3, Ledger 2, Orders 1")
    assert tiles["Differences"] == ("0", "in compared fields of the 2 matches over all sides")


def test_the_open_items_of_every_side_are_told_by_age_and_size(tmp_path: Path) -> None:
    """As for two sides; a side without open items of an age has none there."""
    _, found = told(tmp_path, data())
    assert found["as_of"] == "2026-03-31"
    ages = {(one["age"], one["currency"]): one["sides"] for one in found["ages"]}
    assert ages["0 to 7 days", "EUR"]["orders"] == {"rows": 1, "total": "3.00"}
    assert ages["61 to 90 days", "USD"] == {
        "orders": {"rows": 1, "total": "7.00"}, "ledger": {"rows": 1, "total": "-7.00"},
        "bank": {"rows": 0, "total": "0.00"},
    }  # fmt: skip
    assert found["sizes"] == [
        {"most": "10", "sides": {"orders": 2, "ledger": 1, "bank": 0}},
        {"most": "100", "sides": {"orders": 0, "ledger": 0, "bank": 1}},
    ]


def test_what_is_matched_without_a_side_is_told_apart(tmp_path: Path) -> None:
    """Where groups that lack a side count as matches, their amounts explain a difference and are no tolerance."""
    _, found = told(tmp_path, data(incomplete="match"))
    assert unexplained(found)["Bank less Orders"] == {"EUR": "0.02", "USD": "0.00"}
    assert found["balances"][1]["sums"]["USD"]["alone"] == "-7.00"
    assert found["balances"][0]["sums"]["USD"]["alone"] == "0.00"


def test_two_sides_are_compared_by_what_they_have_in_common(tmp_path: Path) -> None:
    """A fee that ledger and bank share is their balance; orders and bank have no amount in common, and none."""
    fields = data()["fields"]
    fields[1]["columns"] = {"orders": "amount", "ledger": "amount"}
    fields.append({"name": "fee", "columns": {"ledger": "amount", "bank": "amount"}, "type": "decimal"})
    rules = [
        {"name": "sale", "between": ["orders", "ledger"], "on": ["ref", "amount"]},
        {"name": "charge", "between": ["bank", "ledger"], "on": ["ref"]},
    ]
    _, found = told(tmp_path, data(fields=fields, rules=rules, currency=None))
    assert [(one["between"], one["money"]) for one in found["balances"]] == [
        (["orders", "ledger"], "amount"),
        (["bank", "ledger"], "fee"),
    ]
    assert found["amounts"] == {"orders": "amount", "ledger": "amount", "bank": "fee"}


def test_amounts_without_a_currency_stand_against_those_of_one(tmp_path: Path) -> None:
    """A side without the column: against one currency it is compared as it is, against several it is not."""
    fields = data()["fields"]
    fields[2]["columns"] = {"orders": "cur", "ledger": "cur"}
    rules = [{"name": "same", "on": ["ref", {"field": "amount", "within": "0.02"}]}]
    _, several = told(tmp_path / "several", data(fields=fields, rules=rules))
    assert unexplained(several) == {
        "Orders and Ledger added": {"EUR": "0.00", "USD": "0.00"}, "Bank less Orders": {}, "Bank less Ledger": {},
    }  # fmt: skip
    assert uncompared(several, LABELS).endswith("amounts in several: Orders and Bank; Ledger and Bank.")
    assert [one["currency"] for one in several["categories"]] == ["EUR", "USD", ""]
    fields[2]["columns"] = {"bank": "cur"}
    _, one = told(tmp_path / "one", data(fields=fields, rules=rules))
    assert unexplained(one) == {
        "Orders and Ledger added": {"all": "0.00"},
        "Bank less Orders": {"all": "0.02"},
        "Ledger and Bank added": {"all": "0.02"},
    }
    assert {line["currency"] for line in one["ages"]} == {"all"}
