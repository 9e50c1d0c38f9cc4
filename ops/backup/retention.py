"""Which backups stay: a pure function, so that it can be proven.

For each rule the newest backup of each of the last N periods that have one, in UTC; the union of the rules. As only
periods with a backup count, a backup falls out of a rule when it is both older than N periods and N newer ones are
there: a schedule that stood still, or a wrong clock, cannot empty the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

FLOOR = 3
"""The newest backups that stay whatever the rules say."""


class Stamped(Protocol):
    """A verified backup, as far as retention cares."""

    @property
    def id(self) -> str:
        """Its identity."""

    @property
    def started_at(self) -> datetime:
        """The moment of its snapshot."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Keep the newest backup in each of the last `count` periods that have one. `period` numbers a moment's period."""

    name: str
    count: int
    period: Callable[[datetime], int]


RULES = (
    Rule("hourly", 48, lambda at: at.toordinal() * 24 + at.hour),
    Rule("daily", 7, lambda at: at.toordinal()),
    Rule("weekly", 4, lambda at: (at.toordinal() - 1) // 7),  # ISO weeks: the first of January of year 1 was a Monday
    Rule("monthly", 12, lambda at: at.year * 12 + at.month),
    Rule("yearly", 5, lambda at: at.year),
)


def retained(
    backups: Iterable[Stamped], rules: Iterable[Rule], now: datetime, floor: int = FLOOR
) -> dict[str, tuple[str, ...]]:
    """The backups that stay, each with every reason why. Backups of the same moment are ordered by their id.

    Backups from the future stay and count for nothing: the clock was wrong then or is wrong now. While a rule does not
    have its number, the oldest backup stays too.
    """
    newest_first = sorted(backups, key=lambda backup: (backup.started_at, backup.id), reverse=True)
    kept: dict[str, list[str]] = {b.id: ["stamped in the future"] for b in newest_first if b.started_at > now}
    past = [backup for backup in newest_first if backup.started_at <= now]
    for backup in past[:floor]:
        kept.setdefault(backup.id, []).append(f"one of the {floor} newest")
    short = []
    for rule in rules:
        seen: set[int] = set()
        for backup in past:
            period = rule.period(backup.started_at.astimezone(UTC))
            if period not in seen and len(seen) < rule.count:
                seen.add(period)
                kept.setdefault(backup.id, []).append(rule.name)
        if len(seen) < rule.count:
            short.append(rule.name)
    if past and short:
        kept.setdefault(past[-1].id, []).append(f"the oldest, with few {', '.join(short)} yet")
    return {backup_id: tuple(reasons) for backup_id, reasons in kept.items()}
