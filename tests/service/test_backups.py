"""Backups, restores and drills on SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, select, text

from ops.__main__ import main
from ops.backup import catalogue
from ops.backup.digests import compare
from ops.backup.drill import drill, duration
from ops.backup.engines import Database, database_at
from ops.backup.make import back_up
from ops.backup.manifest import Header, TableDigest
from ops.backup.open import opened, verify
from ops.backup.restore import restore_in_place, restore_into
from ops.backup.store import choose, file_name
from ops.errors import Damaged, Refused
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import Backup, Drill, UserSession, Workspace
from services.errors import NotSignedIn
from services.permissions import Actor, Scope
from tests.servers import free_port
from tests.service.backups import Site, add_objects, contents, fill, forget, made, other_database, site_of, work_files
from tests.service.conftest import PASSWORD

DRILLS = 50 if os.environ.get("RECON_FAULT") == "full" else 5


@pytest.fixture
def site(container: Container, admin: Actor) -> Site:
    """An installation with an administrator."""
    return site_of(container)


@pytest.fixture
def elsewhere(container: Container) -> Iterator[Database]:
    """An address where no database is yet."""
    url = other_database(container, "elsewhere")
    yield database_at(url.render_as_string(hide_password=False))
    if url.get_backend_name() == "postgresql":
        with container.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)'))


def test_a_backup_counts_when_it_was_read_back(site: Site) -> None:
    """Its header is in the store, the catalogue says verified, and nothing in plain is left."""
    header = made(site)
    assert [found.id for found in site.store.listing().backups] == [header.id]
    row = catalogue.recent(site.container)[0]
    assert (row.id, row.status, row.sha256) == (header.id, "verified", header.sha256)
    assert verify(site, header).tables["account"].rows == 1
    assert work_files(site) == []


def test_the_stored_file_tells_nothing(site: Site) -> None:
    """No address of a person is in the store; everything but the small header is encrypted."""
    made(site)
    for path in (site.data_dir / "backups").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"ada@example.org" not in content
            assert b"SQLite format" not in content
            assert b"PGDMP" not in content


def test_restored_bytes_are_the_snapshots(site: Site) -> None:
    """The opened database file has the hash that the snapshot had before it was packed."""
    header = made(site)
    with opened(site, header) as backup:
        assert hashlib.sha256(backup.database.read_bytes()).hexdigest() == backup.manifest.database.sha256


@pytest.mark.parametrize("number", range(DRILLS))
def test_drills_of_differing_sizes(site: Site, number: int) -> None:
    """Whatever the size, the scratch database holds each table's rows and digest, and the drill is entered."""
    rows = (number * 7919 + 13) % 20_000 if DRILLS > 5 else (0, 1, 500, 5_000, 20_000)[number]
    fill(site.container, rows, width=1 + number * 31 % 200)
    add_objects(site.container, number % 4, size=number * 50_000)
    passed = drill(site, made(site))
    assert (passed.rows, passed.objects) == (passed.header.rows, number % 4)
    assert passed.rows > rows
    last = catalogue.last_drill(site.container)
    assert last is not None
    assert (last.status, last.backup_id) == ("passed", passed.header.id)
    assert duration(passed.seconds) in str(last.detail)
    assert work_files(site) == []


def test_a_drill_notices_a_row_that_differs(site: Site) -> None:
    """A manifest that promises other rows than the dump holds fails the drill."""
    header = made(site)
    with opened(site, header) as backup:
        wrong = {**backup.manifest.tables, "account": TableDigest(rows=1, digest="0" * 32)}
        with site.database.scratch(backup.database, backup.folder) as found, pytest.raises(Damaged, match="account"):
            compare(wrong, found, "The scratch database")


def test_digests_do_not_depend_on_the_order_of_rows(site: Site, elsewhere: Database) -> None:
    """Rows written in another order give the same digest; two equal rows do not cancel out."""
    rows = [("b", 1), ("a", 2), ("a", 2)]
    found = []
    for order in (rows, list(reversed(rows)), rows[:1]):
        engine = create_engine(site.container.settings.database_address)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE IF EXISTS sample"))
            connection.execute(text("CREATE TABLE sample (name text, number integer)"))
            for name, number in order:
                connection.execute(text("INSERT INTO sample VALUES (:name, :number)"), {"name": name, "number": number})
        engine.dispose()
        found.append(contents(site.database, site)["sample"])
    assert found[0] == found[1] != found[2]


