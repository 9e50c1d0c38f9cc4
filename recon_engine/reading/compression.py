"""Packed files: .gz, .zst and .zip with one member are unpacked to a scratch folder, counting the real bytes."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

import zstandard

from recon_engine.errors import InputError, LimitError
from recon_engine.reading.limits import MAX_ARCHIVE_MEMBERS, check_unpacked
from recon_engine.reading.table import Scratch

_BLOCK = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip"}


def compression_of(head: bytes) -> str | None:
    """The packing that the first bytes of a file show: gzip, zstd, zip or None."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def is_office_file(path: Path) -> bool:
    """True for a zip that is a document in itself (spreadsheet, OpenDocument), not a packed file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return "[Content_Types].xml" in names or "mimetype" in names or any(n.startswith("xl/") for n in names)


def unpacked(path: Path, name: str, kind: str, scratch: Scratch) -> tuple[Path, str]:
    """Unpack `path`; returns the plain copy and the name that tells its format. Raises InputError or LimitError."""
    try:
        if kind == "zip":
            return _unzip(path, name, scratch)
        inner = Path(name).stem if Path(name).suffix.lower() in (".gz", ".zst", ".zstd") else name
        target = scratch.path("unpacked-" + (Path(inner).suffix or ".csv").lstrip("."))
        if kind == "gzip":
            with gzip.open(path) as source:
                _copy(cast("IO[bytes]", source), target, name, path.stat().st_size)
        else:
            with (
                path.open("rb") as raw,
                zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as zst,
            ):
                _copy(cast("IO[bytes]", zst), target, name, path.stat().st_size)
        return target, inner
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, zipfile.BadZipFile) as error:
        raise InputError(f"{name}: the packed file is damaged or cut off ({error}); pack or send it again") from error


def _unzip(path: Path, name: str, scratch: Scratch) -> tuple[Path, str]:
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
        if len(members) > MAX_ARCHIVE_MEMBERS:
            raise LimitError(f"{name}: the archive has {len(members):,} members; give one file")
        if len(members) != 1:
            listed = ", ".join(m.filename for m in members[:3]) or "nothing"
            raise InputError(
                f"{name}: a .zip must hold exactly one file, this one has {len(members)} ({listed}); unpack it"
            )
        member = members[0]
        if member.flag_bits & 0x1:
            raise InputError(f"{name}: the archive is encrypted; unpack it and give the plain file")
        check_unpacked(name, member.file_size, path.stat().st_size)
        inner = Path(member.filename.replace("\\", "/")).name
        target = scratch.path("unpacked-" + (Path(inner).suffix or ".csv").lstrip("."))
        try:
            with archive.open(member) as source:
                _copy(source, target, name, path.stat().st_size)
        except NotImplementedError as error:
            raise InputError(f"{name}: the archive is packed in an unusual way ({error}); unpack it") from error
        return target, inner


def _copy(source: IO[bytes], target: Path, name: str, packed: int) -> None:
    # What an archive says about its size can lie: count what really comes out.
    total = 0
    with target.open("wb") as out:
        while block := source.read(_BLOCK):
            total += len(block)
            check_unpacked(name, total, packed)
            out.write(block)
