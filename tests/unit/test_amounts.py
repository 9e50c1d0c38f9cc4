"""Amounts as books write them: what is read, what is not, and that plans for such files are proposed and run."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from recon_engine import reconcile
from recon_engine.plan import FieldSpec, ReaderOptions
from recon_engine.reading.amounts import currency_written, signed
from recon_engine.reading.casting import cast_for
from recon_engine.suggest import suggest
from recon_engine.value_types import candidates


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("$1,234.50", "1,234.50"),
        ("(12.00)", "-12.00"),
        ("($3)", "-3"),
        ("12.00-", "-12.00"),
        ("-$5.00", "-5.00"),
        ("$-5.00", "-5.00"),
        ("\u22125.00", "-5.00"),
        ("7.10 DR", "-7.10"),
        ("7.10CR", "7.10"),
        ("$\u00a012", "12"),
        ("1.5", "1.5"),
        (".5", ".5"),
        ("(-3)", None),
        ("(3", None),
        ("-3-", None),
        ("€5", None),
        ("$5 $", None),
        ("PAY3006", None),
        ("(433) 517-8521", None),
        ("12%", None),
        ("", None),
    ],
)
def test_signs_and_currencies(written: str, read: str | None) -> None:
    """One sign at most, both brackets or none, and the column's own currency."""
    assert pl.DataFrame({"v": [written]}).select(signed(pl.col("v"), "$")).item() == read


@pytest.mark.parametrize(
    ("written", "read", "marks"),
    [
        (["6\u00a0742,68 kr", "-7\u00a0686,68 kr"], ["6 742,68", "-7 686,68"], (",", " ")),
        (["1.234,50 kr.", "-5,00 kr."], ["1.234,50", "-5,00"], (",", ".")),
        (["kr. 1.234,50", "kr. -5,00"], ["1.234,50", "-5,00"], (",", ".")),
        (["265.967,03TL", "-5,00 TL"], ["265.967,03", "-5,00"], (",", ".")),
        (["TL 1.234,50", "-TL\u00a05,00"], ["1.234,50", "-5,00"], (",", ".")),
        (["₺1.234,50", "5,00 ₺"], ["1.234,50", "5,00"], (",", ".")),
        (["12 345,50 zł", "5,00 zł"], ["12 345,50", "5,00"], (",", " ")),
        (["12 345,50 Kč", "5,00 Kč"], ["12 345,50", "5,00"], (",", " ")),
        (["12.345,5 Ft", "5,00 Ft"], ["12.345,5", "5,00"], (",", ".")),
        (["1.234,50 lei", "5,00 lei"], ["1.234,50", "5,00"], (",", ".")),
        (["△292,835", "1,122,708"], ["-292,835", "1,122,708"], (".", ",")),
        (["▲¥1,292,835", "¥5", "¥△7"], ["-1,292,835", "5", "-7"], (".", ",")),
        (["1,292,835円", "△5円"], ["1,292,835", "-5"], (".", ",")),
    ],
)
def test_money_of_other_places(written: list[str], read: list[str], marks: tuple[str, str]) -> None:
    """Currencies by their short names, before or after the number, and Japan's triangle for less than nothing."""
    (found,) = candidates("x", pl.Series(written))
    assert (found.kind, (found.mark, found.thousands)) == ("decimal", marks)
    values = pl.DataFrame({"v": written}).select(signed(pl.col("v"), found.currency or "")).to_series()
    assert values.to_list() == read
    field = FieldSpec(name="f", left="v", right="v", type="decimal")
    frame = pl.DataFrame({"v": written}).lazy()
    cast = cast_for(field, "left", ReaderOptions(decimal=marks[0], thousands=marks[1]), frame, "f.csv")  # type: ignore[arg-type]
    assert not frame.select(cast.failed.any()).collect().item()


def test_one_currency_is_written_in_several_ways() -> None:
    """With a point or a capital, before the number or after it."""
    for written in (
        ["5,20 kr", "6,20 kr", "7,20 kr.", "8,20 Kr"],
        ["TL 5,20", "TL 6,20", "7,20 TL"],
        ["¥5,20", "￥6,20", "7,20円"],
    ):
        frame = pl.DataFrame({"v": written})
        values = frame.select(signed(pl.col("v"), currency_written("v", frame.lazy()))).to_series()
        assert values.to_list() == [f"{n},20" for n in range(5, 5 + len(written))]


def test_columns_of_amounts_are_numbers() -> None:
    """With the marks and the currency that the column has; texts, phones and mixed currencies stay text."""
    (dollars,) = candidates("x", pl.Series(["$1,234.50", "($2.00)", "3.10"]))
    assert (dollars.kind, dollars.mark, dollars.thousands, dollars.currency) == ("decimal", ".", ",", "$")
    (euros,) = candidates("x", pl.Series(["1.234,56 €", "5,00- €"]))
    assert (euros.mark, euros.thousands, euros.currency) == (",", ".", "€")
    for texts in (
        ["(433) 517-8521"] * 3,
        ["12.00%"] * 9,
        ["€5", "$5"] * 9,
        ["PAY1234", "PAY1235"],
        ["TL1250", "TL1251"],
    ):
        assert candidates("x", pl.Series(texts)) == []


def test_an_american_ledger_against_a_statement(tmp_path: Path) -> None:
    """Brackets on one side, a minus at the end on the other: proposed, read exactly, matched; another currency is not
    read.
    """
    cents = [(-1) ** (i % 9 == 0) * (1_000 + i * 34_567) for i in range(60)]
    money = [f"{abs(c) / 100:,.2f}" for c in cents]
    left = [f"(${m})" if c < 0 else f"${m}" for m, c in zip(money, cents, strict=True)]
    right = [f"{m}-" if c < 0 else m for m, c in zip(money, cents, strict=True)]
    refs = [f"A{i:03}" for i in range(60)]
    pl.DataFrame({"ref": [*refs, "A999"], "amount": [*left, "€7.00"]}).write_csv(tmp_path / "ledger.csv")
    pl.DataFrame({"ref": refs, "amount": right}).write_csv(tmp_path / "statement.csv")
    plan = suggest(tmp_path / "ledger.csv", tmp_path / "statement.csv").plan
    assert plan.field("amount").type == "decimal"
    result = reconcile(plan)
    rows = result.summary["rows"]
    assert (rows["left"]["matched"], rows["right"]["matched"], rows["left"]["rejected"]) == (60, 60, 1)
    assert result.differences().collect().is_empty()
    totals = [t["amount"]["matched"] for side in ("left", "right") for t in result.summary["totals"][side].values()]
    assert [Decimal(t) for t in totals] == [Decimal(sum(cents)) / 100] * 2