def test_restore_into_an_empty_database(site: Site, elsewhere: Database, tmp_path: Path) -> None:
    """Another database gets the same content, and a folder the same objects."""
    fill(site.container, 300)
    add_objects(site.container, 3)
    before = contents(site.database, site)
    header = made(site)
    outcome = restore_into(site, header, elsewhere, tmp_path / "copy")
    after = contents(elsewhere, site)
    assert {name: after[name] for name in before if name not in {"backup", "leader"}} == {
        name: before[name] for name in before if name not in {"backup", "leader"}
    }
    assert (outcome.database.previous, outcome.objects_restored) == ("", 3)
    with pytest.raises(Refused, match="not empty"):
        restore_into(site, header, elsewhere, None)


def test_restore_in_place_brings_back_what_was(site: Site, admin: Actor) -> None:
    """Later rows are gone from the live database and kept in the one before; objects are back; sessions and tokens are
    ended.
    """
    token, _ = site.container.api_tokens.create(admin, "a program", [Scope.READ], PASSWORD)
    add_objects(site.container, 2)
    header = made(site)
    fill(site.container, 5)
    next(iter((site.data_dir / "objects").rglob("0" * 64))).unlink()
    site.container.engine.dispose()
    outcome = restore_in_place(site, header)
    with site.container.session() as session:
        assert len(session.scalars(select(Workspace)).all()) == 1
        assert all(held.ended_at is not None for held in session.scalars(select(UserSession)))
    with pytest.raises(NotSignedIn):
        site.container.api_tokens.resolve(token, "127.0.0.1")
    with site.container.session() as session:
        assert [row.status for row in session.scalars(select(Backup))] == ["verified"]
    assert outcome.objects_restored == 1
    assert outcome.database.previous
    old = site.container.settings.database_address.replace(site.database.name, outcome.database.previous)
    engine = create_engine(old)
    with engine.connect() as connection:
        assert connection.scalar(select(Workspace.id).offset(5)) is not None
    engine.dispose()
    if site.database.kind == "postgresql":
        forget(site.container, outcome.database.previous)


def test_a_lost_database_is_restored_from_the_store_alone(site: Site) -> None:
    """Without any database `list` and `restore --latest` work: the store says what there is."""
    fill(site.container, 10)
    header = made(site)
    _lose(site)
    lost = site_of(site.container)
    assert choose(lost.store.listing(), None).id == header.id
    restore_in_place(lost, header)
    with site.container.session() as session:
        assert len(session.scalars(select(Workspace)).all()) == 11


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_a_database_with_several_hosts(site: Site) -> None:
    """Backup, drill and restore find the host that takes writes, as the product does."""
    here = site.container.engine.url
    several = f"postgresql://recon@127.0.0.1:{free_port()},127.0.0.1:{here.port}/{here.database}"
    given = site.container.settings.model_copy(update={"database_url": SecretStr(several)})
    container = build_container(given, site.container.clock)
    away = site_of(container)
    header = made(away)
    assert drill(away, header).rows == header.rows > 0
    fill(container, 5)
    container.close()
    site.container.engine.dispose()
    outcome = restore_in_place(away, header)
    with container.session() as session:
        assert len(session.scalars(select(Workspace)).all()) == 1
    forget(container, outcome.database.previous)
    container.close()


def test_another_installations_backup_is_refused(site: Site, tmp_path: Path) -> None:
    """A backup of another database does not replace the live one, even when our key opens it."""
    header = made(site)
    stranger = header.model_copy(update={"database_id": "f" * 32})
    site.container.engine.dispose()
    with pytest.raises(Refused, match="another installation"):
        restore_in_place(site, stranger)


def test_a_slot_takes_one_backup(site: Site) -> None:
    """The second scheduled backup of an hour is none; one by hand is always made."""
    assert back_up(site, "2026-03-02T09") is not None
    assert back_up(site, "2026-03-02T09") is None
    assert back_up(site) is not None


