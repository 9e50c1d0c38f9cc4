"""The audit trail: chained, append-only, written with what it tells of."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from services.audit import FIRST_HASH, verify_chain
from services.container import Container
from services.database.models import AuditEntry
from services.errors import NotAllowed, NotFound
from services.permissions import Actor, Role


def note(container: Container, actor: Actor, count: int, **detail: object) -> None:
    """Record `count` entries, each in a transaction of its own."""
    for number in range(count):
        with container.transaction() as session:
            container.audit.record(session, actor, "test.note", "thing", str(number), **detail)


def entries(container: Container) -> list[AuditEntry]:
    """The whole trail, oldest first."""
    with container.session() as session:
        return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


def test_chain_holds(container: Container, admin: Actor) -> None:
    """Entries follow each other from the first hash, and reading them back from the database keeps every fact."""
    note(container, admin, 5, name="Überweisung €", size=12, nested={"b": [1, None], "a": True})
    found = container.audit.examine()
    assert (found.whole, found.entries) == (True, 7)
    trail = entries(container)
    assert trail[0].previous_hash == FIRST_HASH
    assert found.head == trail[-1].hash


def test_entry_lives_and_dies_with_its_transaction(container: Container, admin: Actor) -> None:
    """When the action is rolled back, so is its entry, and the chain goes on without a gap."""

    def fail_after_noting() -> None:
        with container.transaction() as session:
            container.audit.record(session, admin, "test.note", "thing", "1")
            session.flush()
            raise NotFound

    with pytest.raises(NotFound):
        fail_after_noting()
    note(container, admin, 1)
    assert [e.action for e in entries(container)].count("test.note") == 1
    assert container.audit.examine().whole


def test_chain_holds_under_concurrency(container: Container, admin: Actor) -> None:
    """Six writers at once leave one unbroken chain."""
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: note(container, admin, 10), range(6)))
    found = container.audit.examine()
    assert (found.whole, found.entries) == (True, 62)


def test_database_refuses_changes(container: Container, admin: Actor) -> None:
    """Entries can be neither changed nor deleted through the application's own connection."""
    for statement in (update(AuditEntry).values(action="other"), delete(AuditEntry)):
        with pytest.raises(DBAPIError, match="append-only"), container.engine.begin() as connection:
            connection.execute(statement)


@pytest.mark.parametrize("change", ["at", "account_id", "action", "target_id", "detail_json", "address"])
def test_changed_entry_is_found(container: Container, admin: Actor, change: str) -> None:
    """Whatever fact of an entry is altered, the check names the entry."""
    note(container, admin, 3)
    trail = entries(container)
    victim = trail[3]
    old = getattr(victim, change)
    new = {"at": lambda: old + timedelta(microseconds=1), "detail_json": lambda: {"x": 1}}.get(change, lambda: "other")
    setattr(victim, change, new())
    found = verify_chain(trail)
    assert not found.whole
    assert found.reason == f"entry {victim.id} was changed after it was written"


def test_removed_entry_is_found(container: Container, admin: Actor) -> None:
    """An entry that is gone from the middle, or two that are swapped, break the chain."""
    note(container, admin, 3)
    trail = entries(container)
    assert "does not follow" in verify_chain(trail[:2] + trail[3:]).reason
    assert "does not follow" in verify_chain([*trail[:2], trail[3], trail[2], *trail[4:]]).reason


def test_removal_behind_the_application_is_found(container: Container, admin: Actor) -> None:
    """Someone who removes the guard and deletes an entry is found by the check."""
    note(container, admin, 3)
    with container.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER audit_no_delete"))
        else:
            connection.execute(text("DROP TRIGGER audit_append_only ON audit"))
        connection.execute(text("DELETE FROM audit WHERE target_id = '1'"))
    assert not container.audit.examine().whole


def test_auditors_and_admins_read(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """Administrators and auditors page through the trail, newest first; analysts and reviewers may not."""
    note(container, admin, 4)
    first = container.audit.entries(admin, limit=3, action="test.note")
    rest = container.audit.entries(actor_of(Role.AUDITOR), cursor=first.next, action="test.note")
    assert [e.target_id for e in [*first, *rest]] == ["3", "2", "1", "0"]
    for role in (Role.ANALYST, Role.REVIEWER):
        with pytest.raises(NotAllowed):
            container.audit.entries(actor_of(role))
