"""`backup now|list|verify|prune|key`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ops.backup import catalogue, prune
from ops.backup.make import back_up
from ops.backup.open import verify
from ops.backup.site import keyring_of, site_of
from ops.commands._shared import Commands, add_choice, chosen, progress, say, size
from ops.errors import Damaged, Refused
from services.container import Container


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command and its parts."""
    parts = commands.add_parser("backup", help="make, list, verify and prune backups").add_subparsers(
        required=True, metavar="PART"
    )
    now = parts.add_parser("now", help="make a backup, read it back and verify it")
    now.add_argument("--slot", metavar="HOUR", help="the hour of the schedule, which gets one backup only")
    now.set_defaults(run=make)
    parts.add_parser("list", help="every backup in the store, newest first").set_defaults(run=show)
    check = parts.add_parser("verify", help="read a backup back and check every part of it")
    add_choice(check)
    check.add_argument("--all", action="store_true", help="every backup, one after another")
    check.set_defaults(run=verify_some)
    pruning = parts.add_parser("prune", help="mark what no rule keeps; remove what was marked a day ago")
    pruning.add_argument(
        "--dry-run", action="store_true", help="only say what would be done and why each survivor stays"
    )
    pruning.set_defaults(run=prune_store)
    key = parts.add_parser("key", help="write the key in the form that the age command reads")
    key.add_argument("file", type=Path, metavar="FILE", help="a new file, made for its owner only")
    key.set_defaults(run=write_key)


def make(container: Container, arguments: argparse.Namespace) -> int:
    """Make a backup now."""
    header = back_up(site_of(container), arguments.slot, progress)
    if header is None:
        say(f"The backup of {arguments.slot} exists already.")
    else:
        say(f"{header.id} verified: {size(header.size_bytes)}, {header.rows:,} rows.")
    return 0


def show(container: Container, _: argparse.Namespace) -> int:
    """List the store."""
    listing = site_of(container).store.listing()
    for header in listing.backups:
        state = "marked for removal" if header.id in listing.marked else "verified"
        kind = "scheduled" if header.scheduled else "by hand"
        line = (f"{header.started_at:%Y-%m-%d %H:%M:%S}", header.id, f"{size(header.size_bytes):>10}")
        say("  ".join((*line, f"{header.rows:>10,} rows", header.engine, kind, state)))
    for name in listing.strange:
        say(f"not ours or damaged: {name}")
    for name in listing.orphans:
        say(f"never finished: {name}")
    if not listing.backups:
        say("There are no verified backups.")
    return 0


def verify_some(container: Container, arguments: argparse.Namespace) -> int:
    """Verify one backup or all."""
    site = site_of(container)
    headers = site.store.listing().backups if arguments.all else [chosen(site, arguments)]
    damaged = 0
    for header in headers:
        try:
            manifest = verify(site, header, progress)
        except Damaged as error:
            damaged += 1
            say(f"{header.id} DAMAGED: {error.message}")
        else:
            held = f"{len(manifest.tables)} tables, {header.rows:,} rows, {manifest.object_count:,} objects"
            say(f"{header.id} holds: {held}.")
    return 1 if damaged else 0


def prune_store(container: Container, arguments: argparse.Namespace) -> int:
    """Prune, or say what a prune would do."""
    site = site_of(container)
    now = container.clock.now()
    listing = site.store.listing()
    planned = prune.plan(listing, site.database.database_id(), now)
    by_id = {header.id: header for header in listing.backups}
    for backup_id, reasons in planned.keep.items():
        say(f"keep    {by_id[backup_id].started_at:%Y-%m-%d %H:%M:%S}  {backup_id}  {', '.join(reasons)}")
    for word, headers in (("mark", planned.mark), ("unmark", planned.unmark), ("remove", planned.sweep)):
        for header in headers:
            say(f"{word:<7} {header.started_at:%Y-%m-%d %H:%M:%S}  {header.id}")
    counted = (len(planned.keep), len(planned.mark), len(planned.unmark), len(planned.sweep))
    say("{} kept, {} newly marked, {} no longer marked, {} removed{}.".format(*counted, _would(arguments.dry_run)))
    if not arguments.dry_run:
        prune.apply(site.store, planned, now)
        catalogue.sync(container, site.store.listing())
    return 0


def _would(dry: bool) -> str:
    return " (dry run: nothing was done)" if dry else ""


def write_key(container: Container, arguments: argparse.Namespace) -> int:
    """Write the identity file."""
    try:
        descriptor = os.open(arguments.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Refused(f"The key file {arguments.file} cannot be made: {error.strerror}.") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(keyring_of(container).identity_file())
    say(f"Wrote {arguments.file}. Whoever holds it can read every backup: keep it in a safe, not beside the backups.")
    return 0
