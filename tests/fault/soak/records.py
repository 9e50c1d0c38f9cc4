"""What the simulated users note down: an append-only log of what they asked for and what they were told.

`ok`: it was done. `fail`: it was refused, and must not have been done. `unknown`: nobody knows. `broken`: an answer
that no user should ever get. Every thing that is asked for has a name of its own.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["invoke", "ok", "fail", "unknown", "broken"]


@dataclass(frozen=True)
class Record:
    """One line of the log."""

    at: float
    user: str
    op: str
    item: str
    kind: Kind
    during: str
    """The fault of that moment, or `none`."""
    told: dict[str, Any] = field(default_factory=dict)


class Log:
    """The log of one run; any thread may write to it. Each line is on the disk's way before the user goes on."""

    def __init__(self, path: Path, during: Callable[[], str]) -> None:
        self.records: list[Record] = []
        self._during = during
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def note(self, user: str, op: str, item: str, kind: Kind, **told: Any) -> None:
        """Add a line."""
        with self._lock:
            record = Record(time.monotonic(), user, op, item, kind, self._during(), told)
            self.records.append(record)
            self._file.write(json.dumps(asdict(record)) + "\n")

    def close(self) -> None:
        """Nothing is added any more."""
        self._file.close()


@dataclass
class Story:
    """All that was said of one thing."""

    ended: Kind
    told: dict[str, Any]


def stories(records: Iterable[Record], op: str) -> dict[str, Story]:
    """What became of each thing that was asked for with `op`; what was never answered is unknown."""
    found: dict[str, Story] = {}
    for record in records:
        if record.op == op:
            earlier = found.get(record.item)
            kind = "unknown" if record.kind == "invoke" else record.kind
            found[record.item] = Story(kind, {**(earlier.told if earlier else {}), **record.told})
    return found
