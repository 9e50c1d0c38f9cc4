"""Amounts as people write them: `$1,234.50`, `(12.00)`, `12.00-`, `EUR 5,00`, `7.10 DR` become a sign and digits."""

from __future__ import annotations

import polars as pl

_CODES = (
    "USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|SEK|NOK|DKK|ISK|CZK|PLN|HUF|RON|BGN|TRY|RUB|UAH|INR|CNY|HKD|SGD|"
    "KRW|TWD|THB|MYR|IDR|PHP|VND|BRL|MXN|ARS|CLP|COP|PEN|ZAR|ILS|AED|SAR|QAR|EGP|NGN|KES"
)
_SIGNS = r"(?:US|A|C|AU|CA|NZ|HK|S|R|MX)?\$|[€£¥￥₹₽₩₪₺₴₫฿円]|Kč|zł|[Kk]r\.?|Ft|[Ll]ei"
_CURRENCY = rf"(?:{_SIGNS}|{_CODES})"
# Without a space, TL before digits is a code more often than money.
_BEFORE, _AFTER = rf"{_CURRENCY}|TL ", rf"{_CURRENCY}|TL"
_NUMBER = r"[0-9](?:[0-9.,' ]*[0-9.,])?|[.,][0-9]+"
_WRITTEN = (
    rf"^(?P<open>\()?\s*(?P<before>[+-])?\s*(?P<left>{_BEFORE})?\s*(?P<inside>[+-])?\s*(?P<number>{_NUMBER})"
    rf"\s*(?P<after>[+-])?\s*(?P<right>{_AFTER})?\s*(?P<close>\))?\s*(?P<book>[CcDd][Rr])?$"
)
# What may stand around a number's digits and marks, character by character.
_AROUND = " \u00a0\u202f()+-\u2212△▲$€£¥￥₹₽₩₪₺₴₫฿円" + "".join(chr(c) for c in range(65, 91)) + "crdčzłktlei"
_MINUS = "[\u2212△▲]"  # the triangles in books from Japan


def bare(text: pl.Expr) -> pl.Expr:
    """The number's text without what stands around its digits and marks; what is no number is cut just the same."""
    return text.str.replace_all("kr.", "kr", literal=True).str.strip_chars(_AROUND)


def currency_written(column: str, cells: pl.LazyFrame) -> str:
    """The currency sign or code that most cells of a column have; "" where none has one."""
    parts = _parts(pl.col(column))
    sign = _currency(pl.coalesce(parts.struct.field("left"), parts.struct.field("right"))).alias("sign")
    found = cells.select(sign).drop_nulls().group_by("sign").len().collect(engine="streaming")
    return str(found.sort("len", "sign", descending=[True, False])["sign"][0]) if found.height else ""


def signed(text: pl.Expr, currency: str) -> pl.Expr:
    """The text with its sign in front and no `currency`; null where it is no amount, or one in another currency.

    Brackets, a minus on either end, and DR make it negative; two of them together are no amount.
    """
    # As one step over the parts: as expressions of them, the text would be taken apart once for each.
    return _parts(text).map_batches(
        lambda parts: parts.struct.unnest().select(_joined(currency)).to_series(),
        return_dtype=pl.String,
        is_elementwise=True,
    )


def _joined(currency: str) -> pl.Expr:
    minus = [pl.col(name).fill_null("") == "-" for name in ("before", "inside", "after")]
    brackets = pl.col("open").is_not_null()
    debit = pl.col("book").fill_null("").str.to_lowercase() == "dr"
    negative = pl.sum_horizontal(*(m.cast(pl.UInt8) for m in (*minus, brackets, debit)))
    left, right = (_currency(pl.col(name).fill_null("")) for name in ("left", "right"))
    known = ((left == "") | (right == "")) & (left + right).is_in(["", currency])
    sound = pl.col("number").is_not_null() & (brackets == pl.col("close").is_not_null()) & (negative <= 1) & known
    sign = pl.when(negative == 1).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.when(sound).then(sign + pl.col("number"))


def _currency(written: pl.Expr) -> pl.Expr:
    """One currency in one way: kr, Kr and kr. are the same."""
    return written.str.strip_chars(" .").replace({"Kr": "kr", "Lei": "lei", "￥": "¥", "円": "¥"})


def _parts(text: pl.Expr) -> pl.Expr:
    plain = text.str.strip_chars().str.replace_all("[\u00a0\u202f]", " ").str.replace_all(_MINUS, "-")
    return plain.str.extract_groups(_WRITTEN)
