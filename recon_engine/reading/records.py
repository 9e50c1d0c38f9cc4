"""The robust way through a delimited file: every record examined, the good ones re-parsed, the bad ones told."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from recon_engine.errors import Issue, LimitError
from recon_engine.plan import ReaderOptions
from recon_engine.reading.limits import MAX_FIELD_BYTES
from recon_engine.reading.sniffing import Dialect
from recon_engine.reading.structure import Bytes, Offsets, Structure
from recon_engine.reading.table import REJECTED_SCHEMA, ROW, Scratch
from recon_engine.reading.tolerant import tolerant

_RAW_SHOWN = 500
_UNDECODABLE = "the text is not valid UTF-8; set encoding: if the whole file is in another encoding"


class Opened(Protocol):
    """What the examination needs to know of an opened file."""

    path: Path
    name: str
    dialect: Dialect
    columns: tuple[str, ...]
    options: ReaderOptions
    scratch: Scratch

    @property
    def data(self) -> Bytes: ...  # noqa: D102

    @property
    def header_start(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Examined:
    """Good records with their row numbers, rejected ones, and the physical line of each data row."""

    frame: pl.LazyFrame
    rejected: pl.DataFrame
    lines: Offsets
    issues: tuple[Issue, ...]


def examined(file: Opened, found: Structure) -> Examined:
    """Separate good from bad records. Raises LimitError for a field over the limit."""
    regular = found.stray is None and file.dialect.quoting.escape is None
    result = _by_structure(file, found) if regular else _by_reading(file)
    if result.frame.head(1).collect().is_empty() and result.rejected.is_empty():
        issue = Issue(file.name, None, None, "no_rows", "the file has a header and no rows")
        return Examined(result.frame, result.rejected, result.lines, (*result.issues, issue))
    return result


def _by_structure(file: Opened, found: Structure) -> Examined:
    """For regular quotes: all decided on the offsets, without reading a record."""
    data = file.data
    full = ~found.blank(data)
    full[0] = False  # the header
    starts, ends = found.starts[full], found.ends[full]
    width = found.separators[full] + 1
    _check_lengths(file, data, starts, ends)
    undecodable = _undecodable(data, starts, ends)
    good = (width == len(file.columns)) & ~undecodable
    lines = found.lines(file.dialect.header_line)[full]
    bad = np.flatnonzero(~good)
    reasons = [_UNDECODABLE if undecodable[i] else _wrong_width(int(width[i]), len(file.columns)) for i in bad]
    raw = [_shown(data[starts[i] : min(ends[i], starts[i] + 4 * _RAW_SHOWN)].tobytes()) for i in bad]
    rejected = _rejects(bad + 1, lines[bad], raw, reasons)
    if not good.any():
        return Examined(_empty(file.columns), rejected, lines, ())
    kept = np.zeros(len(full), dtype=np.bool_)  # of all records: an empty line between two good ones is not copied
    kept[full] = good
    copy = _good_copy(file, data, found.starts, found.ends, kept)
    frame = pl.scan_csv(
        copy,
        has_header=False,
        schema=dict.fromkeys(file.columns, pl.String),
        separator=file.dialect.delimiter,
        quote_char=file.dialect.quote,
        row_index_name=ROW,
        row_index_offset=0,
        glob=False,
    )
    return Examined(_renumbered(frame, bad), rejected, lines, ())


def _good_copy(
    file: Opened, data: Bytes, starts: Offsets, ends: Offsets, good: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> bytes | Path:
    """The good records alone; in memory when small, else in the scratch folder. Neighbours are copied in one go."""
    edges = np.flatnonzero(np.diff(good.astype(np.int8), prepend=0, append=0))
    firsts, lasts = edges[0::2], edges[1::2] - 1
    view = data.data
    pieces = (view[starts[a] : ends[b]] for a, b in zip(firsts, lasts, strict=True))
    if len(data) < 64 << 20:
        return b"\n".join(pieces) + b"\n"
    target = file.scratch.path("good.csv")
    with target.open("wb") as out:
        for piece in pieces:
            out.write(piece)
            out.write(b"\n")
    return target


def _renumbered(frame: pl.LazyFrame, bad: Offsets) -> pl.LazyFrame:
    """Row numbers that leave gaps where bad rows were."""
    if not len(bad):
        return frame.with_columns(pl.col(ROW) + 1)
    # The g-th good row (from 0) has as many bad rows before it as bad rows at a place <= g once good rows are counted.
    thresholds = bad - np.arange(len(bad))

    def number(rows: pl.Series) -> pl.Series:
        places = rows.to_numpy()
        return pl.Series(ROW, places + np.searchsorted(thresholds, places, side="right") + 1, dtype=pl.UInt32)

    return frame.with_columns(pl.col(ROW).map_batches(number, return_dtype=pl.UInt32, is_elementwise=True))


def _by_reading(file: Opened) -> Examined:
    """For stray quotes: Python's reader, one record at a time, falling back to single lines where a quote runs away."""
    undecodable: list[int] = []
    raw_lines = file.data[file.header_start :].tobytes().split(b"\n")
    lines = [_decoded(line + b"\n", index, undecodable) for index, line in enumerate(raw_lines)]
    width = len(file.columns)
    broken = set(undecodable)
    columns: list[list[str]] = []
    rows: list[int] = []
    places: list[int] = []
    rejects: list[tuple[int, int, str, str]] = []
    number = 0
    for position, (index, count, record) in enumerate(tolerant(lines, file.dialect.quoting, width)):
        if position == 0 or not lines[index].strip("\r\n"):  # an empty line; empty cells between separators are a row
            continue
        number += 1
        line = index + file.dialect.header_line
        places.append(line)
        is_broken = any(i in broken for i in range(index, index + count))
        if len(record) == width and not is_broken:
            if max(map(len, record)) > MAX_FIELD_BYTES:
                raise LimitError(_too_long(file.name, line))
            columns.append(record)
            rows.append(number)
        else:
            raw = "".join(lines[index : index + count]).rstrip("\r\n")[:_RAW_SHOWN]
            rejects.append((number, line, raw, _UNDECODABLE if is_broken else _wrong_width(len(record), width)))
    frame = pl.DataFrame(columns, schema=dict.fromkeys(file.columns, pl.String), orient="row")
    frame = frame.insert_column(0, pl.Series(ROW, rows, dtype=pl.UInt32))
    bad = [list(c) for c in zip(*rejects, strict=True)] or [[], [], [], []]
    rejected = _rejects(np.array(bad[0], dtype=np.int64), np.array(bad[1], dtype=np.int64), bad[2], bad[3])
    issue = Issue(
        file.name,
        None,
        None,
        "stray_quotes",
        "quotes stand where they neither open nor close a field; those were read as text",
    )
    return Examined(frame.lazy(), rejected, np.array(places, dtype=np.int64), (issue,))


