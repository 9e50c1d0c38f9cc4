"""`python -m services.jobs`: a worker for jobs and mail, on any machine that reaches the database and the storage."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from services.container import get_container
from services.errors import ConfigurationError
from services.jobs.limits import die_with_parent
from services.jobs.processes import warm
from services.jobs.worker import Worker
from services.logs import configure_logs
from services.mail.relay import MailRelay
from services.signals import stop_on_signals


def main() -> None:
    """Work until SIGTERM, which lets running jobs end, or SIGINT, which does not wait for them."""
    parser = argparse.ArgumentParser(prog="python -m services.jobs", description=__doc__)
    parser.add_argument("--parent", type=int, help="stop when the process with this id ends")
    parent = parser.parse_args().parent
    try:
        container = get_container()
        configure_logs(container.settings)
        worker, relay = Worker(container), MailRelay(container)
    except ConfigurationError as error:
        sys.exit(error.message)

    def stop(in_haste: bool) -> None:
        worker.stop(in_haste=in_haste)
        relay.stop()

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun: a signal just ends it
    if parent is not None:
        die_with_parent(parent, signal.SIGINT)  # a new one may be starting already
    try:
        container.migrate()
    except ConfigurationError as error:
        sys.exit(error.message)
    stop_on_signals(stop)
    warm()
    mailing = threading.Thread(target=relay.run, name="mail-relay")
    mailing.start()
    container.mover.start()
    try:
        worker.run()
    finally:
        relay.stop()
        container.mover.stop()
        mailing.join()
    for signum in (signal.SIGTERM, signal.SIGINT):  # it has stopped: told again, it still ends cleanly
        signal.signal(signum, signal.SIG_IGN)
    container.close()


if __name__ == "__main__":
    main()
