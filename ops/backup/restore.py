"""Restoring: everything is opened and checked before anything live is touched, and the old database is kept."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import update

from ops.backup import catalogue
from ops.backup.contents import PREFIXES, listed_objects, unpacked_objects
from ops.backup.engines import Database, Restored
from ops.backup.manifest import Header, Manifest
from ops.backup.open import Opened, opened
from ops.backup.site import Report, Site, quiet
from ops.errors import Refused
from services.database.api_models import ApiToken
from services.database.engine import MIGRATIONS, migrate
from services.storage import ObjectStorage, StorageAway
from services.storage.local import LocalStorage


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a restore did."""

    manifest: Manifest
    database: Restored
    objects_restored: int = 0
    objects_missing: int | None = 0
    """Named by the backup, but not in the object storage as they were; None when it did not answer."""


def restore_in_place(site: Site, header: Header, report: Report = quiet) -> Outcome:
    """Make the installation what it was: objects first, then the database in one step, sessions ended.

    Objects that are durable by themselves are not in the backup: that they are there is looked at when all is done.
    Refuses a backup of another installation, and a database that somebody is using.
    """
    live = site.database.database_id()
    if live and header.database_id and live != header.database_id:
        raise Refused(
            f"Backup {header.id} is of another installation than the database it would replace; "
            "restore it beside it with --into."
        )
    with opened(site, header, report) as backup:
        _fits(backup.manifest, site.database)
        restored, included = 0, backup.manifest.objects_included
        if included:
            report("restoring the objects")
            restored = _restore_objects(backup, site.container.storage)
        report("restoring the database")
        database = site.database.restore(backup.database, backup.manifest, replace=True)
        _settle(site, header)
        report("looking for the objects")
        missing = None
        with suppress(StorageAway):
            # The trail is shorter than what was noted outside the database: say why.
            site.container.audit_anchor.begin_anew(anew_because(header))
            missing = 0 if included else _missing_objects(backup, site.container.storage)
    return Outcome(backup.manifest, database, restored, missing)


def anew_because(header: Header) -> str:
    """Why the audit trail begins anew after a restore."""
    return f"restored from backup {header.id} of {header.started_at:%Y-%m-%d %H:%M} UTC"


def restore_into(site: Site, header: Header, target: Database, objects: Path | None, report: Report = quiet) -> Outcome:
    """Restore into a new or empty database elsewhere, and the objects into a folder if one is named."""
    with opened(site, header, report) as backup:
        _fits(backup.manifest, target)
        restored = 0
        if objects is not None:
            report("restoring the objects")
            restored = _restore_objects(backup, LocalStorage(objects))
        report("restoring the database")
        database = target.restore(backup.database, backup.manifest, replace=False)
        return Outcome(backup.manifest, database, restored)


def _fits(manifest: Manifest, target: Database) -> None:
    if manifest.engine != target.kind:
        raise Refused(f"Backup {manifest.backup_id} is of {manifest.engine}, the database to restore is {target.kind}.")
    known = {revision.revision for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if manifest.schema_revision and manifest.schema_revision not in known:
        raise Refused(
            f"Backup {manifest.backup_id} has the schema {manifest.schema_revision} of a newer version; "
            "restore it with that version."
        )


def _restore_objects(backup: Opened, storage: ObjectStorage) -> int:
    """Put back what is missing or differs; what the storage has beyond the backup stays."""
    count = 0
    for key, path, digest in unpacked_objects(backup.content):
        if _hash_of(storage, key) != digest:
            storage.put_file(key, path)
            count += 1
    return count


def _missing_objects(backup: Opened, storage: ObjectStorage) -> int:
    held = {key: size for prefix in PREFIXES for key, size in storage.sizes(prefix)}
    return sum(held.get(entry["key"]) != entry["size"] for entry in listed_objects(backup.content))


def _hash_of(storage: ObjectStorage, key: str) -> str | None:
    try:
        with storage.open(key) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _settle(site: Site, header: Header) -> None:
    """The restored database is that of then: bring its schema and its catalogue up to date, and note the restore."""
    container = site.container
    container.engine.dispose()
    migrate(container.engine, container.settings.database_app_role)
    catalogue.interrupt_running(container)
    catalogue.sync(container, site.store.listing())
    with container.transaction() as session:
        # Like sessions: one that was revoked since must not live again.
        live = update(ApiToken).where(ApiToken.revoked_at.is_(None))
        session.execute(live.values(revoked_at=container.clock.now()))
        container.audit.record(session, None, "backup.restore", "backup", header.id, snapshot=header.started_at)
