"""CSV and its relatives. Well-formed files are scanned lazily; the rest are examined record by record."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from recon_engine.errors import InputError, Issue
from recon_engine.plan import ReaderOptions
from recon_engine.reading.encodings import encoding_of, transcoded
from recon_engine.reading.records import examined
from recon_engine.reading.sniffing import Dialect, looks_like_data, sniff
from recon_engine.reading.structure import Bytes, Structure, Verdict, structure_of, verdict_on
from recon_engine.reading.table import ROW, Facts, Scratch, TextTable, empty_as_null, header_names

# Below this size a file is examined at once, so that nothing is left to suspect.
_EXAMINE_AT_ONCE_BYTES = 8 << 20
_SAMPLE_BYTES = 1 << 18


def open_delimited(path: Path, name: str, options: ReaderOptions, facts: Facts, scratch: Scratch) -> TextTable:
    """Open a delimited text file. Raises InputError, LimitError or UndecidedError."""
    path, start = _as_utf8(path, name, options, facts, scratch)
    data = mapped(path)
    path, data = _with_line_feeds(path, data, scratch)
    head = data[start : start + _SAMPLE_BYTES].tobytes()
    if b"\0" in head:
        raise nul_error(name, data, start)
    text = head.decode("utf-8", "replace")
    if len(data) - start > _SAMPLE_BYTES:
        text = text[: text.rfind("\n") + 1] or text
    if not text.strip():
        raise InputError(f"{name}: is empty; give a file with a header and rows")
    dialect = sniff(text, name, options, facts)
    columns = header_names(name, list(dialect.header_cells))
    is_small = len(data) < _EXAMINE_AT_ONCE_BYTES
    if not is_small and dialect.quote and not _holds(path, dialect.quote):
        # Without quotes there is less to look for in every byte, and an empty cell can only be an absent one.
        dialect = replace(dialect, quoting=replace(dialect.quoting, quote=None))
    opening = _Opening(path, name, start, dialect, columns, options, facts, scratch)
    return opening.strictly() if is_small else opening.lazily()


def _holds(path: Path, character: str) -> bool:
    # By pieces that are read, ten times as fast as through the map: the search in a map goes byte by byte.
    wanted, piece = character.encode(), bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(piece):
            if piece.find(wanted, 0, size) >= 0:
                return True
    return False


@dataclass
class _Opening:
    """One file with its dialect decided, and the two ways to read it. `path` is plain UTF-8 with line feeds."""

    path: Path
    name: str
    start: int
    dialect: Dialect
    columns: tuple[str, ...]
    options: ReaderOptions
    facts: Facts
    scratch: Scratch

    @property
    def data(self) -> Bytes:
        """The file's bytes, mapped anew: a map is dropped as soon as nobody looks at it."""
        return mapped(self.path)

    @cached_property
    def header_start(self) -> int:
        """The byte at which the header begins."""
        return _line_start(self.data, self.start, self.dialect.header_line)

    def examine(self) -> Structure:
        """The file's structure from the header on."""
        return structure_of(self.data, self.header_start, *self._marks())

    def _marks(self) -> tuple[int, int | None]:
        return ord(self.dialect.delimiter), ord(self.dialect.quote) if self.dialect.quote else None

    def _verdict(self) -> Verdict:
        return verdict_on(self.data, self.header_start, *self._marks(), len(self.columns))

    def lazily(self) -> TextTable:
        """Scan with polars, while a thread checks that the file is as regular as its first lines."""
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="structure")
        future = pool.submit(self._verdict)
        pool.shutdown(wait=False)
        header = structure_of(self.data[: self.header_start + (1 << 20)], self.header_start, *self._marks())
        skip = self.dialect.header_line + int((header.inner_breaks < header.ends[0]).sum())
        return TextTable(
            path=self.path,
            name=self.name,
            frame=scan(self.path, self.columns, self.dialect, skip, self.options.nulls),
            columns=self.columns,
            facts=self.facts,
            issues=_header_issues(self.name, self.dialect, ()),
            line_of=self._lines,
            is_ragged=lambda: self._is_irregular(future),
            reopen=self.strictly,
            scratch=self.scratch,
        )

    def strictly(self) -> TextTable:
        """Examine every record; rows of another width and undecodable rows are set apart."""
        found = self.examine()
        if found.has_nul:
            raise nul_error(self.name, self.data, self.header_start)
        result = examined(self, found)
        frame = _cleaned(result.frame, self.columns, self.dialect, self.options.nulls)
        return TextTable(
            path=self.path,
            name=self.name,
            frame=frame,
            columns=self.columns,
            facts=self.facts,
            rejected=result.rejected,
            issues=_header_issues(self.name, self.dialect, result.issues),
            line_of=_picker(result.lines),
            scratch=self.scratch,
        )

    def _is_irregular(self, future: Future[Verdict]) -> bool:
        found = future.result()
        if found.has_nul:
            raise nul_error(self.name, self.data, self.header_start)
        return not found.is_regular or self.dialect.quoting.escape is not None

    def _lines(self, rows: pl.Series) -> pl.Series:
        # Row r is the r-th record after the header: a regular file has no others.
        lines = self.examine().lines(self.dialect.header_line)
        return pl.Series("line", lines[rows.cast(pl.Int64).to_numpy()], dtype=pl.Int64)


