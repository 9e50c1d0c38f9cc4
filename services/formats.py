"""Numbers and dates as people read them, in the way that the person at hand has chosen. Nothing is rounded here.

Screens set the style of whoever is signed in; what leaves the product to be kept (the PDF, the summary of a workbook)
uses the neutral one. Files for machines (CSV, tables as .xlsx, Parquet, JSON) use none of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

# How 1234567.89 looks -> the thousands separator and the decimal mark. The space does not break.
NUMBERS = {
    "1,234.56": (",", "."),
    "1.234,56": (".", ","),
    "1\N{NO-BREAK SPACE}234,56": ("\N{NO-BREAK SPACE}", ","),
    "1\N{NO-BREAK SPACE}234.56": ("\N{NO-BREAK SPACE}", "."),
    "1'234.56": ("'", "."),
}
# How 24 November 2026 looks -> strftime's pattern.
DATES = {
    "2026-11-24": "%Y-%m-%d",
    "24 Nov 2026": "%d %b %Y",
    "24.11.2026": "%d.%m.%Y",
    "24/11/2026": "%d/%m/%Y",
    "11/24/2026": "%m/%d/%Y",
}
# What people of a language, or of a language in a country, are used to; all others use the first of each.
_NUMBERS_OF = {
    "1'234.56": "de-ch de-li fr-ch it-ch",
    "1,234.56": "es-mx es-us es-pr es-gt es-hn es-sv es-ni es-pa es-pe es-do",
    "1\N{NO-BREAK SPACE}234,56": "be bg cs et fi fr hu hy ka kk lt lv nb nn no pl pt-pt ru sk sv uk",
    "1.234,56": "ca da de el es hr id is it nl pt ro sl sr tr vi",
}
# English is no hint: half of the world has its browser in American English, and 03/10 is a date in both orders.
_DATES_OF = {
    "24 Nov 2026": "en",
    "2026-11-24": "en-ca fr-ca hu ja ko lt sv zh",
    "24.11.2026": "az bg cs da de de-ch et fi fr-ch hr hy is it-ch ka kk lv mk nb nn no pl ro ru sk sl sr tr uk",
    "24/11/2026": "ca el es fr id it nl pt vi",
}


@dataclass(frozen=True, slots=True)
class Style:
    """How numbers and dates look: one of the keys above each."""

    number: str = "1,234.56"
    date: str = "2026-11-24"

    @property
    def separators(self) -> str:
        """The decimal mark and the thousands separator, in this order, as charts want them."""
        group, mark = NUMBERS[self.number]
        return mark + group


NEUTRAL = Style()
_CURRENT: ContextVar[Style] = ContextVar("style", default=NEUTRAL)


def current() -> Style:
    """The style in use."""
    return _CURRENT.get()


def use(style: Style) -> None:
    """Use this style from now on, in this thread."""
    _CURRENT.set(style)


@contextmanager
def used(style: Style) -> Iterator[None]:
    """Use this style for a while."""
    token = _CURRENT.set(style)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def chosen(number_format: str, date_format: str, language: str | None) -> Style:
    """The style that was chosen; what was left to the browser ('') is what its language is used to."""
    usual = style_of(language)
    return Style(
        number_format if number_format in NUMBERS else usual.number, date_format if date_format in DATES else usual.date
    )


def style_of(language: str | None) -> Style:
    """What people of this language, such as `de-CH`, are used to."""
    named = (language or "").lower()
    return Style(_of(named, _NUMBERS_OF, NEUTRAL.number), _of(named, _DATES_OF, NEUTRAL.date))


def _of(language: str, groups: dict[str, str], otherwise: str) -> str:
    """The group that names the language with its country, else the one that names the language."""
    for name in (language, language.split("-", maxsplit=1)[0]):
        for style, languages in groups.items():
            if name and name in languages.split():
                return style
    return otherwise


def localised(text: str) -> str:
    """A number written as Python writes it with `,`: its marks exchanged for those of the style."""
    group, mark = NUMBERS[current().number]
    return text.translate({ord(","): group, ord("."): mark})


def number(value: float) -> str:
    """A whole number with thousands separators: '1,204'."""
    return localised(f"{value:,}")


def amount(value: str | Decimal) -> str:
    """An exact amount with thousands separators, every digit kept: '-12,400.50'."""
    return localised(f"{Decimal(value):,f}")


def count(value: int, one: str, many: str | None = None) -> str:
    """'1 row', '1,204 rows'."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def share(part: Decimal | int, whole: Decimal | int) -> str:
    """'98.2%', never rounded up to 100% while something is open; '–' of nothing."""
    if not whole:
        return "–"
    tenths = int(part * 1000 // whole)
    whole_percents = part == whole or not tenths % 10
    return f"{tenths // 10}%" if whole_percents else localised(f"{tenths // 10}.{tenths % 10}") + "%"


def day(value: date) -> str:
    """'24 Nov 2026', or as was chosen."""
    return value.strftime(DATES[current().date])


def minute(value: datetime) -> str:
    """The day and the time: '24 Nov 2026, 12:10'."""
    return f"{day(value)}, {value:%H:%M}"


def second(value: datetime) -> str:
    """The day and the time to the second: '24 Nov 2026, 12:10:05'."""
    return f"{day(value)}, {value:%H:%M:%S}"


def moment(value: datetime) -> str:
    """'24 Nov 2026, 12:10 UTC'."""
    return f"{minute(value)} UTC"
