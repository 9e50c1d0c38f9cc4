"""`alive worker|watch`: for the health checks of containers that serve no HTTP."""

from __future__ import annotations

import argparse
import socket
from datetime import timedelta

from ops.commands._shared import Commands, say
from services.container import Container

LOOKS_MISSED = 4


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command and its parts."""
    parts = commands.add_parser(
        "alive", help="whether this machine's worker, or the rollout's watch, lives"
    ).add_subparsers(required=True, metavar="PART")
    parts.add_parser("worker", help="1 unless a worker of this machine was seen in the last minute").set_defaults(
        run=worker
    )
    parts.add_parser("watch", help="1 unless the rollout's numbers were read of late").set_defaults(run=watch)


def worker(container: Container, _: argparse.Namespace) -> int:
    """Whether a worker of this machine renews its row."""
    machine = f"{socket.gethostname()[:40]}:"
    mine = [node.id for node in container.workers.alive() if node.id.startswith(machine)]
    say(f"{len(mine)} of this machine's workers live.")
    return 0 if mine else 1


def watch(container: Container, _: argparse.Namespace) -> int:
    """Whether somebody reads the numbers."""
    readings = container.rollouts.history().readings
    newest = readings[-1].at if readings else None
    allowed = timedelta(seconds=LOOKS_MISSED * container.settings.rollout_watch_seconds + 30)
    say(f"Last read: {newest:%Y-%m-%d %H:%M:%S} UTC." if newest else "Never read of late.")
    return 0 if newest is not None and container.clock.now() - newest <= allowed else 1
