"""The secrets that a process holds: remembered for minutes, renewed behind the callers' backs."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from pydantic import SecretStr

from services.errors import Unavailable
from services.secrets.catalogue import CATALOGUE, Name
from services.secrets.sources import NoSecret, Source, Values

REFRESH_SECONDS = 2.0
"""A refresh that is asked for is skipped when the last one is younger: wrong tokens must not keep us asking."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Held:
    values: Values
    asked_at: float
    renewing: bool = False


class Secrets:
    """Gives secrets by name. Once known, a secret is always given at once: renewal waits in a thread of its own.

    While its source is away, the last known values serve on.
    """

    def __init__(self, sources: Mapping[Name, Source], cache_seconds: float) -> None:
        self._sources, self._cache_seconds = sources, cache_seconds
        self._held: dict[Name, _Held] = {}
        self._refreshed_at: dict[Name, float] = {}
        self._locks = {name: threading.Lock() for name in sources}

    def get(self, name: Name) -> SecretStr:
        """The current value; empty when an optional one is not set. Raises Unavailable when it was never known."""
        return SecretStr(self._known(name)[0])

    def accepted(self, name: Name) -> tuple[SecretStr, ...]:
        """The current value and the one before the last rotation: what it has signed or locked still counts."""
        return tuple(SecretStr(value) for value in self._known(name))

    def refresh(self, name: Name) -> None:
        """Ask the source now, because a value was refused: it may have been rotated. Keeps what is known on failure."""
        with self._locks[name]:
            if time.monotonic() - self._refreshed_at.get(name, -REFRESH_SECONDS) >= REFRESH_SECONDS:
                self._renew(name)
                self._refreshed_at[name] = time.monotonic()

    def faults(self) -> dict[Name, str]:
        """Fetch every secret at once and say of each that cannot serve what is wrong with it; for the start."""

        def fault(name: Name) -> str | None:
            try:
                value = self._fetch(name)[0]
            except NoSecret as error:
                return str(error)
            return "is empty" if not value else CATALOGUE[name].flaw(value)

        with ThreadPoolExecutor(len(self._sources)) as pool:
            found = dict(zip(self._sources, pool.map(fault, self._sources), strict=True))
        return {name: text for name, text in found.items() if text is not None}

    def _known(self, name: Name) -> Values:
        held = self._held.get(name)
        if held is None:
            with self._locks[name]:
                held = self._held.get(name)
                if held is None:
                    try:
                        return self._fetch(name)
                    except NoSecret as error:
                        raise Unavailable from error
        if time.monotonic() - held.asked_at >= self._cache_seconds and not held.renewing:
            held.renewing = True
            threading.Thread(target=self._renew_behind, args=(name, held), name=f"renew-{name}", daemon=True).start()
        return held.values

    def _fetch(self, name: Name) -> Values:
        values = self._sources[name].fetch()
        self._held[name] = _Held(values, time.monotonic())
        return values

    def _renew_behind(self, name: Name, held: _Held) -> None:
        try:
            with self._locks[name]:
                self._renew(name)
        finally:
            held.renewing = False

    def _renew(self, name: Name) -> None:
        """Fetch; an empty or unreadable answer changes nothing but the time of asking."""
        held = self._held.get(name)
        try:
            values = self._sources[name].fetch()
            if held is not None and held.values[0] and not values[0]:
                raise NoSecret("is empty")
        except NoSecret as error:
            _log.warning("secret not renewed", secret=name, reason=str(error))
            if held is None:
                return
            values = held.values
        self._held[name] = _Held(values, time.monotonic())
