"""A process that asks a limit many times at once, for the tests of exactness: prints how many passed, per round.

    python -m tests.limit_racer REDIS_URL LIMIT THREADS ROUNDS START

Each round has a key of its own and begins at START (a time of day in seconds) plus its number times 0.2 s, so that
several processes begin together.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from services.container import build_container
from services.errors import TooMany
from services.limits import Limited, Limits
from services.settings import load_settings


def race(limits: Limits, key: str, threads: int, start: float = 0.0) -> int:
    """How many of `threads` simultaneous calls pass."""
    barrier, passed = threading.Barrier(threads), []

    def ask() -> None:
        barrier.wait()
        time.sleep(max(0.0, start - time.time()))
        try:
            limits.hit(Limited.UPLOAD, key)
        except TooMany:
            return
        passed.append(1)

    asking = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    return len(passed)


def main() -> None:
    """One line with the count of each round."""
    url, limit, threads, rounds, start = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            _env_file=None,
            data_dir=Path(folder),
            redis_url=url,
            limit_upload=f"{limit}/hour",
            redis_timeout_seconds=5,  # exactness is asked of a Redis that is there, however busy the machine
        )
        container = build_container(settings)
        counts = [
            race(container.limits, f"10.0.{number // 250}.{number % 250}", int(threads), float(start) + number * 0.2)
            for number in range(int(rounds))
        ]
        container.close()
    sys.stdout.write(" ".join(map(str, counts)) + "\n")


if __name__ == "__main__":
    main()