def _decoded(line: bytes, index: int, undecodable: list[int]) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        undecodable.append(index)
        return line.decode("utf-8", "backslashreplace")


def _undecodable(data: Bytes, starts: Offsets, ends: Offsets) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """True for records that are not valid UTF-8; only stretches that fail as a whole are looked at one by one."""
    bad = np.zeros(len(starts), dtype=np.bool_)
    step = 65_536
    for first in range(0, len(starts), step):
        last = min(first + step, len(starts)) - 1
        block = data[starts[first] : ends[last]]
        try:
            block.tobytes().decode("utf-8")
        except UnicodeDecodeError:
            high = np.flatnonzero(block >= 128) + starts[first]
            for i in np.unique(np.searchsorted(ends, high)):
                try:
                    data[starts[i] : ends[i]].tobytes().decode("utf-8")
                except UnicodeDecodeError:
                    bad[i] = True
    return bad


def _check_lengths(file: Opened, data: Bytes, starts: Offsets, ends: Offsets) -> None:
    for i in np.flatnonzero(ends - starts > MAX_FIELD_BYTES):
        record = data[starts[i] : ends[i]].tobytes().decode("utf-8", "replace")
        csv.field_size_limit(1 << 31)
        cells = next(csv.reader([record], delimiter=file.dialect.delimiter, quotechar=file.dialect.quote or '"'))
        if max(map(len, cells)) > MAX_FIELD_BYTES:
            raise LimitError(_too_long(file.name, int((data[: starts[i]] == ord("\n")).sum()) + 1))


def _too_long(name: str, line: int) -> str:
    return (
        f"{name}: line {line} has a field of more than {MAX_FIELD_BYTES:,} characters; check its quotes or shorten it"
    )


def _wrong_width(found: int, wanted: int) -> str:
    mend = "add or remove separators, or quote the field that holds one"
    return f"the row has {found} cells, the header has {wanted}; {mend}"


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").rstrip("\r\n")[:_RAW_SHOWN]


def _rejects(rows: Offsets, lines: Offsets, raw: list[str], reasons: list[str]) -> pl.DataFrame:
    data = {"row": rows, "line": lines, "column": [None] * len(rows), "raw": raw, "reason": reasons}
    return pl.DataFrame(data, schema=REJECTED_SCHEMA)


def _empty(columns: tuple[str, ...]) -> pl.LazyFrame:
    return pl.LazyFrame(schema={ROW: pl.UInt32, **dict.fromkeys(columns, pl.String)})
