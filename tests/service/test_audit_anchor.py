"""The trail's end, noted outside the database: cuts and rewritten trails are found."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, make_transient

from services.audit import FIRST_HASH, entry_hash, main, verify_chain
from services.audit_anchor import FOLDER
from services.container import Container, build_container
from services.database.models import AuditEntry
from services.errors import Invalid, NotAllowed
from services.permissions import Actor, Role
from services.settings import Settings
from services.storage import ObjectStorage
from tests.work import ROOT, worker_environment

ENTRIES = 10_000


def note(container: Container, actor: Actor, count: int) -> None:
    """Record `count` entries."""
    for number in range(count):
        with container.transaction() as session:
            container.audit.record(session, actor, "test.note", "thing", str(number), size=number)


def behind_the_application(container: Container, change: Callable[[Session], None]) -> None:
    """Change the table as someone with the database's own password could."""
    with container.transaction() as session:
        if container.engine.dialect.name == "sqlite":
            session.execute(text("DROP TRIGGER IF EXISTS audit_no_delete"))
            session.execute(text("DROP TRIGGER IF EXISTS audit_no_update"))
        else:
            session.execute(text("DROP TRIGGER IF EXISTS audit_append_only ON audit"))
        change(session)


def rewrite(session: Session) -> None:
    """Alter one entry and make every later hash fit: the chain alone finds nothing wrong."""
    previous = FIRST_HASH
    for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.id)):
        if entry.target_id == "3":
            entry.action = "test.other"
        entry.previous_hash = previous
        entry.hash = previous = entry_hash(entry)


def test_cut_tail_is_found(container: Container, admin: Actor) -> None:
    """Entries cut from the end leave a perfect chain; only the note outside tells."""
    note(container, admin, 8)
    noted = container.audit_anchor.note()
    assert noted is not None
    assert container.audit.examine().anchored == noted.entry
    behind_the_application(container, lambda s: s.execute(text("DELETE FROM audit WHERE target_id IN ('6', '7')")))
    found = container.audit.examine()
    assert not found.whole
    assert found.reason == f"entry {noted.entry} was noted outside the database and is gone: the trail was cut"
    note(container, admin, 1)
    container.audit_anchor.note()
    assert not container.audit.examine().whole, "going on does not make up for the cut"


def test_rewritten_trail_is_found(container: Container, admin: Actor) -> None:
    """A trail whose hashes were all computed anew is a perfect chain; the note outside differs."""
    note(container, admin, 8)
    noted = container.audit_anchor.note()
    assert noted is not None
    behind_the_application(container, rewrite)
    with container.session() as session:
        assert verify_chain(session.scalars(select(AuditEntry).order_by(AuditEntry.id))).whole
    found = container.audit.examine()
    assert not found.whole
    assert f"entry {noted.entry} is not the one" in found.reason


def test_notes_are_written_once_and_only_when_the_trail_grew(container: Container, admin: Actor) -> None:
    """The same end is noted once, by however many processes; a later end gets a note of its own."""
    other = build_container(container.settings, container.clock)
    assert container.audit_anchor.note() is not None
    assert container.audit_anchor.note() is None
    assert other.audit_anchor.note() is None
    note(container, admin, 1)
    assert other.audit_anchor.note() is not None
    assert len(list(container.storage.list(FOLDER))) == 2
    other.close()


