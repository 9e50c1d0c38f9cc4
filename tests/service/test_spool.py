"""While S3 is away uploads are kept locally, are read from there, and are moved when it is back."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from services import metrics
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import Job, SpooledObject
from services.errors import UploadFailed
from services.jobs.leases import Leases
from services.jobs.run import Run
from services.permissions import Actor
from services.settings import Settings
from services.storage.base import StorageAway
from services.storage.s3 import S3Storage
from services.storage.spool import Spool
from tests.aws_server import REGION, UPLOADS, AwsServer, aws_server, behind
from tests.cutting_proxy import CuttingProxy
from tests.work import launch

CSV = b"ref,amount\nA1,10.00\nA2,20.00\n"


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    """A running S3."""
    with aws_server() as running:
        yield running


@pytest.fixture
def proxy(server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    """What stands between the product and an emptied S3."""
    server.reset()
    monkeypatch.setattr("services.aws.READ_SECONDS", 0.25)
    with CuttingProxy(server.port) as between:
        behind(monkeypatch, server, between.port)
        yield between


@pytest.fixture
def on_s3(settings: Settings) -> Settings:
    """Settings with the bucket, and little patience."""
    hasty = {"retry_first_wait_seconds": 0.05, "breaker_open_seconds": 0.2, "spool_sync_seconds": 10.0}
    return settings.model_copy(update={"uploads_s3_bucket": UPLOADS, "aws_region": REGION, **hasty})


@pytest.fixture
def container(on_s3: Settings, proxy: CuttingProxy, clock: FakeClock) -> Iterator[Container]:
    """The services with their files on S3."""
    built = build_container(on_s3, clock)
    yield built
    built.close()


def spool_files(container: Container) -> list[Path]:
    """The files that the spool keeps."""
    return [path for path in (container.settings.data_dir / "spool" / "objects").rglob("*") if path.is_file()]


def rows(container: Container) -> list[SpooledObject]:
    """What waits to be moved."""
    with container.session() as session:
        return list(session.scalars(select(SpooledObject)))


@pytest.mark.parametrize("fault", ["refuse", "black_hole", "pause"])
def test_an_upload_survives_every_fault_of_s3(
    container: Container, admin: Actor, server: AwsServer, proxy: CuttingProxy, fault: str
) -> None:
    """The upload succeeds with a note, is described, and is in the bucket once S3 is back; nothing is left behind."""
    before = metrics.storage_fallbacks._value.get()
    server.pause() if fault == "pause" else getattr(proxy, fault)()
    try:
        file = container.files.upload(admin, "ledger.csv", [CSV])
        assert "kept safely on the server" in (container.files.note(admin, file) or "")
        assert container.files.profile(admin, file.id).status == "profiled"
        if fault == "refuse":  # the others take their time
            assert container.mover.move_due() == 0
        assert [row.key for row in rows(container)] == [file.storage_key]
    finally:
        server.resume()
        proxy.heal()
    assert metrics.storage_fallbacks._value.get() == before + 1
    if fault == "refuse":  # after the others, what was held back may arrive late
        assert server.objects() == {}
    container.clock.advance(seconds=10)  # type: ignore[attr-defined]  # a FakeClock
    container.breakers.of("s3")._until = 0.0  # as if its time were over
    assert container.mover.move_due() == 1
    assert server.objects() == {file.storage_key: CSV}
    assert (rows(container), spool_files(container), container.files.note(admin, file)) == ([], [], None)
    assert container.files.profile(admin, file.id).status == "profiled"


def test_an_upload_goes_straight_to_the_bucket(container: Container, admin: Actor, server: AwsServer) -> None:
    """With S3 well nothing is kept locally, and there is nothing to say about it."""
    file = container.files.upload(admin, "ledger.csv", [CSV])
    assert server.objects() == {file.storage_key: CSV}
    assert (rows(container), container.files.note(admin, file)) == ([], None)


def test_only_a_failed_fallback_is_a_failed_upload(container: Container, admin: Actor, proxy: CuttingProxy) -> None:
    """When neither S3 nor the disk takes the file, the user is told so, and no row claims otherwise."""
    proxy.refuse()
    incoming = container.settings.data_dir / "spool" / "objects" / ".incoming"
    assert container.spool.node
    shutil.rmtree(incoming)
    incoming.write_text("no folder")
    before = metrics.file_uploads_failed._value.get()
    with pytest.raises(UploadFailed, match=r"^File upload failed\. Please try again or contact support\.$"):
        container.files.upload(admin, "ledger.csv", [CSV])
    assert metrics.file_uploads_failed._value.get() == before + 1
    assert rows(container) == []
    assert container.files.list(admin) == []


@pytest.mark.parametrize(
    ("owner", "step"), [(S3Storage, "put_file"), (S3Storage, "sha256"), (Spool, "forget"), (Spool, "_drop_file")]
)
def test_a_mover_that_dies_at_any_step_loses_nothing(
    container: Container, admin: Actor, server: AwsServer, proxy: CuttingProxy, owner: type, step: str
) -> None:
    """Dying before or after each step of a move leaves the object readable; the next mover finishes the work."""
    keys = []
    for when in ("before", "after"):
        proxy.refuse()
        content = CSV + when.encode()
        file = container.files.upload(admin, "ledger.csv", [content])
        keys.append(file.storage_key)
        proxy.heal()
        container.breakers.of("s3")._until = 0.0
        plain = getattr(owner, step)

        def dying(*given: object, plain: object = plain, when: str = when, **named: object) -> None:
            if when == "after":
                plain(*given, **named)  # type: ignore[operator]
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, step, dying)
            with pytest.raises(KeyboardInterrupt):
                container.mover.move_due()
        with container.storage.open(file.storage_key) as stored:
            assert stored.read() == content
        container.mover.move_due()
        assert rows(container) == []
    for path in spool_files(container):  # a file whose row went is swept after an hour
        assert step in ("forget", "_drop_file"), path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.storage.spool._FORGOTTEN_SECONDS", -1)
        container.spool.sweep()
    assert spool_files(container) == []
    assert sorted(server.objects()) == sorted(keys)


def test_what_the_bucket_holds_is_compared_before_the_copy_goes(
    container: Container, admin: Actor, server: AwsServer, proxy: CuttingProxy
) -> None:
    """A damaged kept file is never moved, and a bucket with other content never makes us drop ours."""
    proxy.refuse()
    file = container.files.upload(admin, "ledger.csv", [CSV])
    proxy.heal()
    container.breakers.of("s3")._until = 0.0
    (kept,) = spool_files(container)
    kept.unlink()
    kept.write_bytes(b"damaged")
    assert container.mover.move_due() == 0
    assert [row.error for row in rows(container)] == ["the kept file is damaged"]
    assert server.objects() == {}
    kept.unlink()
    server.client("s3").put_object(Bucket=UPLOADS, Key=file.storage_key, Body=b"other")
    container.clock.advance(seconds=60)  # type: ignore[attr-defined]  # a FakeClock
    assert container.mover.move_due() == 0
    assert [row.error for row in rows(container)] == ["the bucket holds other content"]


def test_a_refused_object_holds_up_no_other(
    container: Container, admin: Actor, server: AwsServer, proxy: CuttingProxy
) -> None:
    """An object that the bucket's policy refuses waits, with the reason; those behind it are moved."""
    proxy.refuse()
    first = container.files.upload(admin, "first.csv", [CSV])
    container.clock.advance(seconds=1)  # type: ignore[attr-defined]  # a FakeClock
    second = container.files.upload(admin, "second.csv", [CSV + b"A3,30.00\n"])
    proxy.heal()
    container.breakers.of("s3")._until = 0.0
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject"}
    denied["Resource"] = f"arn:aws:s3:::{UPLOADS}/{first.storage_key}"
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    server.client("s3").put_bucket_policy(Bucket=UPLOADS, Policy=policy)
    container.clock.advance(seconds=60)  # type: ignore[attr-defined]  # a FakeClock
    assert container.mover.move_due() == 1
    assert list(server.objects()) == [second.storage_key]
    (waiting,) = rows(container)
    assert (waiting.key, str(waiting.error).startswith("the bucket refuses it")) == (first.storage_key, True)
    server.client("s3").delete_bucket_policy(Bucket=UPLOADS)
    container.clock.advance(seconds=60)  # type: ignore[attr-defined]  # a FakeClock
    assert container.mover.move_due() == 1
    assert sorted(server.objects()) == sorted([first.storage_key, second.storage_key])


