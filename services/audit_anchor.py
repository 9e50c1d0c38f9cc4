"""The end of the audit trail, noted outside the database: whoever cuts the trail or writes it anew is found out.

A note names the newest entry and its hash, which covers every entry before it, and is signed with a key that is not in
the database. Notes are objects under `audit/notes/`, written once and never changed; the newest one proves all. Their
names count down, so that the newest are the first in every listing, however many there are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select

from services.database.models import AuditEntry
from services.errors import Conflict, Invalid, ServiceError

if TYPE_CHECKING:
    from services.container import Container

FOLDER = "audit/notes"
READ_BACK = 50
"""How many of the newest notes a check reads: one would do, but it may have been taken away."""

_LAST_EPOCH, _LAST_ENTRY = 10**6 - 1, 10**15 - 1
_NAME = re.compile(rf"{FOLDER}/(\d{{6}})/\d{{12}}/\d{{3}}\.json")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Note:
    """One note. After a restore from a backup the trail is shorter: a new `epoch` begins, with the reason."""

    epoch: int
    entry: int
    hash: str
    at: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """The newest notes of the present epoch by entry, and what is wrong with any of them."""

    epoch: int
    by_entry: dict[int, Note]
    faults: list[str]


class AuditAnchor:
    """Writes and reads the notes; between `start` and `stop` it writes one whenever the trail has grown."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._written = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_noting, name="audit-anchor", daemon=True)

    def note(self, reason: str = "") -> Note | None:
        """Note the newest entry, unless that was done; None when there is nothing new."""
        with self._container.session() as session:
            query = select(AuditEntry.id, AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)
            newest = session.execute(query).first()
        if newest is None or (newest.hash == self._written and not reason):
            return None
        # Asked every time: another process may have begun anew.
        epoch = _present_epoch(self._container.storage.list(FOLDER, limit=1)) + (1 if reason else 0)
        noted = Note(epoch, newest.id, newest.hash, self._container.clock.now().isoformat(), reason)
        key = _key(epoch, newest.id)
        # The name comes from the entry: two processes that note the same end write the same object once.
        fresh = not self._container.storage.exists(key)
        if fresh:
            self._container.storage.put_stream(key, [self._signed(noted)])
        self._written = newest.hash
        return noted if fresh else None

    def begin_anew(self, reason: str) -> Note:
        """After a restore: from here on the trail is checked as it is now. Everybody can read when and why."""
        if not reason.strip():
            raise Invalid("Say why the trail begins anew, such as: restored from the backup of 3 March.")
        with self._container.transaction() as session:
            self._container.audit.record(session, None, "audit.begin_anew", "audit", "trail", reason=reason)
        noted = self.note(reason)
        if noted is None:
            raise Conflict
        return noted

    def notes(self) -> Notes:
        """The newest notes, each with its signature checked."""
        newest = list(self._container.storage.list(FOLDER, limit=READ_BACK))
        epoch = _present_epoch(newest)
        found: dict[int, Note] = {}
        faults = []
        for key in (key for key in newest if _epoch_of(key) in (epoch, 0)):
            noted = self._checked(key)
            if noted is None or key != _key(noted.epoch, noted.entry):
                faults.append(f"the note {key} outside the database is not one of ours, or was changed")
            else:
                found[noted.entry] = noted
        return Notes(epoch, found, faults)

    def start(self) -> None:
        """Begin noting."""
        self._thread.start()

    def stop(self) -> None:
        """Note the end once more and stop."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._note_or_tell()

    def _keep_noting(self) -> None:
        while not self._stopping.wait(self._container.settings.audit_anchor_seconds):
            self._note_or_tell()

    def _note_or_tell(self) -> None:
        try:
            self.note()
        except (ServiceError, OSError) as error:
            log.warning("audit.anchor", cause=type(error).__name__)  # tried again in a while

    def _signed(self, noted: Note) -> bytes:
        facts = asdict(noted)
        return json.dumps({**facts, "signature": self._signature(facts, self._keys()[0])}).encode()

    def _checked(self, key: str) -> Note | None:
        try:
            with self._container.storage.open(key) as stored:
                facts: dict[str, Any] = json.loads(stored.read())
            signature = str(facts.pop("signature"))
            signed = any(hmac.compare_digest(signature, self._signature(facts, one)) for one in self._keys())
            return Note(**facts) if signed else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def _keys(self) -> list[bytes]:
        """The signing keys: today's, and the one before the last rotation. Not the secret itself: it has other uses."""
        accepted = self._container.secrets.accepted("jwt_secret")
        return [hmac.digest(one.get_secret_value().encode(), b"audit anchor", "sha256") for one in accepted]

    @staticmethod
    def _signature(facts: dict[str, Any], key: bytes) -> str:
        return hmac.new(key, json.dumps(facts, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _key(epoch: int, entry: int) -> str:
    left = f"{_LAST_ENTRY - entry:015}"  # in folders of a thousand: listing the first of them stays short
    return f"{FOLDER}/{_LAST_EPOCH - epoch:06}/{left[:-3]}/{left[-3:]}.json"


def _present_epoch(keys: Iterable[str]) -> int:
    return max([1, *map(_epoch_of, keys)])


def _epoch_of(key: str) -> int:
    """The epoch in the name of a note; 0 for a name that is not one of ours."""
    found = _NAME.fullmatch(key)
    return _LAST_EPOCH - int(found[1]) if found else 0