def scan(
    path: Path, columns: tuple[str, ...], dialect: Dialect, skip_lines: int, nulls: tuple[str, ...]
) -> pl.LazyFrame:
    """A lazy scan as text of a regular file, after `skip_lines` physical lines."""
    frame = pl.scan_csv(
        path,
        has_header=False,
        skip_lines=skip_lines,
        schema=dict.fromkeys(columns, pl.String),
        separator=dialect.delimiter,
        quote_char=dialect.quote,
        row_index_name=ROW,
        row_index_offset=1,
        glob=False,
    )
    if dialect.quote is None and not dialect.quoting.padded and not nulls:
        return frame  # the scan itself reads an absent cell as null
    return _cleaned(frame, columns, dialect, nulls)


def _cleaned(frame: pl.LazyFrame, columns: tuple[str, ...], dialect: Dialect, nulls: tuple[str, ...]) -> pl.LazyFrame:
    if dialect.quoting.padded:
        frame = frame.with_columns(pl.col(columns[1:]).str.strip_prefix(" "))
    return frame.with_columns(empty_as_null(columns, nulls))


def mapped(path: Path) -> Bytes:
    """The file's bytes, mapped: pages are read when looked at."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return np.zeros(0, dtype=np.uint8)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)


def nul_error(name: str, data: Bytes, start: int) -> InputError:
    """The refusal of a file with NUL bytes, naming the line of the first."""
    place = int(np.flatnonzero(data[start:] == 0)[0]) + start
    line = int((data[:place] == ord("\n")).sum()) + 1
    return InputError(
        f"{name}: line {line} holds a NUL byte, which no text has; the file is damaged or not a text file"
    )


def _as_utf8(path: Path, name: str, options: ReaderOptions, facts: Facts, scratch: Scratch) -> tuple[Path, int]:
    if options.encoding is not None:
        encoding, mark = options.encoding.lower().replace("_", "-"), 0
        facts.given("encoding", options.encoding)
        with path.open("rb") as file:
            if encoding in ("utf-8", "utf8") and file.read(3) == b"\xef\xbb\xbf":
                mark = 3
    else:
        encoding, mark = encoding_of(path, name)
        facts.detected("encoding", encoding)
    if encoding in ("utf-8", "utf8", "ascii"):
        return path, mark
    return transcoded(path, name, encoding, mark, scratch), 0


def _with_line_feeds(path: Path, data: Bytes, scratch: Scratch) -> tuple[Path, Bytes]:
    """Old Macintosh files end lines with a carriage return alone: such a file is copied with line feeds."""
    head = data[:_SAMPLE_BYTES].tobytes()
    if b"\r" not in head or b"\n" in head or (data == ord("\n")).any():
        return path, data
    target = scratch.path("line-feeds.txt")
    target.write_bytes(data.tobytes().replace(b"\r", b"\n"))
    return target, mapped(target)


def _line_start(data: Bytes, start: int, line: int) -> int:
    if line == 1:
        return start
    breaks = np.flatnonzero(data[start : start + (_SAMPLE_BYTES << 2)] == ord("\n"))
    return int(breaks[line - 2]) + 1 + start


def _picker(lines: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Callable[[pl.Series], pl.Series]:
    return lambda rows: pl.Series("line", lines[rows.cast(pl.Int64).to_numpy() - 1], dtype=pl.Int64)


def _header_issues(name: str, dialect: Dialect, found: tuple[Issue, ...]) -> tuple[Issue, ...]:
    issues = list(found)
    if dialect.header_line > 1:
        issues.append(
            Issue(
                name, None, None, "lines_above_header", f"{dialect.header_line - 1} lines above the header were skipped"
            )
        )
    if looks_like_data(dialect.header_cells):
        message = (
            "the header looks like data; if the file has no header, its first row was taken for one: add a header row"
        )
        issues.append(Issue(name, None, None, "header_looks_like_data", message))
    unnamed = [str(i) for i, cell in enumerate(dialect.header_cells, start=1) if not cell.strip()]
    if unnamed:
        issues.append(Issue(name, None, None, "unnamed_columns", f"columns without a name: {', '.join(unnamed[:20])}"))
    return tuple(issues)