def test_another_machine_waits_for_what_it_cannot_read(
    container: Container, admin: Actor, proxy: CuttingProxy, on_s3: Settings, clock: FakeClock, tmp_path: Path
) -> None:
    """A file kept on one machine is announced as such on another, whose mover leaves it alone."""
    proxy.refuse()
    file = container.files.upload(admin, "ledger.csv", [CSV])
    proxy.heal()
    elsewhere = build_container(
        on_s3.model_copy(update={"data_dir": tmp_path / "b", "database_url": database(on_s3)}), clock
    )
    with pytest.raises(StorageAway, match="still kept on another machine"):
        elsewhere.storage.open(file.storage_key)
    assert elsewhere.mover.move_due() == 0
    assert elsewhere.spool.count() == 1
    elsewhere.close()


def test_one_process_of_a_node_moves(container: Container, on_s3: Settings, clock: FakeClock) -> None:
    """Two processes with one data folder are one node, and only one of them moves at a time."""
    twin = build_container(on_s3, clock)
    assert twin.spool.node == container.spool.node
    with container.spool.moving() as first, twin.spool.moving() as second:
        assert (first, second) == (True, False)
    with twin.spool.moving() as later:
        assert later
    twin.close()


def test_an_administrator_moves_it_now(
    container: Container, admin: Actor, server: AwsServer, proxy: CuttingProxy
) -> None:
    """Asked for, waiting objects are due at once and the running mover takes them."""
    proxy.refuse()
    file = container.files.upload(admin, "ledger.csv", [CSV])
    assert container.mover.move_due() == 0  # put off now
    proxy.heal()
    container.breakers.of("s3")._until = 0.0
    assert container.mover.move_due() == 0
    assert container.mover.sync_now(admin) == 1
    container.mover.start()
    deadline = time.monotonic() + 20
    while container.spool.count() and time.monotonic() < deadline:
        time.sleep(0.02)
    container.mover.stop()
    assert server.objects() == {file.storage_key: CSV}
    assert container.mover.sync_now(admin) == 0


def test_a_run_waits_for_its_files(container: Container, admin: Actor, proxy: CuttingProxy) -> None:
    """A run whose files cannot be had goes back to the queue and loses no attempt; later it ends well, on S3."""
    job = launch(container, admin)
    shutil.rmtree(container.settings.data_dir / "cache")  # as on another machine
    proxy.refuse()
    leases = Leases(container)
    for round_ in range(4):  # more than the attempts that a job has
        with container.transaction() as session:
            session.get_one(Job, job.id).lease_until = None
        if round_ == 3:
            proxy.heal()
            container.breakers.of("s3")._until = 0.0
        claimed = leases.claim("somebody")
        assert claimed is not None
        Run(container, leases, *claimed, container.settings.data_dir / "work" / str(round_)).execute()
        expected = "succeeded" if round_ == 3 else "queued"
        assert container.jobs.get(admin, job.id).status == expected
    assert container.results.page(admin, job.id, "matches").total == 4
    assert len(list(container.storage.list(f"results/{job.id}"))) >= 7


def database(settings: Settings) -> object:
    """The address of the settings' database, to be shared by another data folder."""
    from pydantic import SecretStr

    return SecretStr(settings.database_address)
