"""What the tests of backups share."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, text
from sqlalchemy.engine import make_url

from ops.backup.engines import Database
from ops.backup.make import back_up
from ops.backup.manifest import Header, TableDigest
from ops.backup.site import Site, site_of
from ops.backup.workspace import FOLDER
from services.container import Container
from services.database.models import Workspace


def fill(container: Container, rows: int, width: int = 100) -> None:
    """Add workspaces with names of the given width, some of them hard to keep: quotes, breaks, other scripts."""
    odd = "Ünï'\"\\\n\té漢字 %s :x"
    with container.transaction() as session:
        now = container.clock.now()
        session.add_all(
            Workspace(name=(odd + f"{number:x}" * width)[: min(width, 200)], created_at=now) for number in range(rows)
        )


def add_objects(container: Container, count: int, size: int = 1000) -> None:
    """Store some objects."""
    for number in range(count):
        container.storage.put_stream(f"uploads/{number:02x}/{number:064x}", [bytes([number % 251]) * size])


def made(site: Site) -> Header:
    """A backup made now."""
    header = back_up(site)
    assert header is not None
    return header


def contents(database: Database, site: Site) -> dict[str, TableDigest]:
    """What a database holds now."""
    folder = site.data_dir / "look"
    folder.mkdir(exist_ok=True)
    snapshot = database.snapshot(folder)
    snapshot.file.unlink()
    return snapshot.tables


def forget(container: Container, database: str) -> None:
    """Drop a database that a restore has kept."""
    with container.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f'DROP DATABASE "{database}"'))


def work_files(site: Site) -> list[Path]:
    """Files in private folders: none may be left."""
    return [path for path in (site.data_dir / FOLDER).rglob("*") if path.is_file()]


def other_database(container: Container, name: str) -> URL:
    """The address of another database of the same kind and place, which does not exist yet."""
    url = make_url(container.settings.database_address)
    if url.get_backend_name() == "sqlite":
        return url.set(database=str(container.settings.data_dir / f"{name}.db"))
    return url.set(database=f"{url.database}_{name}"[-60:])


__all__ = [
    "Site",
    "add_objects",
    "contents",
    "fill",
    "forget",
    "made",
    "other_database",
    "site_of",
    "work_files",
]
