"""`drill`: proves that a backup can be restored, and how long it takes."""

from __future__ import annotations

import argparse
import sys

from ops.backup.drill import drill, duration
from ops.backup.site import site_of
from ops.commands._shared import Commands, add_choice, chosen, progress, say
from ops.errors import Damaged
from services.container import Container


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("drill", help="restore into a scratch database and compare; tells the minutes")
    add_choice(parser)
    parser.set_defaults(run=run)


def run(container: Container, arguments: argparse.Namespace) -> int:
    """Drill a backup."""
    site = site_of(container)
    header = chosen(site, arguments, site.database.database_id())
    try:
        passed = drill(site, header, progress)
    except Damaged as error:
        sys.stderr.write(f"The drill failed: {error.message}\n")
        return 1
    say(
        f"{header.id} of {header.started_at:%Y-%m-%d %H:%M:%S} UTC can be restored: {passed.tables} tables, "
        f"{passed.rows:,} rows, {passed.objects:,} objects equal, in {duration(passed.seconds)}."
    )
    return 0
