"""How a process of ours is asked to end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType


def stop_on_signals(stop: Callable[[bool], None]) -> None:
    """Call `stop` when SIGTERM or SIGINT comes, and say whether it is in haste: SIGINT waits for nothing."""

    def told(signum: int, _: FrameType | None) -> None:
        stop(signum == signal.SIGINT)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, told)
