"""What a running job tells about itself, gathered from the engine's progress lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

_MAX_STEPS = 600


class Progress:
    """The newest line, and the last line of each step in the order the steps began."""

    def __init__(self) -> None:
        self._latest: dict[str, Any] = {}
        self._steps: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, lines: Iterable[str]) -> bool:
        """Take in lines of output; True when they told something new. Lines that are not progress are skipped."""
        before = self._latest
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if not isinstance(told, dict) or not isinstance(told.get("stage"), str):
                continue
            self._latest = told
            key = (told["stage"], str(told.get("rule") or ""))
            if key in self._steps or len(self._steps) < _MAX_STEPS:
                self._steps[key] = told
        return self._latest is not before

    def as_dict(self) -> dict[str, Any]:
        """`stage`, `done`, `total`, `rule`, `seconds` of the newest line, and `steps`: such a line for each step."""
        return {**self._latest, "steps": list(self._steps.values())}
