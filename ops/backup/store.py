"""Where backups lie: NAME.age and, once verified, NAME.json beside it; NAME.marked when it is to be removed.

The store alone says which backups exist: it can be listed and restored from when the database is lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from ops.backup.keyring import Keyring
from ops.backup.manifest import Header
from ops.errors import Damaged, Refused
from services.storage import ObjectStorage

FOLDER = "backups"
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Listing:
    """What the store holds. `strange` are headers that we did not sign, `orphans` files that were never finished."""

    backups: Sequence[Header] = ()
    marked: dict[str, datetime] = field(default_factory=dict)
    strange: Sequence[str] = ()
    orphans: Sequence[str] = ()


class BackupStore:
    """Backups in an object storage."""

    def __init__(self, storage: ObjectStorage, keyring: Keyring) -> None:
        self._storage = storage
        self.keyring = keyring

    def put(self, name: str, file: Path) -> None:
        """Store the encrypted file. It does not count yet."""
        self._storage.put_file(f"{FOLDER}/{name}.age", file)

    def publish(self, header: Header) -> None:
        """Write the header: from now on the backup counts."""
        content = header.signed_by(self.keyring).model_dump_json(indent=1).encode()
        self._storage.put_stream(f"{FOLDER}/{file_name(header.id, header.started_at)}.json", [content])

    def listing(self) -> Listing:
        """Everything in the store, newest first."""
        keys = [key.removeprefix(f"{FOLDER}/") for key in self._storage.list(FOLDER)]
        headers: list[Header] = []
        strange: list[str] = []
        marks: dict[str, datetime] = {}
        for key in keys:
            if key.endswith(".json"):
                header = self._header(key)
                if header is not None:
                    headers.append(header)
                else:
                    strange.append(key)
            elif key.endswith(".marked"):
                marks[id_of(key)] = self._mark(key)
        known = {file_name(header.id, header.started_at) for header in headers}
        known |= {name.removesuffix(".json") for name in strange}
        orphans = [key for key in keys if not key.endswith(".json") and key.rsplit(".", 1)[0] not in known]
        headers.sort(key=lambda header: (header.started_at, header.id), reverse=True)
        return Listing(headers, marks, strange, orphans)

    def fetch(self, header: Header, target: Path) -> None:
        """Copy the encrypted file to `target`. Raises Damaged when it is not what the header says."""
        key = f"{FOLDER}/{file_name(header.id, header.started_at)}.age"
        digest, size = hashlib.sha256(), 0
        try:
            with self._storage.open(key) as source, target.open("wb") as copy:
                while chunk := source.read(1 << 20):
                    digest.update(chunk)
                    size += copy.write(chunk)
        except FileNotFoundError as error:
            raise Damaged(f"The file {key} of backup {header.id} is missing; choose another backup.") from error
        if (size, digest.hexdigest()) != (header.size_bytes, header.sha256):
            raise Damaged(
                f"The file {key} is not the one that was verified: {size:,} bytes instead of {header.size_bytes:,}, "
                "or other content. Choose another backup."
            )

    def mark(self, header: Header, now: datetime) -> None:
        """Mark for removal; `remove` comes a day later."""
        name = file_name(header.id, header.started_at)
        self._storage.put_stream(f"{FOLDER}/{name}.marked", [json.dumps(now.isoformat()).encode()])

    def unmark(self, header: Header) -> None:
        """Take the mark off."""
        self._storage.delete(f"{FOLDER}/{file_name(header.id, header.started_at)}.marked")

    def remove(self, header: Header) -> None:
        """Remove a backup: the header first, so that it stops to count before its file is gone."""
        for ending in ("json", "age", "marked"):
            self._storage.delete(f"{FOLDER}/{file_name(header.id, header.started_at)}.{ending}")

    def remove_orphan(self, name: str) -> None:
        """Remove a file that was never finished."""
        self._storage.delete(f"{FOLDER}/{name}")

    def _header(self, key: str) -> Header | None:
        try:
            with self._storage.open(f"{FOLDER}/{key}") as file:
                header = Header.model_validate_json(file.read(1 << 16))
        except (ValidationError, FileNotFoundError):
            return None
        named = key.removesuffix(".json") == file_name(header.id, header.started_at)
        return header if named and header.is_signed(self.keyring) else None

    def _mark(self, key: str) -> datetime:
        try:
            with self._storage.open(f"{FOLDER}/{key}") as file:
                return datetime.fromisoformat(json.loads(file.read(100))).astimezone(UTC)
        except (ValueError, TypeError, FileNotFoundError):
            return datetime.max.replace(tzinfo=UTC)  # an unreadable mark never comes due


def file_name(backup_id: str, started_at: datetime) -> str:
    """The name of a backup's files, which sorts by time."""
    return f"{started_at.astimezone(UTC):{_TIME}}-{backup_id}"


def id_of(name: str) -> str:
    """The id in the name of a backup's file."""
    return name.rsplit(".", 1)[0].rsplit("-", 1)[-1]


def begun_at(name: str) -> datetime | None:
    """The time in the name of a backup's file; None for a name that is not one of ours."""
    try:
        return datetime.strptime(name.partition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def choose(listing: Listing, wanted: str | datetime | None, database_id: str = "") -> Header:
    """The backup that is asked for: by id (or its first digits), the newest at or before a moment, or the newest.

    Raises Refused when there is none, or when the store holds several databases and nothing says which is meant.
    """
    if isinstance(wanted, str):
        found = [header for header in listing.backups if header.id.startswith(wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            raise Refused(f"{len(found)} backups begin with {wanted}; give more digits.")
        raise Refused(f"There is no backup {wanted} that our key signed; `python -m ops backup list` shows them.")
    found = [header for header in listing.backups if wanted is None or header.started_at <= wanted]
    if not found:
        strange = f" {len(listing.strange)} others were made with another key." if listing.strange else ""
        raise Refused(
            f"There is no verified backup{f' at or before {wanted:%Y-%m-%d %H:%M}' if wanted else ''}.{strange}"
        )
    ours = [header for header in found if header.database_id in (database_id, "")] if database_id else found
    databases = {header.database_id for header in ours} - {""}
    if len(databases) > 1:
        raise Refused(f"The store holds backups of {len(databases)} databases; name the backup by its id.")
    if not ours:
        raise Refused("The store holds backups of another database only; name one by its id to use it all the same.")
    return ours[0]
