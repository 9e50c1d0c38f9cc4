"""Results on their way out: tables that no spreadsheet runs as formulas, and zip files written while they are sent.

Text that begins like a formula gets an apostrophe before it, and so does text that begins with apostrophes or spaces
and then like a formula: whoever takes one apostrophe off each such text has the original again.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import polars as pl

_CHUNK_BYTES = 1024 * 1024
_FORMULA = "^['\\s\\x{feff}\\x{200b}]*[=+\\-@\t\r\n\\x00＝＋－＠]"
_NUMBER = r"^[+-]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?$"  # -12.50 is an amount, not a formula
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # one fixed time: the same result gives the same zip


def csv_chunk(frame: pl.DataFrame, *, header: bool) -> bytes:
    """The frame as CSV. Text that begins like a formula gets an apostrophe before it; numbers stay as they are."""
    return harmless(frame).write_csv(include_header=header).encode()


def harmless(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with every text, a category's name too, as a spreadsheet may have it."""
    plain = frame.with_columns(pl.selectors.by_dtype(pl.Categorical, pl.Enum).cast(pl.String))
    return plain.with_columns(_harmless(name) for name, kind in plain.schema.items() if kind == pl.String)


def _harmless(name: str) -> pl.Expr:
    text = pl.col(name)
    risky = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    return pl.when(risky).then(pl.concat_str(pl.lit("'"), text)).otherwise(text).alias(name)


def zip_chunks(members: Sequence[tuple[str, Callable[[], BinaryIO]]]) -> Iterator[bytes]:
    """A zip file of the members, in pieces, never whole in memory. Parquet is stored as it is: it is packed already."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, opener in members:
            info = zipfile.ZipInfo(name, date_time=_EARLIEST)
            packed = name.endswith(".parquet")
            info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            with opener() as source, archive.open(info, "w", force_zip64=True) as member:
                while chunk := source.read(_CHUNK_BYTES):
                    member.write(chunk)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """Takes what the zip writer writes until it is asked for it. Not seekable, so that nothing must be kept."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Keep a copy of the bytes."""
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