def test_notes_cost_the_same_however_many_there_are(
    container: Container, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note lists one name, a check lists and reads the newest few; a beginning by another process is followed."""
    monkeypatch.setattr("services.audit_anchor.READ_BACK", 3)
    for _ in range(5):
        note(container, admin, 1)
        container.audit_anchor.note()
    kind, listed, opened = type(container.storage), list[str](), list[str]()
    plain_list, plain_open = kind.list, kind.open

    def listing(*given: Any, **named: Any) -> Iterator[str]:
        for key in plain_list(*given, **named):
            listed.append(key)
            yield key

    def opening(storage: ObjectStorage, key: str) -> BinaryIO:
        opened.append(key)
        return plain_open(storage, key)

    monkeypatch.setattr(kind, "list", listing)
    monkeypatch.setattr(kind, "open", opening)
    note(container, admin, 1)
    noted = container.audit_anchor.note()
    assert noted is not None
    assert (len(listed), opened) == (1, [])
    listed.clear()
    assert container.audit.examine().anchored == noted.entry
    assert (len(listed), len(opened)) == (3, 3)
    other = build_container(container.settings, container.clock)
    begun = other.audit_anchor.begin_anew("looked at by the auditors")
    note(container, admin, 1)
    later = container.audit_anchor.note()
    assert later is not None
    assert (begun.epoch, later.epoch) == (2, 2)
    assert container.audit.examine().anchored == later.entry
    other.close()


@pytest.mark.parametrize("change", ["entry", "hash", "at", "signature", "nonsense"])
def test_changed_note_is_found(container: Container, admin: Actor, change: str) -> None:
    """A note cannot be changed or made up without the key."""
    container.audit_anchor.note()
    (key,) = container.storage.list(FOLDER)
    with container.storage.open(key) as stored:
        facts = json.loads(stored.read())
    facts[change] = {"entry": 1, "at": "2020-01-01"}.get(change, "0" * 64)
    container.storage.put_stream(key, [json.dumps(facts).encode() if change != "nonsense" else b"[1]"])
    found = container.audit.examine()
    assert not found.whole
    assert "not one of ours" in found.reason


def test_after_a_restore_the_trail_begins_anew(container: Container, admin: Actor) -> None:
    """A restored trail is shorter than its notes; that is accepted only aloud, with a reason on the trail."""
    note(container, admin, 5)
    container.audit_anchor.note()
    behind_the_application(container, lambda s: s.execute(text("DELETE FROM audit WHERE target_id IN ('3', '4')")))
    with pytest.raises(Invalid, match="why"):
        container.audit_anchor.begin_anew(" ")
    assert not container.audit.examine().whole
    container.audit_anchor.begin_anew("restored from the backup of 3 March")
    found = container.audit.examine()
    assert found.whole
    assert found.anchored is not None
    behind_the_application(container, lambda s: s.execute(text("DELETE FROM audit WHERE action = 'audit.begin_anew'")))
    assert not container.audit.examine().whole


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_key_is_replaced_as_the_runbook_says(
    container: Container, admin: Actor, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rotations with the runbook's commands between them: the trail can be checked at every step and after."""
    page = (ROOT / "docs/runbooks/key-loss.md").read_text(encoding="utf-8")
    section = page.partition("## jwt_secret is in wrong hands")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d\. (Rotate)|^python -m services\.audit (.+)$", section, re.MULTILINE)
    key = tmp_path / "jwt_secret"
    key.write_text("the key that was lost 0123456789")
    given = settings.model_copy(update={"jwt_secret_file": key})

    def run(*arguments: str) -> int:
        services = build_container(given, container.clock)
        monkeypatch.setattr("services.container.get_container", lambda: services)
        status = main(arguments)
        services.close()
        return status

    assert run("anchor") == 0
    rotations = 0
    for rotate, command in steps:
        if rotate:
            rotations += 1
            (tmp_path / "jwt_secret.previous").write_text(key.read_text())
            key.write_text(f"the {rotations}th key of all 0123456789abc")
        else:
            assert run(*shlex.split(command)) == 0, (rotations, command)
    assert rotations == 2


def test_end_is_noted_at_shutdown(container: Container, admin: Actor) -> None:
    """Stopping notes what the clock had not yet noted."""
    container.audit_anchor.start()
    note(container, admin, 2)
    container.audit_anchor.stop()
    with container.session() as session:
        newest = session.scalars(select(AuditEntry.id).order_by(AuditEntry.id.desc())).first()
    assert container.audit.examine().anchored == newest


def test_only_overseers_verify(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """Administrators and auditors may verify, others not."""
    assert container.audit.verify(actor_of(Role.AUDITOR)).whole
    with pytest.raises(NotAllowed):
        container.audit.verify(actor_of(Role.ANALYST))


def test_command_tells_and_sets_the_exit_status(container: Container, admin: Actor, settings: Settings) -> None:
    """`python -m services.audit verify` prints one line and exits 0 when whole, 1 when broken."""

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "services.audit", *arguments]
        environment = worker_environment(settings)
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout + ended.stderr

    note(container, admin, 3)
    status, line = run("anchor")
    assert (status, "whole; 5 entries hold, noted outside up to entry" in line) == (0, True), line
    behind_the_application(container, lambda s: s.execute(text("DELETE FROM audit WHERE target_id = '2'")))
    status, line = run("verify")
    assert (status, "BROKEN: entry" in line) == (1, True), line


@pytest.fixture(scope="module")
def long_trail() -> list[AuditEntry]:
    """Ten thousand entries."""
    trail, previous = [], FIRST_HASH
    for number in range(1, ENTRIES + 1):
        entry = AuditEntry(
            id=number,
            at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
            account_id=f"{number % 7:032}",
            workspace_id="w" * 32,
            action="job.launch",
            target_type="job",
            target_id=str(number),
            detail_json={"rows": number},
            address="10.0.0.9",
            previous_hash=previous,
        )
        entry.hash = previous = entry_hash(entry)
        trail.append(entry)
    return trail


def test_every_alteration_among_ten_thousand_is_found(long_trail: list[AuditEntry]) -> None:
    """Each entry altered, each deleted, each swapped with its neighbour, each cut at: all 40,000 are found.

    A break shows at its own place, so each case walks the neighbourhood of that place only.
    """
    assert verify_chain(long_trail).whole
    noted = {ENTRIES: long_trail[-1].hash}
    missed = []
    for place in range(ENTRIES):
        low = max(0, place - 1)
        before, near = long_trail[low].previous_hash, long_trail[low : place + 3]
        entry, at = long_trail[place], place - low
        kept, entry.detail_json = entry.detail_json, {"rows": -1}
        altered = verify_chain(near, previous=before).whole
        entry.detail_json = kept
        rest = near[:at] + near[at + 1 :]
        deleted = verify_chain(rest, noted if place + 3 >= ENTRIES else None, before).whole
        swapped = False
        if place + 1 < ENTRIES:
            swapped = verify_chain([*near[:at], near[at + 1], near[at], *near[at + 2 :]], previous=before).whole
        cut = verify_chain(long_trail[low:place], noted, before).whole
        missed += [place] * any((altered, deleted, swapped, cut))
    assert missed == []
    assert verify_chain(long_trail, noted).whole


def test_whole_walk_finds_them_too(long_trail: list[AuditEntry]) -> None:
    """Over the whole trail, at places from the first to the last: altered, deleted, swapped, cut, written anew."""
    noted = {ENTRIES: long_trail[-1].hash}
    for place in (0, 1, 4_999, 9_998, 9_999):
        others = long_trail[:place] + long_trail[place + 1 :]
        assert not verify_chain(others, noted).whole
        assert not verify_chain(long_trail[:place], noted).whole
        first = min(place, ENTRIES - 2)
        swapped = list(long_trail)
        swapped[first : first + 2] = reversed(swapped[first : first + 2])
        assert not verify_chain(swapped, noted).whole
    anew, previous = [], FIRST_HASH
    for entry in long_trail:
        facts = {name: getattr(entry, name) for name in entry.__table__.columns.keys()}  # noqa: SIM118 - not a dict
        copy = AuditEntry(**{**facts, "previous_hash": previous, "address": "10.0.0.1"})
        make_transient(copy)
        copy.hash = previous = entry_hash(copy)
        anew.append(copy)
    assert verify_chain(anew).whole
    assert not verify_chain(anew, noted).whole


def test_notes_lie_outside_the_database(container: Container, admin: Actor, tmp_path: Path) -> None:
    """What is noted holds ids and hashes, no names, and no table knows of it."""
    container.audit_anchor.note()
    (key,) = container.storage.list(FOLDER)
    with container.storage.open(key) as stored:
        facts = json.loads(stored.read())
    assert set(facts) == {"epoch", "entry", "hash", "at", "reason", "signature"}
