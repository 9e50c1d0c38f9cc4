"""The operator that the app registers: it starts backups and drills for the screens, as processes of their own."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ops.backup.prune import GRACE
from ops.backup.retention import RULES, retained
from ops.child import Command
from services.container import Container
from services.database.models import Backup
from services.operations import Activity, Work

COMMANDS: dict[Work, tuple[str, ...]] = {"backup": ("backup", "now"), "drill": ("drill",)}


class Desk:
    """One work at a time."""

    removal_after = GRACE

    def __init__(self, container: Container) -> None:
        self._container = container
        self._lock = threading.Lock()
        self._activity: Activity | None = None
        self._command: Command | None = None

    def start(self, work: Work) -> bool:
        """Begin; False while earlier work is under way."""
        with self._lock:
            if self._activity is not None and self._activity.running:
                return False
            self._activity = Activity(work, "starting", running=True)
        threading.Thread(target=self._do, args=(work,), name=f"desk-{work}", daemon=True).start()
        return True

    def stop(self) -> None:
        """End what is under way; it cleans up behind itself."""
        if self._command is not None:
            self._command.stop()

    def activity(self) -> Activity | None:
        """The present or last work."""
        return self._activity

    def reasons(self, backups: Sequence[Backup]) -> dict[str, tuple[str, ...]]:
        """Why retention keeps backups."""
        return retained(backups, RULES, self._container.clock.now())

    def _do(self, work: Work) -> None:
        def report(doing: str) -> None:
            self._activity = Activity(work, doing, running=True)

        said, failed = "it could not be started", True
        try:
            self._command = Command(*COMMANDS[work])
            ended = self._command.wait(report)
            said, failed = ended.sentence, ended.code != 0
        finally:
            self._command = None
            self._activity = Activity(work, said, running=False, failed=failed)
