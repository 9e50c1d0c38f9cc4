"""Backups in a bucket, on a real S3 server over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from ops.__main__ import main
from ops.backup.drill import drill
from ops.backup.make import back_up
from ops.backup.open import opened, verify
from ops.backup.prune import Plan, apply
from ops.backup.restore import restore_in_place
from ops.errors import Damaged
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import Workspace
from services.permissions import Actor
from services.settings import Settings
from services.storage.base import StorageAway
from tests.aws_server import BACKUPS, REGION, UPLOADS, AwsServer, aws_server, behind
from tests.service.backups import Site, add_objects, fill, site_of, work_files


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    """A running S3."""
    with aws_server() as running:
        yield running


@pytest.fixture
def container(
    server: AwsServer, settings: Settings, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Container]:
    """An installation that keeps its files and its backups in buckets."""
    server.reset()
    behind(monkeypatch, server)
    buckets = {"aws_region": REGION, "uploads_s3_bucket": UPLOADS, "backup_s3_bucket": BACKUPS}
    built = build_container(settings.model_copy(update={**buckets, "retry_first_wait_seconds": 0.05}), clock)
    yield built
    built.close()


@pytest.fixture
def site(container: Container, admin: Actor) -> Site:
    """That installation with an administrator."""
    return site_of(container)


def test_a_backup_in_the_bucket(site: Site, server: AwsServer) -> None:
    """It lies under backups/, encrypted by S3 too and with a checksum, and a drill and a restore read it from there."""
    add_objects(site.container, 3)
    header = back_up(site)
    assert header is not None
    stored = server.objects(BACKUPS)
    assert sorted(key.rsplit(".", 1)[1] for key in stored) == ["age", "json"]
    assert all(key.startswith("backups/") for key in stored)
    for key in stored:
        head = server.client("s3").head_object(Bucket=BACKUPS, Key=key, ChecksumMode="ENABLED")
        assert head["ServerSideEncryption"] == "AES256"
        assert head["ChecksumSHA256"]
    with opened(site, header) as backup:
        assert backup.manifest.object_count == 3
        assert not backup.manifest.objects_included
        listed = (backup.content / "objects.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(listed) == 3
        assert all('"sha256": "0' in line and '"size": 1000' in line for line in listed)
    assert drill(site, header).objects == 0
    server.client("s3").delete_object(Bucket=UPLOADS, Key=f"uploads/00/{0:064x}")
    site.container.engine.dispose()
    outcome = restore_in_place(site, header)
    assert outcome.objects_missing == 1
    with site.container.session() as session:
        assert len(session.scalars(select(Workspace)).all()) == 1


def test_a_restore_lists_the_objects(site: Site, server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects that a backup names are looked for in a list, not one by one, once the database is restored."""
    from botocore.client import BaseClient

    add_objects(site.container, 3)
    header = back_up(site)
    assert header is not None
    server.client("s3").put_object(Bucket=UPLOADS, Key=f"uploads/01/{1:064x}", Body=b"cut off")
    site.container.engine.dispose()
    asked: list[str] = []
    plain, restore = BaseClient._make_api_call, type(site.database).restore

    def noted(client: BaseClient, operation: str, given: dict[str, object]) -> object:
        key = str(given.get("Key") or given.get("Prefix"))
        if key.startswith("uploads/"):
            asked.append(operation)
        return plain(client, operation, given)

    def restored(*given: object, **named: object) -> object:
        asked.append("restored")
        return restore(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    monkeypatch.setattr(type(site.database), "restore", restored)
    assert restore_in_place(site, header).objects_missing == 1
    assert asked == ["restored", "ListObjectsV2"]


def test_a_restore_needs_no_objects(site: Site, server: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    """While the bucket of the objects is gone the database is restored all the same, and what is left to do is told."""
    header = back_up(site)
    assert header is not None
    fill(site.container, 3)
    for key in server.objects():
        server.client("s3").delete_object(Bucket=UPLOADS, Key=key)
    server.client("s3").delete_bucket(Bucket=UPLOADS)
    site.container.engine.dispose()
    assert main(["restore", "--latest"], site.container) == 0
    told = capsys.readouterr().out
    assert "whether the objects that the backup names are there is not known" in told
    assert f'begin-anew "restored from backup {header.id}' in told
    with site.container.session() as session:
        assert len(session.scalars(select(Workspace)).all()) == 1


def test_a_changed_object_is_refused(site: Site, server: AwsServer) -> None:
    """A backup that somebody changed in the bucket is not used."""
    header = back_up(site)
    assert header is not None
    key = next(key for key in server.objects(BACKUPS) if key.endswith(".age"))
    content = bytearray(server.objects(BACKUPS)[key])
    content[-1] ^= 1
    server.client("s3").put_object(Bucket=BACKUPS, Key=key, Body=bytes(content))
    with pytest.raises(Damaged, match="not the one that was verified"):
        verify(site, header)
    assert work_files(site) == []


def test_removal_in_the_bucket(site: Site, server: AwsServer, clock: FakeClock) -> None:
    """Marks lie beside the backup; a removal takes all three objects."""
    header = back_up(site)
    assert header is not None
    apply(site.store, Plan({}, [header], [], [], {}), clock.now())
    assert site.store.listing().marked == {header.id: clock.now()}
    apply(site.store, Plan({}, [], [], [header], {}), clock.now())
    assert server.objects(BACKUPS) == {}


def test_a_bucket_that_is_away(site: Site, server: AwsServer, tmp_path: Path) -> None:
    """While the bucket is gone a backup fails with one sentence; it never counts, and nothing is left."""
    server.client("s3").delete_bucket(Bucket=BACKUPS)
    with pytest.raises(StorageAway):
        back_up(site)
    assert work_files(site) == []
    server.client("s3").create_bucket(Bucket=BACKUPS, CreateBucketConfiguration={"LocationConstraint": REGION})
    site.container.breakers.of("s3")
    assert site_of(site.container).store.listing().backups == []
