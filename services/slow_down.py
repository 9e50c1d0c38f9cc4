"""Guessing one account's password is made slow, from however many addresses; its owner is never locked out."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict, deque
from datetime import datetime, timedelta

from services.errors import TooMany

WINDOW = timedelta(hours=1)
FIRST_SECONDS, LONGEST_SECONDS = 0.5, 4.0
KEYS = 10_000  # remembered per process; the least recently tried are forgotten first
WAITING_AT_ONCE = 16  # each waits on a thread of the server


class SlowDown:
    """Counts wrong passwords per e-mail address, whether or not it has an account, and delays what comes after."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._failures: OrderedDict[bytes, deque[datetime]] = OrderedDict()
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(WAITING_AT_ONCE)

    def seconds(self, email: str, now: datetime) -> float:
        """How long the next attempt on this address has to wait."""
        with self._lock:
            failures = self._failures.get(_key(email), deque())
            over = sum(now - at < WINDOW for at in failures) - self._free
        return min(LONGEST_SECONDS, FIRST_SECONDS * 2**over) if over >= 0 else 0.0

    def wait(self, email: str, now: datetime) -> None:
        """Wait as long as this address has to. Raises TooMany when too many wait already."""
        seconds = self.seconds(email, now)
        if not seconds:
            return
        if not self._places.acquire(blocking=False):
            raise TooMany("Too many attempts to sign in at this moment; try again in a few seconds.", 5)
        try:
            time.sleep(seconds)
        finally:
            self._places.release()

    def failed(self, email: str, now: datetime) -> None:
        """Note a wrong password."""
        key = _key(email)
        with self._lock:
            self._failures.setdefault(key, deque(maxlen=self._free + 8)).append(now)
            self._failures.move_to_end(key)
            while len(self._failures) > KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, email: str) -> None:
        """Forget the wrong passwords: the owner is here."""
        with self._lock:
            self._failures.pop(_key(email), None)


def _key(email: str) -> bytes:
    return hashlib.sha256(email.strip().lower().encode()).digest()
