"""What each rule of a plan of several sides would link, counted before a run: as the run itself then links."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_engine import SidesPlan, reconcile
from recon_engine import __main__ as command_line
from recon_engine.nway.preview import only, preview, write_sample

pytestmark = pytest.mark.slow

NAMES = ("orders", "ledger", "bank")
ROWS = 300


def plan(folder: Path, rows: int = ROWS, **changed: Any) -> SidesPlan:
    """A ledger without every tenth order; a bank without every fifteenth, every fourth 2 cents off, a line twice."""
    number = pl.int_range(1, rows + 1, eager=True)
    amount = pl.select((number * 7 + 10).cast(pl.String) + ".00").to_series()
    orders = pl.DataFrame({"ref": "R" + number.cast(pl.String), "amount": amount})
    off = pl.DataFrame(
        {
            "ref": orders["ref"],
            "amount": [a[:-1] + ("2" if n % 4 == 0 else "0") for n, a in zip(number, amount, strict=True)],
        }
    )
    bank = off.filter(number % 15 > 0)
    tables = {"orders": orders, "ledger": orders.filter(number % 10 > 0), "bank": pl.concat([bank, bank.head(1)])}
    for name, table in tables.items():
        table.write_csv(folder / f"{name}.csv")
    data = {
        "name": "three",
        "sides": [{"name": name, "files": [str(folder / f"{name}.csv")]} for name in NAMES],
        "fields": [
            {"name": "ref", "columns": dict.fromkeys(NAMES, "ref")},
            {"name": "amount", "columns": dict.fromkeys(NAMES, "amount"), "type": "decimal"},
        ],
        "rules": [
            {"name": "exact", "on": ["ref", "amount"]},
            {"name": "near", "between": ["orders", "bank"], "on": ["ref", {"field": "amount", "within": "0.05"}]},
        ],
        "duplicates": {"bank": {"on": ["ref", "amount"], "exclude": True}},
    }
    return SidesPlan.build(data | changed)


def told(found: dict[str, Any]) -> dict[tuple[str, ...], dict[str, int]]:
    """Per two sides what each rule would link."""
    return {tuple(one["between"]): {rule["name"]: rule["matched"] for rule in one["rules"]} for one in found["pairs"]}


def test_counts_are_those_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Between each two sides, on what duplicates leave; the command line prints them."""
    asked = plan(tmp_path)
    found = preview(asked)
    ran = reconcile(asked, out=tmp_path / "out").summary
    links: dict[tuple[str, ...], dict[str, int]] = {}
    for rule in ran["rules"]:
        links.setdefault(tuple(rule["between"]), {})[rule["name"]] = rule["matches"]
    assert told(found) == links
    assert links["orders", "bank"] == {"exact": 210, "near": 70}
    [one] = [one for one in found["pairs"] if one["between"] == ["orders", "bank"]]
    assert (one["rows"], one["left_over"], one["sample"]) == (ROWS, ROWS // 15, False)
    (tmp_path / "plan.yaml").write_text(asked.to_yaml())
    assert command_line.main(["preview", str(tmp_path / "plan.yaml")]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_two_sides_alone_say_of_themselves_what_the_plan_says(tmp_path: Path) -> None:
    """Their fields, rules and searches, and nothing of a third side; the rules look the same way."""
    asked = plan(tmp_path)
    assert list(asked.pairs) == [("bank", "ledger"), ("orders", "bank"), ("ledger", "orders")]
    for pair, rules in asked.pairs.items():
        alone = only(asked, pair)
        assert list(alone.pairs.items()) == [(pair, rules)]
        assert alone.pair_plan(*pair) == asked.pair_plan(*pair)
        assert set(alone.duplicates) == {"bank"} & set(pair)


@pytest.mark.slow
def test_a_sample_of_each_two_sides_counts_as_the_whole(tmp_path: Path) -> None:
    """Counterparts stay together in the sample of a pair: the shares are those of the whole."""
    rows = 40_000
    asked = plan(tmp_path, rows)
    (tmp_path / "sample").mkdir()
    written = write_sample(asked, tmp_path / "sample")
    assert all(max(one["rows"].values()) < rows / 2 for one in written["pairs"])
    found = preview(asked, tmp_path / "sample")
    [one] = [one for one in found["pairs"] if one["between"] == ["orders", "bank"]]
    assert one["sample"]
    shares = [rule["matched"] / one["rows"] for rule in one["rules"]]
    assert shares == pytest.approx([0.7, 0.233], abs=0.03)


def test_what_a_side_nets_is_not_open_for_the_rules_between_sides(tmp_path: Path) -> None:
    """Two orders that cancel each other out, one of which the ledger would have: neither is counted, nor linked."""
    net = {"name": "void", "net": "orders", "on": ["ref", {"field": "amount", "total": True}]}
    asked = plan(tmp_path)
    orders = pl.read_csv(tmp_path / "orders.csv", infer_schema=False)
    again = orders.head(1).with_columns(amount="-" + pl.col("amount"))
    pl.concat([orders, again]).write_csv(tmp_path / "orders.csv")
    netting = SidesPlan.build({**asked.to_data(), "rules": [net, *asked.to_data()["rules"]]})
    before, after = ({tuple(p["between"]): p for p in preview(one)["pairs"]} for one in (asked, netting))
    pair = next(pair for pair in after if set(pair) == {"orders", "ledger"})
    linked = {name: found[pair]["rules"][0]["matched"] for name, found in (("before", before), ("after", after))}
    assert linked["after"] == linked["before"] - 1
    assert [rule["name"] for rule in after[pair]["rules"]] == ["exact"]
    ran = reconcile(netting, out=tmp_path / "out").summary
    of_pair = next(r for r in ran["rules"] if r["name"] == "exact" and r.get("between") == list(pair))
    assert of_pair["matches"] == linked["after"]
