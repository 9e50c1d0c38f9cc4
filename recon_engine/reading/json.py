"""JSON (an array of objects) and JSON Lines; numbers stay as they were written, digit by digit.

What stands in an object inside a row is a column of its own, called by both keys: `{"customer": {"id": 7}}` has a
column `customer.id`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recon_engine.errors import InputError, Issue, LimitError
from recon_engine.plan import ReaderOptions
from recon_engine.reading.encodings import encoding_of, transcoded
from recon_engine.reading.limits import MAX_JSON_BYTES, check_columns
from recon_engine.reading.table import REJECTED_SCHEMA, ROW, Facts, Scratch, TextTable, empty_as_null, header_names

_BATCH = 20_000
_RAW_SHOWN = 500

Row = dict[str, str | None]


class _NotFlatError(ValueError):
    """A value that is not one row of single values; the message is the reason."""


def open_json(path: Path, name: str, options: ReaderOptions, facts: Facts, scratch: Scratch) -> TextTable:
    """Open a JSON or JSON Lines file as text. Raises InputError or LimitError; a bad line of JSON Lines is rejected."""
    encoding, mark = (options.encoding, 0) if options.encoding else encoding_of(path, name)
    (facts.given if options.encoding else facts.detected)("encoding", encoding)
    if encoding != "utf-8" or mark:
        path = transcoded(path, name, encoding, mark, scratch)
    reader = _read_lines if facts.value("format") == "jsonl" else _read_array
    frames, places, rejects = reader(path, name)
    filled = [f for f in frames if f.width]
    data = pl.concat(filled, how="diagonal") if filled else pl.DataFrame()
    if data.width == 0 and not rejects:
        raise InputError(f"{name}: holds no objects; give an array of objects, or one object a line")
    columns = header_names(name, data.columns)
    data = data.rename(dict(zip(data.columns, columns, strict=True)))
    lines = np.array([line for line, _ in places], dtype=np.int64)
    good = [number for number, (_, is_good) in enumerate(places, start=1) if is_good]
    data = data.insert_column(0, pl.Series(ROW, good, dtype=pl.UInt32))
    return TextTable(
        path=path,
        name=name,
        frame=data.lazy().with_columns(empty_as_null(columns, options.nulls)) if columns else data.lazy(),
        columns=columns,
        facts=facts,
        rejected=pl.DataFrame(rejects, schema=REJECTED_SCHEMA, orient="row"),
        issues=() if good else (Issue(name, None, None, "no_rows", "the file holds no readable rows"),),
        line_of=lambda rows: pl.Series("line", lines[rows.cast(pl.Int64).to_numpy() - 1], dtype=pl.Int64),
        scratch=scratch,
    )


Read = tuple[list[pl.DataFrame], list[tuple[int, bool]], list[tuple[int, int, None, str, str]]]


def _read_array(path: Path, name: str) -> Read:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise LimitError(
            f"{name}: JSON over {MAX_JSON_BYTES >> 20} MB must be JSON Lines (one object a line); convert it"
        )
    try:
        value = _parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: byte {error.start} is not UTF-8; set encoding:") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{name}: line {error.lineno} is not valid JSON ({error.msg}); send the file again") from error
    except _NotFlatError as error:
        raise InputError(f"{name}: {error}; give an array of objects") from error
    except RecursionError as error:
        raise InputError(f"{name}: is nested too deeply; give an array of objects") from error
    rows = _rows(value, name)

    def texts() -> Iterator[Row]:
        for number, row in enumerate(rows, start=1):
            try:
                yield _flat(row)
            except _NotFlatError as error:
                raise InputError(f"{name}: row {number}: {error}; give objects of single values") from error

    return list(_frames(texts(), name)), [(n, True) for n in range(1, len(rows) + 1)], []


def _read_lines(path: Path, name: str) -> Read:
    places: list[tuple[int, bool]] = []
    rejects: list[tuple[int, int, None, str, str]] = []

    def texts() -> Iterator[Row]:
        with path.open("rb") as file:
            for line, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                try:
                    row = _flat(_parse(raw.decode("utf-8")))
                except (ValueError, RecursionError) as error:
                    shown = raw[: 4 * _RAW_SHOWN].decode("utf-8", "backslashreplace").rstrip("\r\n")[:_RAW_SHOWN]
                    places.append((line, False))
                    rejects.append((len(places), line, None, shown, _line_reason(error)))
                else:
                    places.append((line, True))
                    yield row

    return list(_frames(texts(), name)), places, rejects


def _frames(rows: Iterable[Row], name: str) -> Iterator[pl.DataFrame]:
    """Rows as frames of text, a batch at a time, so that only one batch exists as Python objects."""
    source = iter(rows)
    while batch := list(islice(source, _BATCH)):
        columns = dict.fromkeys(key for row in batch for key in row)
        check_columns(name, len(columns))
        yield pl.DataFrame(
            {c: [row.get(c) for row in batch] for c in columns}, schema=dict.fromkeys(columns, pl.String)
        )


def _parse(text: str) -> Any:
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda _: None, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _NotFlatError(f"the key '{next(k for k in keys if keys.count(k) > 1)}' stands twice in one object")
    return found


def _rows(value: Any, name: str) -> list[Any]:
    """The array itself, or the only array in an object such as {"data": [...]}."""
    if isinstance(value, dict):
        arrays = [v for v in value.values() if isinstance(v, list)]
        if len(arrays) == 1:
            return arrays[0]
        if not arrays:
            return [value]
        raise InputError(f"{name}: the object holds {len(arrays)} arrays; give one array of objects")
    if not isinstance(value, list):
        raise InputError(f"{name}: is JSON but not an array of objects; give an array of objects")
    return value


def _flat(row: Any) -> Row:
    if not isinstance(row, dict):
        raise _NotFlatError("it is not an object")
    flat: Row = {}
    for key, value in row.items():
        if not isinstance(value, dict):
            found = {key: _text(key, value)}
        else:
            found = {f"{key}.{inner}": held for inner, held in _flat(value).items()}
        if twice := flat.keys() & found.keys():
            raise _NotFlatError(f"the key '{min(twice)}' stands twice in one object")
        flat |= found
    return flat


def _text(key: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise _NotFlatError(f"'{key}' holds a list")


def _line_reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"the line is not valid JSON ({error.msg})"
    if isinstance(error, UnicodeDecodeError):
        return "the text is not valid UTF-8"
    if isinstance(error, RecursionError):
        return "the line is nested too deeply"
    return f"{error}; a row must be an object of single values"
