"""Damaged backups: none is accepted, and nothing of them is left in plain."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.backup.archive import OBJECT_LIST, packing, unpack
from ops.backup.keyring import Keyring
from ops.backup.manifest import Header, Manifest
from ops.backup.store import BackupStore, file_name
from ops.backup.workspace import FOLDER, private_folder, sweep
from ops.errors import Damaged, Refused
from services.storage.local import LocalStorage

pytestmark = pytest.mark.slow

KEY = Keyring(["a strong key of this installation, forty"])
OTHER_KEY = Keyring(["a strong key of that installation, forty"])
BACKUP = "1" * 32
CHUNK = (64 << 10) + 16
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def packed(folder: Path, seed: int, backup_id: str = BACKUP, keyring: Keyring = KEY) -> bytes:
    """An encrypted backup of six chunks."""
    folder.mkdir(exist_ok=True)
    database = folder / "database.sqlite"
    database.write_bytes(random.Random(seed).randbytes(5 * 65536 + 1000))
    (folder / OBJECT_LIST).write_bytes(b"")
    target = folder / "backup.age"
    with packing(target, keyring) as packer:
        packer.add_manifest(
            Manifest(
                backup_id=backup_id,
                database_id="",
                engine="sqlite",
                server_version="3",
                started_at=AT,
                app_version="",
                schema_revision="",
                database=packer.add_path(database.name, database),
                tables={},
                objects=packer.add_path(OBJECT_LIST, folder / OBJECT_LIST),
                object_count=0,
                object_bytes=0,
                objects_included=True,
            )
        )
    return target.read_bytes()


def split(content: bytes) -> tuple[bytes, list[bytes]]:
    """Age's header with its nonce, and the encrypted chunks."""
    start = content.index(b"\n", content.index(b"\n--- ") + 1) + 1 + 16
    payload = content[start:]
    return content[:start], [payload[at : at + CHUNK] for at in range(0, len(payload), CHUNK)]


