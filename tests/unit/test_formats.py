"""Numbers and dates as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pages._shared.tables import as_text
from services import formats
from services.formats import Style

NBSP = "\N{NO-BREAK SPACE}"
WHEN = datetime(2026, 3, 4, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "amount", "share"),
    [
        ("1,234.56", "-1,234,567.80", "98.2%"),
        ("1.234,56", "-1.234.567,80", "98,2%"),
        (f"1{NBSP}234,56", f"-1{NBSP}234{NBSP}567,80", "98,2%"),
        (f"1{NBSP}234.56", f"-1{NBSP}234{NBSP}567.80", "98.2%"),
        ("1'234.56", "-1'234'567.80", "98.2%"),
    ],
)
def test_each_way_to_write_numbers(number: str, amount: str, share: str) -> None:
    """Amounts keep every digit, shares their tenth, counts are grouped alike."""
    with formats.used(Style(number=number)):
        assert formats.amount("-1234567.80") == as_text(Decimal("-1234567.80")) == amount
        assert formats.share(982, 1000) == share
        assert formats.number(1000) == amount[1] + amount[2] + "000"
    assert formats.amount("1234.5") == "1,234.5", "neutral again"


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("2026-11-24", "2026-03-04"),
        ("24 Nov 2026", "04 Mar 2026"),
        ("24.11.2026", "04.03.2026"),
        ("24/11/2026", "04/03/2026"),
        ("11/24/2026", "03/04/2026"),
    ],
)
def test_each_way_to_write_dates(date: str, said: str) -> None:
    """Days, days with times, and days in tables."""
    with formats.used(Style(date=date)):
        assert (formats.day(WHEN), formats.moment(WHEN)) == (said, f"{said}, 09:05 UTC")
        assert (as_text(WHEN.date()), as_text(WHEN)) == (said, f"{said} 09:05:00")


def test_every_choice_shows_what_it_does() -> None:
    """The name of each choice is how it writes 1234.56 or 24 November 2026."""
    for name in formats.NUMBERS:
        with formats.used(Style(number=name)):
            assert formats.amount("1234.56") == name
    for name in formats.DATES:
        with formats.used(Style(date=name)):
            assert formats.day(datetime(2026, 11, 24, tzinfo=UTC)) == name


@pytest.mark.parametrize(
    ("language", "number", "date"),
    [
        ("de-CH", "1'234.56", "24.11.2026"),
        ("de-AT", "1.234,56", "24.11.2026"),
        ("fr", f"1{NBSP}234,56", "24/11/2026"),
        ("fr-CH", "1'234.56", "24.11.2026"),
        ("es-MX", "1,234.56", "24/11/2026"),
        ("pt-BR", "1.234,56", "24/11/2026"),
        ("pt-PT", f"1{NBSP}234,56", "24/11/2026"),
        ("sv-SE", f"1{NBSP}234,56", "2026-11-24"),
        ("ja", "1,234.56", "2026-11-24"),
        ("en-US", "1,234.56", "24 Nov 2026"),
        ("xx", "1,234.56", "2026-11-24"),
        (None, "1,234.56", "2026-11-24"),
    ],
)
def test_the_browser_says_what_people_are_used_to(language: str | None, number: str, date: str) -> None:
    """English says nothing about the order of day and month, so it gets the month by its name."""
    assert formats.chosen("", "", language) == Style(number, date)
    assert formats.chosen("1'234.56", "11/24/2026", language) == Style("1'234.56", "11/24/2026")
