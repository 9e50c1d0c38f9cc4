"""Removal in two steps: what no rule keeps is marked, and swept a day later if still no rule keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops.backup.manifest import Header
from ops.backup.retention import RULES, retained
from ops.backup.store import BackupStore, Listing

GRACE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a prune does: the survivors with their reasons, and three lists that it acts on."""

    keep: Mapping[str, tuple[str, ...]]
    mark: Sequence[Header]
    unmark: Sequence[Header]
    sweep: Sequence[Header]
    waiting: Mapping[str, datetime]
    """Marked ones, with the moment at which they may be swept."""


def plan(listing: Listing, database_id: str, now: datetime) -> Plan:
    """What to do with the backups of this database; those of others are never touched."""
    ours = [header for header in listing.backups if header.database_id in (database_id, "")]
    keep = retained(ours, RULES, now)
    going = [header for header in ours if header.id not in keep]
    due = [header for header in going if header.id in listing.marked and listing.marked[header.id] <= now - GRACE]
    return Plan(
        keep=keep,
        mark=[header for header in going if header.id not in listing.marked],
        unmark=[header for header in ours if header.id in keep and header.id in listing.marked],
        sweep=due,
        waiting={
            header.id: listing.marked.get(header.id, now) + GRACE
            for header in going
            if header not in due and listing.marked.get(header.id, now) <= now
        },
    )


def apply(store: BackupStore, planned: Plan, now: datetime) -> None:
    """Carry the plan out."""
    for header in planned.mark:
        store.mark(header, now)
    for header in planned.unmark:
        store.unmark(header)
    for header in planned.sweep:
        store.remove(header)
