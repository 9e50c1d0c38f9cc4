"""`python -m services.mail`: a mail relay by itself. Job workers run one each already."""

from __future__ import annotations

import sys

import structlog

from services.container import get_container
from services.errors import ConfigurationError
from services.logs import configure_logs
from services.mail.relay import MailRelay
from services.signals import stop_on_signals


def main() -> None:
    """Send mails until SIGTERM or SIGINT."""
    try:
        container = get_container()
        configure_logs(container.settings)
        relay = MailRelay(container)
    except ConfigurationError as error:
        sys.exit(error.message)

    stop_on_signals(lambda _in_haste: relay.stop())
    structlog.get_logger().info("mail relay begins")
    relay.run()
    container.close()


if __name__ == "__main__":
    main()
