"""The form of a backup: age(zstd(tar)), so that `age -d -i key.txt FILE | zstd -d | tar x` opens it without us.

Written and read as streams: memory does not grow with the database. Nothing read is used before age has verified the
file to its last byte.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import zstandard

from ops.backup.keyring import Keyring
from ops.backup.manifest import Manifest, Member, read_manifest
from ops.errors import Damaged
from services.storage.base import checked_key

MANIFEST = "manifest.json"
OBJECT_LIST = "objects.jsonl"
OBJECTS = "objects/"
DATABASES = ("database.sqlite", "database.dump")
_LEVEL = 3
_CHUNK = 1 << 20


class Hashing:
    """A binary file read through; counts and hashes what passes."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        content: bytes = self._file.read(size)
        self._digest.update(content)
        self.size += len(content)
        return content

    def member(self, name: str) -> Member:
        """What was read, as a line of the manifest."""
        return Member(name=name, size_bytes=self.size, sha256=self._digest.hexdigest())


class Packer:
    """Adds files to the archive, one after another."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, name: str, file: BinaryIO) -> Member:
        """Add an open file under `name`; returns its size and hash as they went in."""
        entry = tarfile.TarInfo(name)
        entry.size = os.fstat(file.fileno()).st_size
        entry.mode = 0o600
        through = Hashing(file)
        self._tar.addfile(entry, through)
        self._tar.members = []  # type: ignore[attr-defined]  # tarfile remembers every member it has passed
        return through.member(name)

    def add_path(self, name: str, path: Path) -> Member:
        """Add a file of the disk."""
        with path.open("rb") as file:
            return self.add(name, file)

    def add_manifest(self, manifest: Manifest) -> None:
        """Add the manifest, last: by then every hash is known."""
        content = manifest.model_dump_json(indent=1).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size = len(content)
        entry.mode = 0o600
        self._tar.addfile(entry, io.BytesIO(content))


@contextmanager
def packing(target: Path, keyring: Keyring) -> Iterator[Packer]:
    """Write an encrypted archive. An exception inside leaves no file: what was sealed by then would look whole."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def seal() -> None:
        try:
            with os.fdopen(reading, "rb", _CHUNK) as plain, target.open("wb") as encrypted:
                keyring.encrypt(plain, encrypted)
                encrypted.flush()
                os.fsync(encrypted.fileno())
        except BaseException as error:  # noqa: BLE001  # raised in the caller's thread
            failed.append(error)

    sealer = threading.Thread(target=seal, name="backup-seal")
    sealer.start()
    try:
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        with (
            os.fdopen(writing, "wb", _CHUNK) as plain,
            compressor.stream_writer(plain) as compressed,
            tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK) as tar,
        ):
            yield Packer(tar)
    except BaseException as error:
        sealer.join()
        target.unlink(missing_ok=True)
        if failed and isinstance(error, BrokenPipeError):
            raise failed[0] from error
        raise
    sealer.join()
    if failed:
        target.unlink(missing_ok=True)
        raise failed[0]


def unpack(encrypted: Path, folder: Path, keyring: Keyring, backup_id: str) -> Manifest:
    """Open a backup into `folder`. Raises Damaged, and leaves nothing, unless every part is as it was made."""
    packed, opened = folder / "payload", folder / "opened"
    try:
        keyring.decrypt(encrypted, packed)
        opened.mkdir(mode=0o700)
        members = _extract(packed, opened, backup_id)
        packed.unlink()
        if MANIFEST not in members:
            raise Damaged(f"Backup {backup_id} holds no manifest: it was not made by this product.")
        manifest = read_manifest((opened / MANIFEST).read_bytes(), backup_id)
        for part in (manifest.database, manifest.objects):
            if members.get(part.name) != part:
                raise Damaged(f"Backup {backup_id} holds another {part.name} than its manifest says.")
        return manifest
    except BaseException:
        packed.unlink(missing_ok=True)
        shutil.rmtree(opened, ignore_errors=True)
        raise


def _extract(packed: Path, opened: Path, backup_id: str) -> dict[str, Member]:
    """Write the archive's members under `opened`; gives all but the objects, of which there may be very many."""
    members = {}
    try:
        with (
            packed.open("rb") as source,
            zstandard.ZstdDecompressor().stream_reader(source) as plain,
            tarfile.open(fileobj=plain, mode="r|", bufsize=_CHUNK) as tar,
        ):
            while entry := tar.next():
                target = opened / _safe_name(entry, backup_id)
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                file = tar.extractfile(entry)
                assert file is not None  # a regular file, as _safe_name has checked
                member = _copied(entry.name, file, target)
                if not entry.name.startswith(OBJECTS):
                    members[entry.name] = member
                tar.members = []  # type: ignore[attr-defined]  # as above
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise Damaged(f"Backup {backup_id} is encrypted with our key, but is no archive of ours.") from error
    return members


def _safe_name(entry: tarfile.TarInfo, backup_id: str) -> str:
    try:
        known = entry.name in {MANIFEST, OBJECT_LIST, *DATABASES}
        if not entry.isreg() or not (known or OBJECTS + checked_key(entry.name.removeprefix(OBJECTS)) == entry.name):
            raise ValueError(entry.name)
    except ValueError as error:
        raise Damaged(f"Backup {backup_id} holds a file that no backup of ours has.") from error
    return entry.name


def _copied(name: str, file: IO[bytes], target: Path) -> Member:
    through = Hashing(file)
    with target.open("xb") as copy:
        shutil.copyfileobj(through, copy, _CHUNK)
    return through.member(name)
