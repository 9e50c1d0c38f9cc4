"""`schedule`: the schedule as a process of its own, for installations that do not run it inside the app."""

from __future__ import annotations

import argparse
import threading

from ops.commands._shared import Commands, say
from ops.scheduler import Scheduler
from services.container import Container


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("schedule", help="make a backup every hour and a drill every day, until stopped")
    parser.set_defaults(run=run)


def run(container: Container, _: argparse.Namespace) -> int:
    """Run the schedule until SIGTERM or Ctrl-C."""
    scheduler = Scheduler(container, automated=True)
    scheduler.start()
    say("The schedule runs; one instance of many does the work.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        scheduler.stop()
    return 0