def damaged(one: bytes, other: bytes, foreign: bytes) -> Iterator[tuple[str, bytes]]:
    """More than 1,200 ways to spoil the backup `one`; `other` has the same key, `foreign` another."""
    rng = random.Random(378)
    for _ in range(1000):
        bit = rng.randrange(len(one) * 8)
        yield f"bit {bit}", one[: bit // 8] + bytes([one[bit // 8] ^ 1 << bit % 8]) + one[bit // 8 + 1 :]
    head, chunks = split(one)
    other_head, other_chunks = split(other)
    edges = [len(head) + CHUNK * number for number in range(len(chunks))]
    for edge in edges:
        for cut in (edge - 1, edge, edge + 1, edge + 16):
            yield f"cut at {cut}", one[:cut]
    for _ in range(150):
        cut = rng.randrange(len(one))
        yield f"cut at {cut}", one[:cut]
    for left in range(len(chunks)):
        yield f"drop {left}", head + b"".join(chunks[:left] + chunks[left + 1 :])
        yield f"twice {left}", head + b"".join(chunks[: left + 1] + chunks[left:])
        yield f"other's {left}", head + b"".join([*chunks[:left], other_chunks[left], *chunks[left + 1 :]])
        for right in range(left):
            swapped = list(chunks)
            swapped[left], swapped[right] = swapped[right], swapped[left]
            yield f"swap {left} {right}", head + b"".join(swapped)
    yield "append a byte", one + b"\0"
    yield "append a chunk", one + chunks[0]
    yield "append another backup", one + other
    yield "other's head", other_head + b"".join(chunks)
    yield "other key", foreign
    yield "empty", b""
    yield "not age", b"SQLite format 3\0" + bytes(5000)


def files(folder: Path) -> list[str]:
    """What lies in a folder."""
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_damaged_backups(tmp_path: Path) -> None:
    """Flipped, cut at chunk edges, swapped, dropped, doubled, appended, mixed, foreign: 0 accepted, 0 bytes left."""
    one = packed(tmp_path / "one", 1)
    other = packed(tmp_path / "other", 2)
    foreign = packed(tmp_path / "foreign", 1, keyring=OTHER_KEY)
    assert len(split(one)[1]) == 6
    tried = accepted = left = 0
    for what, content in damaged(one, other, foreign):
        assert content != one, what
        work = tmp_path / "work"
        work.mkdir()
        encrypted = tmp_path / "damaged.age"
        encrypted.write_bytes(content)
        try:
            unpack(encrypted, work, KEY, BACKUP)
            accepted += 1
        except Damaged:
            pass
        left += len(files(work))
        for rest in work.iterdir():
            rest.unlink()
        work.rmdir()
        tried += 1
    assert tried >= 1200
    assert (accepted, left) == (0, 0)
    whole = tmp_path / "whole"
    whole.mkdir()
    encrypted.write_bytes(one)
    assert unpack(encrypted, whole, KEY, BACKUP).backup_id == BACKUP


def test_another_backup_in_its_place(tmp_path: Path) -> None:
    """A whole backup under the name of another is refused: the manifest inside says which it is."""
    encrypted = tmp_path / "x.age"
    encrypted.write_bytes(packed(tmp_path / "one", 1, backup_id="2" * 32))
    (tmp_path / "work").mkdir()
    with pytest.raises(Damaged, match="put in its place"):
        unpack(encrypted, tmp_path / "work", KEY, BACKUP)
    assert files(tmp_path / "work") == []


def test_a_stranger_who_knows_the_recipient(tmp_path: Path) -> None:
    """Anyone can encrypt to the public half of the key; only the secret half signs a header that counts."""
    store = BackupStore(LocalStorage(tmp_path / "store"), KEY)
    header = Header(
        id=BACKUP,
        database_id="",
        engine="sqlite",
        started_at=AT,
        verified_at=AT,
        scheduled=False,
        size_bytes=3,
        sha256="0" * 64,
        schema_revision="",
        app_version="",
        rows=0,
        recipient=KEY.recipient,
    )
    key = f"backups/{file_name(BACKUP, AT)}.json"
    storage = LocalStorage(tmp_path / "store")
    for forged in (header, header.signed_by(OTHER_KEY), header.signed_by(KEY).model_copy(update={"rows": 1})):
        storage.put_stream(key, [forged.model_dump_json().encode()])
        assert (store.listing().backups, len(store.listing().strange)) == ([], 1)
    storage.put_stream(key, [header.signed_by(KEY).model_dump_json().encode()])
    assert [found.id for found in store.listing().backups] == [BACKUP]
    with pytest.raises(Damaged, match="missing"):
        store.fetch(header, tmp_path / "x")
    storage.put_stream(key.replace(".json", ".age"), [b"abc"])
    with pytest.raises(Damaged, match="not the one that was verified"):
        store.fetch(header, tmp_path / "x")


def test_a_failure_while_packing_leaves_nothing(tmp_path: Path) -> None:
    """When the disk fails under the source, no file remains that would look like a whole backup."""
    target = tmp_path / "backup.age"
    with pytest.raises(FileNotFoundError), packing(target, KEY) as packer:
        packer.add_path("database.sqlite", tmp_path / "is not there")
    assert not target.exists()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """A disk that takes no more is told as such."""
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(Refused, match="No space left"):
        KEY.encrypt(io.BytesIO(bytes(100_000)), full)


def test_a_key_is_an_identity_or_stands_for_one() -> None:
    """An identity file is taken as it is, any other key always gives the same identity, and none is refused."""
    again = Keyring([KEY.identity_file()])
    assert again.recipient == KEY.recipient == Keyring(["a strong key of this installation, forty\n"]).recipient
    with pytest.raises(Refused, match="no backup key"):
        Keyring([""])


def test_an_old_key_still_opens(tmp_path: Path) -> None:
    """After a rotation the new key signs and seals, and the old one behind it opens what it made."""
    encrypted = tmp_path / "x.age"
    encrypted.write_bytes(packed(tmp_path / "one", 1))
    both = Keyring([OTHER_KEY.identity_file(), KEY.identity_file()])
    (tmp_path / "work").mkdir()
    assert unpack(encrypted, tmp_path / "work", both, BACKUP).backup_id == BACKUP
    assert both.recipient == OTHER_KEY.recipient
    assert both.signed(b"x", KEY.sign(b"x"))


def test_private_folders_are_private_and_swept(tmp_path: Path) -> None:
    """Only the owner may look; a living process's folder stays, a dead one's is removed by the next."""
    with private_folder(tmp_path) as folder:
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert sweep(tmp_path) == 0
        assert folder.is_dir()
    dead = tmp_path / FOLDER / "dead"
    dead.mkdir()
    (dead / ".lock").touch()
    (dead / "payload").write_bytes(b"plain")
    with private_folder(tmp_path):
        assert not dead.exists()
