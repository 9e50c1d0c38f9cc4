"""A file becomes a table of text plus the rows that are none: one module per family of formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from recon_engine.errors import InputError
from recon_engine.plan import ReaderOptions
from recon_engine.reading.combined_columns import with_combined
from recon_engine.reading.compression import compression_of, is_office_file, unpacked
from recon_engine.reading.delimited import open_delimited
from recon_engine.reading.footer import without_footer
from recon_engine.reading.formats import refuse_binary, text_format
from recon_engine.reading.table import REJECTED_SCHEMA, ROW, Facts, Scratch, TextTable
from recon_engine.reading.two_columns import with_amount

__all__ = ["REJECTED_SCHEMA", "ROW", "Facts", "TextTable", "open_table"]


def open_table(path: str | Path, options: ReaderOptions | None = None, name: str | None = None) -> TextTable:
    """Open a file of any supported format as text.

    `name` is shown to people instead of the file's own. Raises InputError, LimitError or UndecidedError, each with one
    sentence that names the file, the place and the mend.
    """
    path = Path(path)
    options = options or ReaderOptions()
    return _finished(path, _opened(path, options, name or path.name), options)


def _finished(path: Path, table: TextTable, options: ReaderOptions) -> TextTable:
    """The table with the path that was asked for, not that of an unpacked or transcoded copy; with the amount of two
    columns and what else is made of several, and without the rows at its end that are no records.
    """
    reopen = table.reopen
    again = None if reopen is None else lambda: _finished(path, reopen(), options)
    whole = with_combined(with_amount(without_footer(table, options), options), options)
    return replace(whole, path=path, reopen=again)


def _opened(path: Path, options: ReaderOptions, name: str) -> TextTable:
    if path.is_dir():
        raise InputError(f"{name or path}: is a folder ({path}); name the file in it")
    if not path.is_file():
        raise InputError(f"{name}: there is no such file ({path}); check the path")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise InputError(f"{name}: cannot be opened ({error.strerror}); check who may read it") from error
    facts, scratch = Facts(), Scratch()
    packing = compression_of(head)
    if packing and not (packing == "zip" and is_office_file(path)):
        path, name = unpacked(path, name, packing, scratch)
        facts.detected("compression", packing)
        with path.open("rb") as file:
            head = file.read(4096)
        if compression_of(head) and not is_office_file(path):
            raise InputError(f"{name}: is packed twice; unpack it and give the file inside")
    if not head:
        raise InputError(f"{name}: is empty; give a file with a header and rows")
    kind = options.format or refuse_binary(head, path, name) or text_format(head, name)
    if options.format:
        facts.given("format", kind)
    else:
        facts.detected("format", kind)
    if kind == "xlsx":
        from recon_engine.reading.xlsx import open_xlsx

        return open_xlsx(path, name, options, facts)
    if kind == "parquet":
        from recon_engine.reading.parquet import open_parquet

        return open_parquet(path, name, options, facts, scratch)
    if kind in ("json", "jsonl"):
        from recon_engine.reading.json import open_json

        return open_json(path, name, options, facts, scratch)
    return open_delimited(path, name, options, facts, scratch)
