"""The drill: a restore into a scratch database, compared with the manifest, and the time it took."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ops.backup import catalogue
from ops.backup.contents import unpacked_objects
from ops.backup.digests import compare
from ops.backup.manifest import Header
from ops.backup.open import opened
from ops.backup.site import Report, Site, quiet
from ops.errors import Refused
from services.database.models import Drill
from services.errors import ServiceError


def duration(seconds: float) -> str:
    """A time that people wait for."""
    return f"{seconds:.1f} seconds" if seconds < 60 else f"{seconds / 60:.1f} minutes"


@dataclass(frozen=True, slots=True)
class Passed:
    """What a drill proved."""

    header: Header
    tables: int
    rows: int
    objects: int
    seconds: float


def drill(site: Site, header: Header, report: Report = quiet) -> Passed:
    """Restore a backup into a scratch database, compare every table and object; enters the outcome."""
    container = site.container
    row = Drill(backup_id=header.id, status="running", started_at=container.clock.now())
    with container.transaction() as session:
        session.add(row)
    try:
        passed = _drill(site, header, report)
    except BaseException as error:
        _end(site, row, "failed", error.message if isinstance(error, ServiceError) else type(error).__name__)
        raise
    told = f"{passed.tables} tables, {passed.rows:,} rows, {passed.objects:,} objects in {duration(passed.seconds)}"
    _end(site, row, "passed", told)
    catalogue.refresh_metrics(container)
    return passed


def _drill(site: Site, header: Header, report: Report) -> Passed:
    if header.engine != site.database.kind:
        raise Refused(f"Backup {header.id} is of {header.engine}, this installation runs on {site.database.kind}.")
    started = time.monotonic()
    with opened(site, header, report) as backup:
        report("restoring into a scratch database")
        with site.database.scratch(backup.database, backup.folder) as found:
            report("comparing")
            compare(backup.manifest.tables, found, "The scratch database")
        objects = sum(1 for _ in unpacked_objects(backup.content)) if backup.manifest.objects_included else 0
        tables = backup.manifest.tables
    rows = sum(table.rows for table in tables.values())
    return Passed(header, len(tables), rows, objects, time.monotonic() - started)


def _end(site: Site, row: Drill, status: str, detail: str) -> None:
    with site.container.transaction() as session:
        row.status, row.detail, row.finished_at = status, detail, site.container.clock.now()
        session.merge(row)
