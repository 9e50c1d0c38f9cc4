"""What a file may ask of us, in one place. Each limit is checked before the memory it would cost is spent."""

from __future__ import annotations

from recon_engine.errors import LimitError

MAX_COLUMNS = 2_000
MAX_FIELD_BYTES = 1_000_000
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_UNPACK_RATIO = 100
# Small files may be packed very well (a few kilobytes of zeros): the ratio counts above this size only.
RATIO_COUNTS_ABOVE_BYTES = 1_000_000
MAX_ARCHIVE_MEMBERS = 1_000
MAX_SHEET_CELLS = 5_000_000
MAX_SHEET_BOX = 20_000_000
MAX_WORKBOOK_BYTES = 500 * 1024**2
# The JSON reader holds the whole file; larger ones belong in JSON Lines, which is read by the line.
MAX_JSON_BYTES = 512 * 1024**2


def check_columns(name: str, count: int) -> None:
    """Raises LimitError when a table has more columns than we accept."""
    if count > MAX_COLUMNS:
        raise LimitError(
            f"{name}: has {count:,} columns, the limit is {MAX_COLUMNS:,}; check the delimiter or leave columns out"
        )


def check_unpacked(name: str, unpacked: int, packed: int) -> None:
    """Raises LimitError when `unpacked` bytes out of `packed` are too many, as a decompression bomb's would be."""
    if unpacked > MAX_UNPACKED_BYTES:
        raise LimitError(
            f"{name}: unpacks to more than {MAX_UNPACKED_BYTES // 1024**3} GiB; unpack it and give the plain file"
        )
    if unpacked > RATIO_COUNTS_ABOVE_BYTES and unpacked > packed * MAX_UNPACK_RATIO:
        raise LimitError(
            f"{name}: unpacks to more than {MAX_UNPACK_RATIO} times its size, as a decompression bomb would; "
            "unpack it yourself and give the plain file"
        )
