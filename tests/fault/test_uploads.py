"""Damaged and hostile uploads: each is read or refused in one sentence; none ends, hangs or fills the server."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import resource
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
import zstandard
from openpyxl import Workbook

from services.container import build_container
from services.errors import TooLarge
from tests.fault.conftest import FULL
from tests.reading_child import profiled
from tests.service.conftest import PASSWORD, make_settings

SEED = int(os.environ.get("RECON_FAULT_SEED", "378"))
MUTANTS = 1200 if FULL else 120
BATCH = 40
ROWS = [{"ref": f"A{n}", "amount": f"{n}.50", "day": "2026-01-02", "text": 'Müller, "quoted"\nline'} for n in range(40)]
DOCTYPE = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def _workbook() -> bytes:
    book = Workbook()
    assert book.active is not None
    book.active.append(list(ROWS[0]))
    for row in ROWS:
        book.active.append(list(row.values()))
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def _zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def _written(method: str) -> bytes:
    sink = io.BytesIO()
    getattr(pl.DataFrame(ROWS), method)(sink)
    return sink.getvalue()


CSV = _written("write_csv")
ORIGINALS: dict[str, bytes] = {
    "a.csv": CSV,
    "b.tsv": CSV.replace(b",", b"\t"),
    "c.xlsx": _workbook(),
    "d.json": json.dumps(ROWS).encode(),
    "e.jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
    "f.parquet": _written("write_parquet"),
    "g.csv.gz": gzip.compress(CSV),
    "h.csv.zst": zstandard.ZstdCompressor().compress(CSV),
    "i.zip": _zipped({"inner.csv": CSV}),
    "j16.csv": CSV.decode().encode("utf-16"),
}


def _flip(data: bytearray, dice: random.Random) -> bytearray:
    for _ in range(dice.choice((1, 3, 20, 200))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return data


def _cut(data: bytearray, dice: random.Random) -> bytearray:
    return data[: dice.randrange(len(data))]


def _drop(data: bytearray, dice: random.Random) -> bytearray:
    start = dice.randrange(len(data))
    del data[start : start + dice.randrange(1, 400)]
    return data


def _repeat(data: bytearray, dice: random.Random) -> bytearray:
    start = dice.randrange(len(data))
    return data[:start] + data[start : start + dice.randrange(1, 600)] * dice.choice((2, 50)) + data[start:]


def _insert(data: bytearray, dice: random.Random) -> bytearray:
    pieces = (
        b"\0" * 9,
        b"\xff" * 9,
        b'"',
        b"\r",
        b",,,,,,",
        b"\n" * 50,
        b"PK\x03\x04",
        b"\xef\xbb\xbf",
        b"=cmd|'",
        DOCTYPE,
    )
    start = dice.randrange(len(data))
    return data[:start] + dice.choice(pieces) + data[start:]


def _numbers(data: bytearray, dice: random.Random) -> bytearray:
    """Lengths and counts that lie: four bytes become the largest or smallest number."""
    start = dice.randrange(max(1, len(data) - 4))
    data[start : start + 4] = dice.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"))
    return data


def _splice(data: bytearray, dice: random.Random) -> bytearray:
    other = dice.choice(list(ORIGINALS.values()))
    return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


def _part(data: bytearray, dice: random.Random) -> bytearray:
    """A workbook or archive that is whole as a zip, with one part changed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # noqa: BLE001  # no archive, or one that was damaged before
        return _flip(data, dice)
    chosen = dice.choice(sorted(members))
    changed = dice.choice((_flip, _cut, _drop, _repeat, _insert))(bytearray(members[chosen] or b" "), dice)
    members[chosen] = bytes(changed)
    return bytearray(_zipped(members))


MUTATIONS: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    _flip, _cut, _drop, _repeat, _insert, _numbers, _splice, _part,
)  # fmt: skip


def mutant(dice: random.Random) -> tuple[str, bytes]:
    """A damaged copy of a good file, now and then under the name of another kind."""
    name, data = dice.choice(sorted(ORIGINALS.items()))
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2))):
        changed = dice.choice(MUTATIONS)(changed or bytearray(b" "), dice)
    return (dice.choice(sorted(ORIGINALS)) if dice.random() < 0.15 else name), bytes(changed)


@pytest.fixture
def mutants(tmp_path: Path) -> list[str]:
    """Damaged files; the same on every run."""
    dice = random.Random(SEED)
    made = []
    for number in range(MUTANTS):
        name, data = mutant(dice)
        path = tmp_path / f"{number:04d}-{name}"
        path.write_bytes(data)
        made.append(str(path))
    return made


@pytest.mark.timeout(1800 if FULL else 300)
def test_each_damaged_file_is_read_or_refused_in_one_sentence(mutants: list[str]) -> None:
    """None ends its reader, hangs, or is refused without a plain reason (seed RECON_FAULT_SEED)."""
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(profiled, [mutants[n : n + BATCH] for n in range(0, len(mutants), BATCH)]))
    results = {Path(path).name: result for batch in done for path, result in batch.items()}
    assert len(results) == MUTANTS
    wrong = {
        name: (code, told)
        for name, (code, told) in results.items()
        if code not in (0, 2) or (code == 2 and (told.count("\n") != 1 or "Traceback" in told or len(told) > 1_000))
    }
    assert wrong == {}, f"seed {SEED}"
    codes = [code for code, _ in results.values()]
    assert 0 < codes.count(2) < MUTANTS  # both ends are met: the mutations damage some files and not others


