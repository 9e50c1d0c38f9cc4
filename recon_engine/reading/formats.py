"""Which format a file is, by what it holds first and by its name second."""

from __future__ import annotations

import zipfile
from pathlib import Path

from recon_engine.errors import InputError

_SAVE_AS = "save it as .xlsx or CSV and give that"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# The first bytes of the Excel files of the nineties, before they were wrapped in OLE.
_OLD_EXCEL = (b"\x09\x08", b"\x09\x04", b"\x09\x02", b"\x09\x00")
_BINARY = {
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x7fELF": "a program",
    b"MZ": "a program",
}


def refuse_binary(head: bytes, path: Path, name: str) -> str | None:
    """Xlsx or parquet when the bytes show it, None for text. Raises InputError for binary formats we do not read."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(_OLE):
        if b"E\0n\0c\0r\0y\0p\0t\0e\0d\0" in path.read_bytes()[: 1 << 20]:
            raise InputError(
                f"{name}: is protected by a password; remove it in Excel (File, Info, Protect) and save again"
            )
        raise InputError(f"{name}: is an old Excel workbook (.xls); {_SAVE_AS}")
    if head.startswith(_OLD_EXCEL):
        raise InputError(f"{name}: is an old Excel workbook (.xls); {_SAVE_AS}")
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            raise InputError(f"{name}: is {what}, not a table; give CSV, .xlsx, Parquet or JSON")
    if head.startswith(b"PK"):
        return _office_kind(path, name)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:5].lower() in (b"<?xml", b"<html", b"<!doc"):
        raise InputError(f"{name}: is XML or HTML, not a table; give CSV, .xlsx, Parquet or JSON")
    return None


def text_format(head: bytes, name: str) -> str:
    """csv, json or jsonl for a text file."""
    suffix = Path(name).suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if suffix == ".json" or start.startswith((b"[{", b'{"')):
        first, _, rest = start.partition(b"\n")
        one_object_a_line = first.rstrip().endswith(b"}") and first.startswith(b"{") and rest.lstrip().startswith(b"{")
        return "jsonl" if one_object_a_line else "json"
    return "csv"


def _office_kind(path: Path, name: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "mimetype" in names:
                raise InputError(f"{name}: is an OpenDocument file (.ods); {_SAVE_AS}")
            if any(n.startswith("xl/") and n.endswith(".bin") and "workbook" in n for n in names):
                raise InputError(f"{name}: is a binary Excel workbook (.xlsb); {_SAVE_AS}")
            if any(n.lower().endswith("vbaproject.bin") for n in names):
                raise InputError(f"{name}: is an Excel workbook with macros (.xlsm); {_SAVE_AS}")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{name}: is a damaged .xlsx or .zip ({error}); save or send it again") from error
    if not any("workbook" in n.lower() for n in names):
        raise InputError(f"{name}: is an office document but not a spreadsheet; give CSV, .xlsx, Parquet or JSON")
    return "xlsx"
