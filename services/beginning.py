"""What works beside the server: begun in the background, for its database may be away, and ended in reverse order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)


class Part(Protocol):
    """Something that works between its start and its stop."""

    def start(self) -> None:
        """Begin to work."""

    def stop(self) -> None:
        """End what was begun."""


class Beginning:
    """Prepares, then starts the parts in their order; each once the one before has started."""

    def __init__(self, prepare: Callable[[], object], parts: Sequence[Part]) -> None:
        self.failure: Exception | None = None
        """What went wrong, as soon as something has."""
        self._prepare, self._parts = prepare, parts
        self._lock = threading.Lock()
        self._begun = ExitStack()
        self._ending = self._left_alone = False
        self._thread = threading.Thread(target=self._run, name="begin", daemon=True)

    def begin(self, patience_seconds: float) -> None:
        """Return when all has begun, or after `patience_seconds`: then the rest begins by itself.

        Raises what has gone wrong by then. What goes wrong later is logged and ends this process by SIGTERM, so that
        whoever watches over it starts it anew: half begun it would look well and do nothing.
        """
        self._thread.start()
        self._thread.join(patience_seconds)
        with self._lock:
            self._left_alone = True
            if self.failure is not None:
                raise self.failure

    def end(self) -> None:
        """Stop what was started, the last first; nothing more is started."""
        with self._lock:
            self._ending = True
        self._begun.close()

    def _run(self) -> None:
        try:
            self._prepare()
            for part in self._parts:
                with self._lock:
                    if self._ending:
                        return
                    part.start()
                    self._begun.callback(part.stop)
        except Exception as error:  # noqa: BLE001  # it is raised by `begin`, or ends the process
            with self._lock:
                self.failure = error
                alone = self._left_alone and not self._ending
            if alone:
                _log.error("could not begin", error=type(error).__name__, exc_info=error)
                os.kill(os.getpid(), signal.SIGTERM)
