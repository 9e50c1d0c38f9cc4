"""The mover: takes what the spool keeps to the bucket, compares it there byte for byte, and only then lets go of it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import structlog
from sqlalchemy import select, update

from recon_engine.hashing import hash_file
from services import metrics
from services.aws import transient
from services.database.models import SpooledObject
from services.errors import ServiceError
from services.permissions import Action, Actor, check
from services.resilience import BreakerOpen
from services.storage.base import StorageAway
from services.storage.spooling import SpoolingStorage

if TYPE_CHECKING:
    from services.container import Container

_BATCH = 50
_LONGEST_WAIT = timedelta(minutes=15)
_SWEEP_ROUNDS = 120
_log = structlog.get_logger(__name__)


class SpoolMover:
    """Moves this node's objects, in a thread between `start` and `stop`. Of several processes of a node, one moves.

    Killed at any moment it loses nothing: the row goes after the bucket has shown that it holds the content, the file
    goes after the row, and moving an object twice does no harm.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._spool = container.spool
        self._awake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="spool-mover", daemon=True)

    def start(self) -> None:
        """Begin to move, now and whenever something is due. Nothing happens when there is no bucket."""
        if isinstance(self._container.storage, SpoolingStorage):
            self._thread.start()

    def stop(self) -> None:
        """Stop after the object that is being moved."""
        self._stopping = True
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def sync_now(self, actor: Actor) -> int:
        """Make every waiting object due at once and start; returns how many there are. Other nodes follow soon."""
        check(actor, Action.STORAGE_SYNC)
        with self._container.transaction() as session:
            due = update(SpooledObject).values(next_at=self._container.clock.now()).returning(SpooledObject.key)
            waiting = len(session.scalars(due).all())
            self._container.audit.record(session, actor, Action.STORAGE_SYNC, "storage", "spool", waiting=waiting)
        self._awake.set()
        return waiting

    def move_due(self) -> int:
        """Move what is due on this node; returns how many objects have arrived. Ends early while the bucket is away:
        an object that it refuses waits by itself and holds up no other.
        """
        storage = self._container.storage
        moved = 0
        if not isinstance(storage, SpoolingStorage):
            return moved
        with self._spool.moving() as mine:
            while mine and not self._stopping:
                due = self._due()
                arrived = 0
                for entry in due:
                    try:
                        arrived += self._move(storage, entry)
                    except StorageAway as error:
                        if not _away(error.__cause__):
                            self._keep_on(entry, f"the bucket refuses it ({error.__cause__})")
                            continue
                        self._put_off(entry, str(error.__cause__), doublings=0)
                        return moved + arrived
                moved += arrived
                if len(due) < _BATCH or self._stopping:
                    break
        return moved

    def _due(self) -> list[SpooledObject]:
        now = self._container.clock.now()
        due = select(SpooledObject).where(SpooledObject.node == self._spool.node, SpooledObject.next_at <= now)
        with self._container.session() as session:
            return list(session.scalars(due.order_by(SpooledObject.next_at).limit(_BATCH)))

    def _move(self, storage: SpoolingStorage, entry: SpooledObject) -> bool:
        """Move one object. False when the bucket does not hold what was kept, which is then kept on."""
        try:
            with self._spool.file(entry.key) as path:
                if hash_file(path) != entry.sha256:
                    return self._keep_on(entry, "the kept file is damaged")
                storage.remote.put_file(entry.key, path)
        except FileNotFoundError:
            pass  # killed after the row was written again or before the file went: the bucket must have it
        try:
            arrived = storage.remote.sha256(entry.key)
        except FileNotFoundError:
            arrived = "nothing"
        if arrived != entry.sha256:
            return self._keep_on(entry, "the bucket holds other content")
        self._spool.forget(entry.key, entry.sha256)
        _log.info("spooled object moved", key=entry.key, size_bytes=entry.size_bytes)
        return True

    def _keep_on(self, entry: SpooledObject, reason: str) -> Literal[False]:
        _log.error("spooled object not moved", key=entry.key, reason=reason)
        self._put_off(entry, reason, doublings=min(entry.attempts, 10))
        return False

    def _put_off(self, entry: SpooledObject, reason: str, doublings: int) -> None:
        wait = min(timedelta(seconds=self._container.settings.spool_sync_seconds) * 2**doublings, _LONGEST_WAIT)
        with self._container.transaction() as session:
            session.execute(
                update(SpooledObject)
                .where(SpooledObject.key == entry.key, SpooledObject.node == entry.node)
                .values(
                    attempts=SpooledObject.attempts + 1, next_at=self._container.clock.now() + wait, error=reason[:300]
                )
            )

    def _run(self) -> None:
        rounds = 0
        while not self._stopping:
            try:
                self.move_due()
                metrics.storage_spool_objects.set(self._spool.count(self._spool.node))
                if rounds % _SWEEP_ROUNDS == 0:
                    self._spool.sweep()
            except (ServiceError, OSError) as error:  # the database or the disk is away: the next round tries again
                _log.warning("spool not moved", reason=type(error).__name__)
            rounds += 1
            self._awake.wait(self._container.settings.spool_sync_seconds)
            self._awake.clear()


def _away(cause: BaseException | None) -> bool:
    """Whether the bucket answers nobody, rather than refusing this object."""
    return cause is not None and (isinstance(cause, BreakerOpen) or transient(cause))
