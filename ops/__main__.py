"""The command line of operations: `python -m ops COMMAND`.

Exit status: 0 done; 1 a check did not hold (a damaged backup, a failed drill); 2 refused, with one sentence on stderr
that says what, where, and how to mend it; 3 an internal error.
"""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from ops.commands import COMMANDS
from services.container import Container, get_container
from services.errors import ConfigurationError, ServiceError
from services.logs import configure_logs

DONE, DOES_NOT_HOLD, REFUSED, INTERNAL = 0, 1, 2, 3


def parser() -> argparse.ArgumentParser:
    """The parser with every command."""
    made = argparse.ArgumentParser(prog="python -m ops", description="Keeps the platform alive.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return made


def main(argv: list[str] | None = None, container: Container | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = parser().parse_args(argv)
    try:
        if container is None and not getattr(arguments, "alone", False):  # some commands need no settings
            container = get_container()
            configure_logs(container.settings)
        return int(arguments.run(container, arguments))
    except ServiceError as error:
        prefix = "" if isinstance(error, ConfigurationError) else f"{error.title}: "
        sys.stderr.write(f"{prefix}{error.message}\n")
        return REFUSED
    except OSError as error:
        sys.stderr.write(f"The disk refused: {error.strerror or type(error).__name__}.\n")
        return REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; nothing was changed.\n")
        return REFUSED


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that private files are removed on the way out


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(main())
    except Exception as error:  # noqa: BLE001  # the last resort: its kind, never its text, which may hold data
        sys.stderr.write(f"Internal error: {type(error).__name__}. Run again with RECON_LOG_LEVEL=DEBUG to see more.\n")
        sys.exit(INTERNAL)
