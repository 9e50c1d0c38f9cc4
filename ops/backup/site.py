"""What the backup commands work on: one installation's database, objects, key and store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.backup.engines import Database, database_at
from ops.backup.keyring import Keyring
from ops.backup.store import BackupStore
from services.container import Container

Report = Callable[[str], None]
"""Is told what is being done, in a few words."""


@dataclass(frozen=True, slots=True)
class Site:
    """One installation."""

    container: Container
    database: Database
    store: BackupStore

    @property
    def data_dir(self) -> Path:
        """Where private work may lie."""
        return self.container.settings.data_dir

    @property
    def keyring(self) -> Keyring:
        """The backup key."""
        return self.store.keyring

    @property
    def embedded(self) -> bool:
        """Whether the objects lie on this machine only: then they belong into the backup."""
        return not self.container.settings.uploads_s3_bucket


def keyring_of(container: Container) -> Keyring:
    """The present backup key and the one before it."""
    return Keyring([key.get_secret_value() for key in container.secrets.accepted("backup_encryption_key")])


def site_of(container: Container) -> Site:
    """The installation that a container belongs to. Touches neither its database nor its store."""
    store = BackupStore(container.backup_storage, keyring_of(container))
    return Site(container, database_at(container.settings.database_address), store)


def quiet(_: str) -> None:
    """A report that nobody reads."""
