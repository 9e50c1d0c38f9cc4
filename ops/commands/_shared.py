"""What the backup commands share: naming a backup, telling progress and sizes."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from ops.backup.manifest import Header
from ops.backup.site import Site
from ops.backup.store import choose

Commands = argparse._SubParsersAction  # noqa: SLF001  # argparse gives it no public name


def say(line: str) -> None:
    """A line of the answer."""
    sys.stdout.write(line + "\n")


def progress(what: str) -> None:
    """What is being done, for those who wait."""
    sys.stderr.write(f"... {what}\n")
    sys.stderr.flush()


def add_choice(parser: argparse.ArgumentParser) -> None:
    """The ways to name a backup."""
    parser.add_argument("id", nargs="?", metavar="ID", help="the backup's id, or its first digits")
    parser.add_argument("--latest", action="store_true", help="the newest verified backup (the default)")
    parser.add_argument("--at", type=moment, metavar="TIME", help="the newest at or before this UTC time, ISO 8601")


def chosen(site: Site, arguments: argparse.Namespace, database_id: str = "") -> Header:
    """The backup that the arguments name."""
    return choose(site.store.listing(), arguments.id or arguments.at, database_id)


def moment(given: str) -> datetime:
    """A moment; without a time zone it is UTC."""
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!r} is no ISO 8601 time such as 2026-03-02T09:00") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
