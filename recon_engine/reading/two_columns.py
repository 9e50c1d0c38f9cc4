"""Statements that write what comes in and what goes out in two columns: the amount is one less the other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from recon_engine.column_names import words
from recon_engine.errors import InputError
from recon_engine.plan import ReaderOptions
from recon_engine.reading.table import TextTable

AMOUNT = "amount"
"""What the column that is made of the two is called."""
# Names of the two columns in lower case without accents, and without currencies and the word for an amount.
_DEBIT = """
debit, debits, dr, withdrawal, withdrawals, paid out, money out, payments out, soll, belastung, belastungen,
lastschrift, ausgabe, ausgaben, auszahlung, debito, debe, cargo, cargos, dare, addebito, addebiti
"""
_CREDIT = """
credit, credits, cr, deposit, deposits, paid in, money in, payments in, haben, gutschrift, gutschriften, einnahme,
einnahmen, einzahlung, credito, haber, abono, abonos, avere, accredito, accrediti
"""
_OTHERS = "amount, amt, betrag, montant, importe, importo, eur, usd, gbp, chf, aud, cad, czk"
DEBIT, CREDIT, LEFT_OUT = (frozenset(re.split(r",\s+", names.strip())) for names in (_DEBIT, _CREDIT, _OTHERS))
_SAMPLE_ROWS = 1_000
# A cell that says nothing: empty, zero, a dash.
_NOTHING = r"^\s*[+-]?[0.,\s]*$"


def with_amount(table: TextTable, options: ReaderOptions) -> TextTable:
    """The table with a column AMOUNT of credits less debits, where its columns are so given or called; else as it is.

    A cell of both that says nothing leaves the other; rows with both become a text that is no number. Where most
    debits of the first rows are negative already, they keep their sign. Raises InputError where a given column does not
    exist.
    """
    found = _given(table, options) or _called(table)
    if found is None:
        return table
    debit, credit = found
    signed = _signed(table, debit)
    value = _amount(pl.col(debit), pl.col(credit), signed=signed).alias(AMOUNT)
    told = f"{credit} {'and' if signed else 'less'} {debit}"
    (table.facts.given if options.debit else table.facts.detected)(AMOUNT, told)
    return replace(
        table,
        frame=table.frame.with_columns(value),
        native=None if table.native is None else table.native.with_columns(value),
        columns=(*table.columns, AMOUNT),
        parts=(debit, credit),
    )


def _given(table: TextTable, options: ReaderOptions) -> tuple[str, str] | None:
    if options.debit is None or options.credit is None:
        return None
    for column in (options.debit, options.credit):
        if column not in table.columns:
            raise InputError(
                f"{table.name}: there is no column {column!r} for debit and credit; "
                f"the columns are {', '.join(table.columns[:50])}"
            )
    if AMOUNT in table.columns:
        raise InputError(f"{table.name}: has a column '{AMOUNT}' already; leave out debit and credit")
    return options.debit, options.credit


def _called(table: TextTable) -> tuple[str, str] | None:
    return None if AMOUNT in {column.strip().lower() for column in table.columns} else pair_called(table.columns)


def pair_called(columns: Iterable[str]) -> tuple[str, str] | None:
    """The column of debits and that of credits, where just one of each is called so."""
    plain = {column: _plain(column) for column in columns}
    debits = [column for column, name in plain.items() if name in DEBIT]
    credits_ = [column for column, name in plain.items() if name in CREDIT]
    return (debits[0], credits_[0]) if len(debits) == len(credits_) == 1 else None


def _plain(column: str) -> str:
    return " ".join(word for word in words(column) if word not in LEFT_OUT)


def _signed(table: TextTable, debit: str) -> bool:
    try:
        cells = table.frame.select(debit).head(_SAMPLE_ROWS).collect().to_series().drop_nulls()
    except pl.exceptions.PolarsError:  # such a file is read again row by row, and asked again then
        return False
    cells = cells.filter(~cells.str.contains(_NOTHING))
    return bool(len(cells)) and float(cells.str.contains(r"^\s*-").mean() or 0) > 0.5  # type: ignore[arg-type]


def _amount(debit: pl.Expr, credit: pl.Expr, *, signed: bool) -> pl.Expr:
    out, into = debit.str.strip_chars(), credit.str.strip_chars()
    turned = (
        pl.when(out.str.starts_with("-")).then(out.str.strip_prefix("-")).otherwise("-" + out.str.strip_prefix("+"))
    )
    no_debit, no_credit = (e.str.contains(_NOTHING).fill_null(value=True) for e in (debit, credit))
    return (
        pl.when(no_debit)
        .then(pl.coalesce(into, out))
        .when(no_credit)
        .then(out if signed else turned)
        .otherwise(pl.concat_str(into, pl.lit(" and "), out))
    )
