"""`python -m services.jobs`: a worker, on this or any other machine that reaches the database and the storage."""

from __future__ import annotations

import argparse
import signal
from types import FrameType

from services.container import get_container
from services.database.engine import migrate
from services.jobs.limits import die_with_parent
from services.jobs.worker import Worker
from services.logs import configure_logs


def main() -> None:
    """Work until SIGTERM or SIGINT; then end the children and give the jobs back."""
    parser = argparse.ArgumentParser(prog="python -m services.jobs", description=__doc__)
    parser.add_argument("--parent", type=int, help="stop when the process with this id ends")
    parent = parser.parse_args().parent
    container = get_container()
    configure_logs(container.settings)
    worker = Worker(container)

    def stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of signal handlers
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if parent is not None:
        die_with_parent(parent, signal.SIGTERM)
    migrate(container.engine)
    worker.run()
    for signum in (signal.SIGTERM, signal.SIGINT):  # it has stopped: told again, it still ends cleanly
        signal.signal(signum, signal.SIG_IGN)
    container.close()


if __name__ == "__main__":
    main()