def _bomb(size: int) -> bytes:
    return _zipped({"bomb.csv": b"a,b\n" + b"0,0\n" * (size // 4)})


def _nested() -> bytes:
    inner = CSV
    for depth in range(20):
        inner = _zipped({f"{depth}.zip" if depth else "inner.csv": inner})
    return inner


def _lying() -> bytes:
    """An archive whose directory says that its member is small."""
    data = bytearray(_bomb(40 << 20))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(mark) + place
        data[start : start + 4] = (1000).to_bytes(4, "little")
    return bytes(data)


def _sheet_with(extra: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(ORIGINALS["c.xlsx"])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    head, _, rest = members["xl/worksheets/sheet1.xml"].partition(b"<worksheet")
    members["xl/worksheets/sheet1.xml"] = head + extra + b"<worksheet" + rest
    return _zipped(members)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb.zip": (lambda: _bomb(40 << 20), "decompression bomb"),
    "lying.zip": (_lying, "damaged|bomb"),
    "bomb.csv.gz": (lambda: gzip.compress(b"a,b\n" + b"0,0\n" * (10 << 20)), "decompression bomb"),
    "nested.zip": (_nested, "packed twice"),
    "nested.csv.gz": (lambda: gzip.compress(gzip.compress(CSV)), "packed twice"),
    "many.zip": (lambda: _zipped({f"{n}.csv": b"a\n1\n" for n in range(2000)}), "2,000 members"),
    "two.zip": (lambda: _zipped({"a.csv": CSV, "b.csv": CSV}), "exactly one file"),
    "entities.xlsx": (lambda: _sheet_with(DOCTYPE), "declares entities"),
    "wide.csv": (lambda: b",".join(b"c%d" % n for n in range(300_000)) + b"\n1\n", "columns"),
    "page.csv": (lambda: b"<!DOCTYPE html><html><script>alert(1)</script></html>", "HTML"),
    "program.csv": (lambda: b"MZ" + bytes(1000), "program"),
    "picture.xlsx": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(1000), "picture"),
    "deep.json": (lambda: b"[" * 200_000 + b"]" * 200_000, "."),
}


@pytest.mark.timeout(300)
def test_each_hostile_file_is_refused_for_its_own_reason(tmp_path: Path) -> None:
    """Bombs, nested and lying archives, entities, and files that are something else are named as what they are."""
    for name, (make, _) in HOSTILE.items():
        (tmp_path / name).write_bytes(make())
    results = profiled([str(tmp_path / name) for name in HOSTILE])
    told = {name: results[str(tmp_path / name)] for name in HOSTILE}
    wrong = {
        name: told[name]
        for name, (_, reason) in HOSTILE.items()
        if told[name][0] != 2 or not re.search(reason, told[name][1]) or told[name][1].count("\n") != 1
    }
    assert wrong == {}


def test_a_path_in_an_archive_is_only_a_name(tmp_path: Path) -> None:
    """A member that names a place outside is read as a table, and nothing is written there."""
    outside = tmp_path / "outside.csv"
    archive = tmp_path / "sub" / "tricks.zip"
    archive.parent.mkdir()
    archive.write_bytes(_zipped({f"../{outside.name}": CSV}))
    assert profiled([str(archive)])[str(archive)][0] == 0
    assert not outside.exists()
    assert sorted(p.name for p in archive.parent.iterdir()) == ["tricks.zip"]


def test_the_server_keeps_its_size_and_refuses_by_quota(sqlite_template: Path, tmp_path: Path) -> None:
    """Uploads that are bombs leave the server as it was; names never become paths; the quota holds."""
    shutil.copy(sqlite_template, tmp_path / "recon.db")
    container = build_container(make_settings(tmp_path, storage_quota_mb=3))
    container.accounts.create_first_admin("Ada", "ada@example.org", PASSWORD)
    actor = container.sessions.resolve(container.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "t")[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, content in (
        ("../../../etc/cron.d/x.csv", CSV),
        ("..\\..\\a\x00b.csv", CSV),
        ("bomb.zip", _bomb(40 << 20)),
        ("x/entities.xlsx", _sheet_with(DOCTYPE)),
        ("deep.json", b"[" * 100_000),
    ):
        stored = container.files.upload(actor, name, [content])
        assert "/" not in stored.name
        assert "\\" not in stored.name
        assert ".." not in stored.storage_key
        read = container.files.profile(actor, stored.id)
        assert (read.status == "profiled") == name.endswith(".csv")
        assert read.status == "profiled" or read.refusal
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024  # KiB
    with pytest.raises(TooLarge, match="one person may keep 3 MB"):
        container.files.upload(actor, "large.csv", [bytes(1 << 20)] * 3)
    assert not list((tmp_path / "incoming").iterdir())
    container.close()