def test_a_failed_backup_does_not_count(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it cannot be read back nothing is published, the reason is entered, and its slot is free again."""
    fetch = type(site.store).fetch

    def spoiled(store: object, header: Header, target: Path) -> None:
        fetch(site.store, header, target)
        target.write_bytes(target.read_bytes()[:-1])

    with monkeypatch.context() as patch:
        patch.setattr(type(site.store), "fetch", spoiled)
        with pytest.raises(Damaged):
            back_up(site, "2026-03-02T09")
    assert site.store.listing().backups == []
    row = catalogue.recent(site.container)[0]
    assert (row.status, row.slot) == ("failed", None)
    assert "cut off" in str(row.error)
    assert back_up(site, "2026-03-02T09") is not None
    assert list(site.store.listing().orphans) == []


def test_unfinished_files_of_others_stay_for_a_day(site: Site, clock: FakeClock) -> None:
    """Of files that were never finished a backup removes its own and old ones; another installation may be at work."""
    folder = site.data_dir / "backups/backups"
    killed = catalogue.begin(site.container, None)
    assert killed is not None
    ours, others = (f"{file_name(name, clock.now())}.age" for name in (killed.id, "f" * 32))
    old = f"{file_name('e' * 32, clock.now() - timedelta(hours=25))}.age"
    strange = "notes.txt"
    for name in (ours, others, old, strange):
        site.container.backup_storage.put_stream(f"backups/{name}", [b"x"])
    header = made(site)
    left = {path.name for path in folder.iterdir() if header.id not in path.name}
    assert left == {others, strange}


def test_a_backup_under_writes_is_one_moment(site: Site) -> None:
    """Of rows written in pairs a backup holds both or neither, and the writers do not wait for it."""
    stop = threading.Event()
    slowest = 0.0

    def write() -> None:
        nonlocal slowest
        while not stop.is_set():
            started = time.monotonic()
            with site.container.transaction() as session:
                now = site.container.clock.now()
                session.add_all([Workspace(name="pair", created_at=now), Workspace(name="pair", created_at=now)])
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.005)

    fill(site.container, 20_000)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        rows = [verify(site, made(site)).tables["workspace"].rows for _ in range(2)]
    finally:
        stop.set()
        writer.join()
    assert all((count - 20_001) % 2 == 0 for count in rows)
    assert rows[1] > rows[0]
    assert slowest < 2


def test_the_command_line(site: Site, capsys: pytest.CaptureFixture[str], clock: FakeClock) -> None:
    """now, list, verify, prune, drill and restore answer with their exit status and one clear sentence."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(list(arguments), site.container)
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if not line.startswith("...")]
        return code, captured.out + "\n".join(lines)

    assert run("restore", "--latest") == (2, "Refused: There is no verified backup.")
    assert run("backup", "now", "--slot", "2026-03-02T09")[0] == 0
    assert run("backup", "now", "--slot", "2026-03-02T09")[1] == "The backup of 2026-03-02T09 exists already.\n"
    clock.advance(hours=1)
    code, listed = run("backup", "list")
    backup_id = listed.split()[2]
    assert (code, len(listed.splitlines())) == (0, 1)
    assert run("backup", "verify", "--all")[0] == 0
    assert run("drill")[0] == 0
    assert "hourly" in run("backup", "prune", "--dry-run")[1]
    assert run("restore", backup_id[:6] + "zz")[0] == 2
    assert run("restore", "--at", "2026-03-02T08:59")[0] == 2
    site.container.engine.dispose()
    code, told = run("restore", "--at", "2026-03-02T09:59")
    assert (code, backup_id in told) == (0, True), told
    _forget_previous(site, told)


def test_a_lost_key(site: Site, container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another key the backup is not among ours, and one sentence says so; the live database stays as it is."""
    header = made(site)
    other = type(site.keyring)(["another strong key another strong key"])
    monkeypatch.setattr(site.store, "keyring", other)
    listing = site.store.listing()
    assert (listing.backups, len(listing.strange)) == ([], 1)
    with pytest.raises(Refused, match="1 others were made with another key"):
        choose(listing, None)
    with pytest.raises(Damaged, match="key"):
        verify(site, header)
    assert work_files(site) == []


def test_a_killed_drill_leaves_no_scratch(site: Site) -> None:
    """Scratch databases and rows that say running are no hindrance to the next drill."""
    with site.container.transaction() as session:
        session.add(Drill(backup_id=None, status="running", started_at=site.container.clock.now() - timedelta(hours=1)))
    assert drill(site, made(site)).tables > 10


def _lose(site: Site) -> None:
    site.container.engine.dispose()
    if site.database.kind == "sqlite":
        for path in site.data_dir.glob("recon.db*"):
            path.unlink()
        return
    engine = create_engine(site.container.engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{site.container.engine.url.database}"'))
    engine.dispose()


def _forget_previous(site: Site, told: str) -> None:
    if site.database.kind == "postgresql":
        forget(site.container, told.split("is kept as ")[1].split(";", maxsplit=1)[0])
