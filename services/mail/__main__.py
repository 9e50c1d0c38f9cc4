"""`python -m services.mail`: a mail relay by itself. Job workers run one each already."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import structlog

from services.container import get_container
from services.errors import ConfigurationError
from services.logs import configure_logs
from services.mail.relay import MailRelay


def main() -> None:
    """Send mails until SIGTERM or SIGINT."""
    try:
        container = get_container()
        configure_logs(container.settings)
        relay = MailRelay(container)
    except ConfigurationError as error:
        sys.exit(error.message)

    def stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of signal handlers
        relay.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    structlog.get_logger().info("mail relay begins")
    relay.run()
    container.close()


if __name__ == "__main__":
    main()
