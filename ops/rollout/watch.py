"""Watches a rollout: reads the numbers, keeps the proxy where the database says, takes the version back by itself."""

from __future__ import annotations

import threading

import structlog

from ops.rollout import moves
from services.container import Container
from services.errors import ServiceError
from services.leadership import Leadership

DUTY = "rollout"
_log = structlog.get_logger(__name__)


class Watch:
    """One of many instances watches; the others stand by."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._duty = Leadership(container, DUTY)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Watch until `stop`."""
        self._duty.start()
        try:
            while not self._stopping.is_set():
                if self._duty.held:
                    self.look()
                self._stopping.wait(self._container.settings.rollout_watch_seconds)
        finally:
            self._duty.stop()

    def stop(self) -> None:
        """End after the present look."""
        self._stopping.set()

    def look(self) -> str | None:
        """One look; the reason when the version was taken back."""
        rollouts = self._container.rollouts
        try:
            moves.looked(self._container)
        except ServiceError as error:  # what is read next time decides
            _log.warning("rollout.not_read", reason=error.message)
        try:
            reason = rollouts.fired()
            if reason is not None:
                moves.take_back(self._container, reason, "watch")
                _log.error("rollout.taken_back", reason=reason)
                return reason
            if moves.proxy_of(self._container).apply(rollouts.state().weights()):
                _log.warning("rollout.proxy_corrected")
        except ServiceError as error:
            _log.warning("rollout.not_moved", reason=error.message)
        return None
