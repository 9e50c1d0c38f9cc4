"""Object storage on a real S3 server over HTTP, stopped, paused and black-holed through a proxy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.aws import s3_client
from services.resilience import Breakers
from services.settings import Settings
from services.storage.base import StorageAway
from services.storage.read_cache import ReadCache
from services.storage.s3 import S3Storage
from tests.aws_server import REGION, UPLOADS, AwsServer, aws_server, behind
from tests.cutting_proxy import CuttingProxy
from tests.service.conftest import make_settings

MB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    """A running S3."""
    with aws_server() as running:
        yield running


@pytest.fixture
def proxy(server: AwsServer) -> Iterator[CuttingProxy]:
    """What stands between the product and an emptied S3."""
    server.reset()
    with CuttingProxy(server.port) as between:
        yield between


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that wait little between attempts, and clients with short limits."""
    monkeypatch.setattr("services.aws.READ_SECONDS", 0.5)
    return make_settings(tmp_path, retry_first_wait_seconds=0.05, breaker_open_seconds=0.3)


@pytest.fixture
def storage(
    server: AwsServer, proxy: CuttingProxy, hasty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> S3Storage:
    """The uploads' bucket."""
    behind(monkeypatch, server, proxy.port)
    cache = ReadCache(tmp_path / "cache", 100 * MB)
    return S3Storage(s3_client(REGION), UPLOADS, Breakers(hasty), tmp_path / "scratch", cache)


def test_an_object_reads_back_as_it_was_stored(storage: S3Storage, tmp_path: Path) -> None:
    """A file put under a key is listed, sized, hashed and read back; deleting twice is harmless."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    storage.put_file("uploads/ab/abcd", path)
    assert storage.put_stream("uploads/cd", [b"x", b"yz"]) == 3
    with storage.open("uploads/ab/abcd") as stored, storage.local_path("uploads/ab/abcd") as local:
        assert stored.read() == local.read_bytes() == b"a,b\n1,2\n"
    assert (storage.size("uploads/ab/abcd"), storage.exists("uploads/none")) == (8, False)
    assert list(storage.list("uploads")) == ["uploads/ab/abcd", "uploads/cd"]
    assert list(storage.list("uploads", limit=1)) == ["uploads/ab/abcd"]
    storage.delete("uploads/cd")
    storage.delete("uploads/cd")
    assert list(storage.list("uploads/")) == ["uploads/ab/abcd"]
    with pytest.raises(FileNotFoundError), storage.open("uploads/cd"):
        pass
    storage.ping()


def test_a_large_file_travels_in_parts_with_checksums_and_encryption(
    storage: S3Storage, server: AwsServer, tmp_path: Path
) -> None:
    """20 MB arrive in three parts, each checked by SHA-256, encrypted at rest, and come back byte for byte."""
    content = os.urandom(20 * MB)
    (tmp_path / "large").write_bytes(content)
    storage.put_file("uploads/large", tmp_path / "large")
    head = server.client("s3").head_object(Bucket=UPLOADS, Key="uploads/large", ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"')
    assert head["ServerSideEncryption"] == "AES256"
    assert head["ChecksumSHA256"]
    storage._cache.drop("uploads/large")  # type: ignore[union-attr]
    with storage.open("uploads/large") as stored:
        assert stored.read() == content


@pytest.mark.parametrize("fault", ["refuse", "black_hole", "reset", "limit"])
def test_a_fault_is_told_within_its_time_and_passes(
    storage: S3Storage, proxy: CuttingProxy, tmp_path: Path, fault: str
) -> None:
    """Three attempts, then StorageAway; cached objects are still read; after the fault all is as before."""
    (tmp_path / "file").write_bytes(b"content")
    storage.put_file("uploads/known", tmp_path / "file")
    getattr(proxy, fault)(*([10] if fault == "limit" else []))
    before, started = proxy.connections, time.monotonic()
    with pytest.raises(StorageAway):
        storage.put_file("uploads/new", tmp_path / "file")
    assert time.monotonic() - started < 5
    if fault in ("black_hole", "reset"):
        assert proxy.connections - before == 3
    with storage.open("uploads/known") as cached:
        assert cached.read() == b"content"
    proxy.heal()
    storage.put_file("uploads/new", tmp_path / "file")
    assert storage.sha256("uploads/new") == storage.sha256("uploads/known")


def test_a_bucket_that_stays_away_is_left_alone(storage: S3Storage, proxy: CuttingProxy, tmp_path: Path) -> None:
    """After five failures in a row the breaker answers at once, without a connection; it closes by itself."""
    (tmp_path / "file").write_bytes(b"content")
    proxy.black_hole()
    for _ in range(2):
        with pytest.raises(StorageAway):
            storage.put_file("uploads/new", tmp_path / "file")
    connections, started = proxy.connections, time.monotonic()
    with pytest.raises(StorageAway):
        storage.put_file("uploads/new", tmp_path / "file")
    assert (proxy.connections, time.monotonic() - started < 0.05) == (connections, True)
    proxy.heal()
    time.sleep(0.35)
    for _ in range(3):
        storage.put_file("uploads/new", tmp_path / "file")
    assert storage.exists("uploads/new")


def test_the_cache_is_bounded_and_spares_what_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies beyond the limit go, those that were not asked for the longest time first; fresh ones stay."""
    cache = ReadCache(tmp_path / "cache", 25)
    paths = {}
    for number in range(4):
        paths[number] = cache.path(f"k/{number}", lambda path: path.write_bytes(b"0123456789") and None)
    assert all(path.exists() for path in paths.values())
    for number, age in enumerate((4000, 3000, 2000, 1000)):
        os.utime(paths[number], (time.time() - age,) * 2)
    cache.path("k/0", lambda path: pytest.fail("it is there"))  # now the most recently used
    cache.path("k/4", lambda path: path.write_bytes(b"0123456789") and None)
    assert [number for number, path in paths.items() if path.exists()] == [0]
