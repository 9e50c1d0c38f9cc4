"""Opening a backup: fetched, compared with its signed header, decrypted to the last byte, then unpacked and checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.backup.archive import unpack
from ops.backup.contents import unpacked_objects
from ops.backup.manifest import Header, Manifest
from ops.backup.site import Report, Site, quiet
from ops.backup.workspace import private_folder
from ops.errors import Damaged


@dataclass(frozen=True, slots=True)
class Opened:
    """A backup in plain, in a private folder that is gone afterwards."""

    manifest: Manifest
    folder: Path
    """Where other private files may lie."""

    @property
    def content(self) -> Path:
        """What the archive held."""
        return self.folder / "opened"

    @property
    def database(self) -> Path:
        """The database's file."""
        return self.content / self.manifest.database.name


@contextmanager
def opened(site: Site, header: Header, report: Report = quiet) -> Iterator[Opened]:
    """Open a backup. Raises Damaged, and leaves nothing behind, unless it is whole and ours."""
    with private_folder(site.data_dir) as folder:
        report("fetching the backup")
        encrypted = folder / "backup.age"
        site.store.fetch(header, encrypted)
        report("decrypting and unpacking")
        manifest = unpack(encrypted, folder, site.keyring, header.id)
        encrypted.unlink()
        if manifest.database_id != header.database_id:
            raise Damaged(f"Backup {header.id} belongs to another database than its header says.")
        yield Opened(manifest, folder)


def verify(site: Site, header: Header, report: Report = quiet) -> Manifest:
    """Read a backup back from the store and check every part of it."""
    from ops.backup.engines import check

    with opened(site, header, report) as backup:
        report("checking the database and the objects")
        check(backup.database, backup.manifest)
        if backup.manifest.objects_included:
            for _ in unpacked_objects(backup.content):
                pass
        return backup.manifest
