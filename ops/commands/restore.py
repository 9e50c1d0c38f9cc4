"""`restore`: the installation as it was, or a copy into another database."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ops.backup.engines import database_at
from ops.backup.restore import anew_because, restore_in_place, restore_into
from ops.backup.site import site_of
from ops.commands._shared import Commands, add_choice, chosen, progress, say
from services.container import Container


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("restore", help="restore in place, or into an empty database")
    add_choice(parser)
    parser.add_argument("--into", metavar="URL", help="a new or empty database, instead of the configured one")
    parser.add_argument("--objects", type=Path, metavar="FOLDER", help="with --into: where the stored files go")
    parser.set_defaults(run=run)


def run(container: Container, arguments: argparse.Namespace) -> int:
    """Restore a backup."""
    site = site_of(container)
    started = time.monotonic()
    if arguments.into:
        header = chosen(site, arguments)
        outcome = restore_into(site, header, database_at(arguments.into), arguments.objects, progress)
    else:
        header = chosen(site, arguments, site.database.database_id())
        outcome = restore_in_place(site, header, progress)
    rows = sum(table.rows for table in outcome.manifest.tables.values())
    say(
        f"Restored {header.id} of {header.started_at:%Y-%m-%d %H:%M:%S} UTC into {outcome.database.place}: "
        f"{rows:,} rows equal to the manifest, {outcome.objects_restored:,} objects, "
        f"in {time.monotonic() - started:.1f} seconds."
    )
    if outcome.database.previous:
        say(f"What was there before is kept as {outcome.database.previous}; remove it when you are satisfied.")
    if outcome.objects_missing is None:
        say("The object storage does not answer: whether the objects that the backup names are there is not known.")
        say(f'When it does, run: python -m services.audit begin-anew "{anew_because(header)}"')
    elif outcome.objects_missing:
        say(f"{outcome.objects_missing:,} objects that the backup names are missing in the object storage.")
    return 0
