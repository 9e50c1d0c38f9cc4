"""Where the data can mislead, suggest leaves the decision to a person, and does not care which side is left."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from recon_engine import ReconError, reconcile
from recon_engine.cleaning import cleaned
from recon_engine.dated_codes import dated
from recon_engine.suggest import Suggestion, suggest

pytestmark = pytest.mark.slow


def suggested(folder: Path, one: pl.DataFrame, two: pl.DataFrame) -> Suggestion:
    """The suggestion for two tables."""
    one.write_csv(folder / "one.csv")
    two.write_csv(folder / "two.csv")
    return suggest(folder / "one.csv", folder / "two.csv")


def test_numbers_of_every_form_in_texts_confirm_nothing(tmp_path: Path) -> None:
    """Members from 1000 to 9999 against texts with the last four digits of cards: every number is a member's."""
    draw = random.Random(3)
    members = pl.DataFrame({"member": [str(n) for n in range(1000, 10_000)]})
    goods = ("grocery", "fuel", "books", "shoes")
    told = [f"VISA ending {draw.randrange(1000, 10_000)} {draw.choice(goods)} {chr(65 + n % 26)}" for n in range(1500)]
    try:
        found = suggested(tmp_path, members, pl.DataFrame({"text": told}))
    except ReconError:
        return  # as good: nothing goes together
    assert {r.rule.outcome for r in found.rules} == {"suggested"}


def test_codes_alone_without_amounts_are_for_a_person(tmp_path: Path) -> None:
    """Nothing but the code in a text speaks for the pair."""
    codes = [f"MX{n * 7919 % 100_000:05d}" for n in range(300)]
    texts = [f"{('ref', 'your contract')[n % 2]} {code} {('paid', 'x')[n % 3 % 2]}" for n, code in enumerate(codes)]
    found = suggested(tmp_path, pl.DataFrame({"contract": codes}), pl.DataFrame({"purpose": texts}))
    assert [r.rule.outcome for r in found.rules] == ["suggested"]
    assert reconcile(found.plan).summary["rules"][0]["matches"] == 300


@pytest.mark.parametrize("turn", [1, -1])
def test_as_far_before_as_after_tells_nothing(turn: int) -> None:
    """Instalments every fortnight, booked a week between: neither is meant rather than the other."""
    days = [7, -7, 21, -21]
    pairs = pl.DataFrame(
        {"b": [b for b in range(60) for _ in days], "days": [turn * d for _ in range(60) for d in days]}
    )
    assert dated(pairs.with_columns(same=pl.lit(True))) is None


@pytest.mark.parametrize("turn", [1, -1])
def test_the_nearest_day_is_told_whichever_side_is_left(turn: int) -> None:
    """Returns come two to five days after what they return, which comes every month."""
    days = [(b, turn * (2 + b % 4 + month * 30)) for b in range(80) for month in (-1, 0, 1)]
    pairs = pl.DataFrame(days, schema=["b", "days"], orient="row")
    found = dated(pairs.with_columns(same=pl.lit(True)))
    assert found is not None
    assert found.lag == ((0, 5) if turn > 0 else (-5, 0))


def test_sums_of_amounts_that_come_back_are_only_suggested(tmp_path: Path) -> None:
    """Round invoices: one may be taken for a payment that is really a sum, and the rest adds up to the other."""
    draw = random.Random(5)
    left, right = [], []
    for customer in range(60):
        invoices = [draw.choice((100, 200, 300, 500)) for _ in range(6)]
        right += [(f"C{customer:03d} Ltd", f"{amount}.00") for amount in invoices]
        left += [(f"C{customer:03d} Ltd", f"{sum(part)}.00") for part in (invoices[:3], invoices[3:])]
    sides = [pl.DataFrame(rows, schema=["customer", "amount"], orient="row") for rows in (left, right)]
    found = suggested(tmp_path, *sides)
    assert {r.rule.outcome for r in found.rules if r.rule.total is not None} <= {"suggested"}


def test_sums_go_both_ways_where_both_are_there(tmp_path: Path) -> None:
    """Some customers pay several invoices at once, others one in parts."""
    rows = ([], [])  # type: tuple[list[tuple[str, str]], list[tuple[str, str]]]
    for customer in range(60):
        parts = [[1_000 + (customer * 613 + k * 97 + j * 31) * 13 % 70_001 for j in range(2)] for k in range(3)]
        for sums, side in ((True, customer % 2), (False, 1 - customer % 2)):
            amounts = [sum(p) for p in parts] if sums else [a for p in parts for a in p]
            rows[side].extend((f"Customer {customer}", f"{a / 100:.2f}") for a in amounts)
    sides = [pl.DataFrame(own, schema=["customer", "amount"], orient="row") for own in rows]
    found = suggested(tmp_path, *sides)
    assert {r.rule.cardinality for r in found.rules if r.rule.total is not None} == {"one_to_many", "many_to_one"}


def test_signs_of_vowels_belong_to_their_words() -> None:
    """Names that differ in a vowel sign only are other names, also with their words in order."""
    names = pl.DataFrame({"v": ["सीता राम", "सोता रोम", "राम सीता"]})
    one, other, turned = names.select(cleaned(pl.col("v"), ("sort_words",))).to_series()
    assert one == turned != other
