"""The local object storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.storage.local import LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    """An empty storage."""
    return LocalStorage(tmp_path / "objects")


def test_an_object_reads_back_as_it_was_stored(storage: LocalStorage, tmp_path: Path) -> None:
    """A file put under a key is listed, sized and read back; the file itself stays."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    storage.put_file("uploads/ab/abcd", path)
    with storage.open("uploads/ab/abcd") as stored, storage.local_path("uploads/ab/abcd") as local:
        assert stored.read() == local.read_bytes() == b"a,b\n1,2\n"
    assert path.exists()
    assert storage.size("uploads/ab/abcd") == 8
    assert list(storage.list("uploads")) == ["uploads/ab/abcd"]


def test_lists_are_in_the_order_of_keys(storage: LocalStorage) -> None:
    """Whatever lies in folders of folders, the keys are sorted as text; a list may end after the first few."""
    keys = ["a/b/c", "a/b-1", "a/b.txt", "a/ba", "a/b0/x", "a/z"]
    for key in keys:
        storage.put_stream(key, [b"x"])
    assert list(storage.list("a")) == sorted(keys)
    assert list(storage.list("a", limit=2)) == sorted(keys)[:2]
    assert list(storage.list("none")) == []


def test_a_half_written_object_is_never_seen(storage: LocalStorage) -> None:
    """When the source of an object fails half-way, the key stays empty and nothing is left behind."""

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        storage.put_stream("uploads/x", broken())
    assert not storage.exists("uploads/x")
    assert not [path for path in storage._root.rglob("*") if path.is_file()]


def test_deleting_twice_is_harmless_and_leaves_no_folders(storage: LocalStorage) -> None:
    """Delete removes the object and its empty folders, and does nothing for what is not there."""
    storage.put_stream("results/j/1/summary.json", [b"{}"])
    storage.delete("results/j/1/summary.json")
    storage.delete("results/j/1/summary.json")
    assert not storage.exists("results/j/1/summary.json")
    assert not (storage._root / "results").exists()


def test_a_missing_object_is_a_file_not_found(storage: LocalStorage) -> None:
    """Reading what is not there raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError), storage.local_path("uploads/none"):
        pass
    with pytest.raises(FileNotFoundError):
        storage.open("uploads/none")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".incoming/x", "a/.hidden", "a\0b", "x" * 501]
)
def test_a_key_cannot_leave_the_storage(storage: LocalStorage, key: str) -> None:
    """Keys that are not plain relative paths are refused."""
    with pytest.raises(ValueError, match="not a storage key"):
        storage.put_stream(key, [b""])
