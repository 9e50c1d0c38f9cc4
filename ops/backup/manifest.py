"""What a backup says about itself: the manifest inside it, and the signed header beside it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ops.backup.keyring import Keyring
from ops.errors import Damaged

Engine = Literal["sqlite", "postgresql"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(_Strict):
    """A file in the backup."""

    name: str
    size_bytes: int
    sha256: str


class TableDigest(_Strict):
    """A table's content: its rows, and a digest of them that does not depend on their order."""

    rows: int
    digest: str


class Manifest(_Strict):
    """Everything needed to prove a restore right. Tables are counted in the snapshot that was dumped."""

    version: Literal[1] = 1
    backup_id: str
    database_id: str
    engine: Engine
    server_version: str
    started_at: datetime
    app_version: str
    schema_revision: str
    database: Member
    tables: dict[str, TableDigest]
    objects: Member
    object_count: int
    object_bytes: int
    objects_included: bool


class Header(_Strict):
    """The small file beside a backup. It is written last: a backup without one was never finished."""

    version: Literal[1] = 1
    id: str
    database_id: str
    engine: Engine
    started_at: datetime
    verified_at: datetime
    scheduled: bool
    size_bytes: int
    sha256: str
    schema_revision: str
    app_version: str
    rows: int
    recipient: str
    signature: str = ""

    def signed_by(self, keyring: Keyring) -> Header:
        """The same header with its signature."""
        return self.model_copy(update={"signature": keyring.sign(self._message())})

    def is_signed(self, keyring: Keyring) -> bool:
        """Whether one of our keys signed exactly this."""
        return keyring.signed(self._message(), self.signature)

    def _message(self) -> bytes:
        return self.model_copy(update={"signature": ""}).model_dump_json().encode()


def read_manifest(text: bytes, backup_id: str) -> Manifest:
    """The manifest of the backup that is being opened. Raises Damaged when it is another's, or is no manifest."""
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise Damaged(
            f"Backup {backup_id} holds a manifest that this version cannot read; use the version that made it."
        ) from error
    if manifest.backup_id != backup_id:
        raise Damaged(f"The file of backup {backup_id} holds backup {manifest.backup_id}: it was put in its place.")
    return manifest
