"""Making a backup: snapshot, pack, encrypt, store, read back, verify; only then does it count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ops.backup import catalogue
from ops.backup.archive import packing
from ops.backup.contents import pack_objects
from ops.backup.engines import Snapshot
from ops.backup.manifest import Header, Manifest
from ops.backup.open import verify
from ops.backup.prune import GRACE
from ops.backup.site import Report, Site, quiet
from ops.backup.store import begun_at, file_name, id_of
from ops.backup.workspace import private_folder, sweep
from ops.errors import Refused
from recon_engine.evidence import engine_version
from recon_engine.hashing import hash_file
from services.errors import ServiceError
from services.leadership import LEASE_SECONDS, Leadership

DUTY = "backup"


def back_up(site: Site, slot: str | None = None, report: Report = quiet) -> Header | None:
    """Make one verified backup. None when the slot of the schedule has one already.

    Whatever goes wrong, nothing counts and nothing in plain is left: leftovers of a killed process are removed first.
    """
    container = site.container
    with alone(site) as duty:
        _clean(site)
        row = catalogue.begin(container, slot)
        if row is None:
            return None
        try:
            header = _make(site, row.id, row.started_at, scheduled=slot is not None, report=report)
            if not duty.held:
                raise Refused("The backup lost its place to another process before it was finished; try again.")
            site.store.publish(header)
        except BaseException as error:
            reason = error.message if isinstance(error, ServiceError) else type(error).__name__
            catalogue.failed(container, row.id, reason)
            raise
        catalogue.verified(container, header)
        return header


@contextmanager
def alone(site: Site) -> Iterator[Leadership]:
    """Hold the duty of making backups; waits for another process to end, or for a killed one's lease to run out."""
    duty = Leadership(site.container, DUTY)
    give_up = time.monotonic() + LEASE_SECONDS * 1.5
    while not duty.renew():
        if time.monotonic() > give_up:
            raise Refused("Another backup is running; wait for it to end.")
        time.sleep(0.5)
    with duty:
        yield duty


def _clean(site: Site) -> None:
    """Remove what killed processes left. Only the holder of the duty may: nobody else is making a backup now.

    Another installation may keep its backups in the same folder, and be making one: of files that our catalogue does
    not know only the old ones go.
    """
    sweep(site.data_dir)
    catalogue.interrupt_running(site.container)
    orphans = site.store.listing().orphans
    ours = catalogue.known(site.container, map(id_of, orphans))
    old = site.container.clock.now() - GRACE
    for name in orphans:
        at = begun_at(name)
        if id_of(name) in ours or (at is not None and at < old):
            site.store.remove_orphan(name)


def _make(site: Site, backup_id: str, started_at: datetime, *, scheduled: bool, report: Report) -> Header:
    with private_folder(site.data_dir) as folder:
        report("copying the database")
        snapshot = site.database.snapshot(folder)
        report("packing and encrypting")
        packed = folder / "backup.age"
        manifest = _pack(site, snapshot, packed, backup_id, started_at)
        snapshot.file.unlink()
        digest = hash_file(packed)
        size = packed.stat().st_size
        report("storing")
        site.store.put(file_name(backup_id, started_at), packed)
    header = Header(
        id=backup_id,
        database_id=manifest.database_id,
        engine=manifest.engine,
        started_at=started_at,
        verified_at=started_at,
        scheduled=scheduled,
        size_bytes=size,
        sha256=digest,
        schema_revision=manifest.schema_revision,
        app_version=manifest.app_version,
        rows=sum(table.rows for table in manifest.tables.values()),
        recipient=site.keyring.recipient,
    )
    verify(site, header, report)
    return header.model_copy(update={"verified_at": site.container.clock.now()})


def _pack(site: Site, snapshot: Snapshot, packed: Path, backup_id: str, started_at: datetime) -> Manifest:
    packed.touch(mode=0o600)
    with packing(packed, site.keyring) as packer:
        database = packer.add_path(snapshot.file.name, snapshot.file)
        objects = pack_objects(site, packer, packed.parent)
        manifest = Manifest(
            backup_id=backup_id,
            database_id=snapshot.database_id,
            engine=site.database.kind,
            server_version=snapshot.server_version,
            started_at=started_at,
            app_version=engine_version()[:12],
            schema_revision=snapshot.schema_revision,
            database=database,
            tables=snapshot.tables,
            objects=objects.listing,
            object_count=objects.count,
            object_bytes=objects.size_bytes,
            objects_included=site.embedded,
        )
        packer.add_manifest(manifest)
    return manifest
