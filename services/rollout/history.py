"""The readings of a while: what each version counted in a window, and what has gone wrong for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import add

from services.rollout.board import BY_NAME, Verdict
from services.rollout.counts import Counts

LEAST_ERRORS = 3
"""Fewer failed requests than this prove nothing about a rate."""
UP_BY_HALF = 1.5


@dataclass(frozen=True, slots=True)
class Reading:
    """What the processes of each slot had counted at a moment, since each began, by the address of the process."""

    at: datetime
    slots: Mapping[str, Mapping[str, Counts]]
    database_cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Over what time a rate is taken, and for how long it may be bad."""

    window: timedelta = timedelta(minutes=5)
    crash_free: timedelta = timedelta(hours=1)
    p95: timedelta = timedelta(minutes=30)


class History:
    """Readings in the order of time."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.readings = readings
        self._growth: dict[str, list[tuple[datetime, Counts]]] = {}

    def counted(self, slot: str, after: datetime, until: datetime) -> Counts:
        """What the slot's processes counted in (after, until]."""
        return reduce(add, (counts for at, counts in self._grown(slot) if after < at <= until), Counts())

    def windows(self, slot: str, span: timedelta) -> Iterator[tuple[datetime, Counts]]:
        """At each reading, the newest first: what was counted in the span before it."""
        for reading in reversed(self.readings):
            yield reading.at, self.counted(slot, reading.at - span, reading.at)

    def _grown(self, slot: str) -> list[tuple[datetime, Counts]]:
        """What each reading shows more than the one before it. A process seen first after the first reading is new:
        all that it counted is.
        """
        if slot not in self._growth:
            last: dict[str, Counts] = {}
            grown: list[tuple[datetime, Counts]] = []
            for number, reading in enumerate(self.readings):
                held = reading.slots.get(slot, {})
                new = (
                    counts.since(last.get(process, Counts() if number else counts)) for process, counts in held.items()
                )
                grown.append((reading.at, reduce(add, new, Counts())))
                last |= held
            self._growth[slot] = grown
        return self._growth[slot]


def fired(history: History, new: str, usual_errors: float, patience: Patience) -> str | None:
    """Why the new version must be taken back, as a sentence; None when it may stay.

    `usual_errors` is the old version's error rate.
    """
    if not history.readings:
        return None
    bad_for = [
        ("crash_free", patience.crash_free, lambda c: _below(c.crash_free, BY_NAME["crash_free"].no_go)),
        ("p95", patience.p95, _slow),
    ]
    windows = list(history.windows(new, patience.window))
    for name, allowed, is_bad in bad_for:
        held = _held(windows, is_bad)
        if held is not None and held >= allowed:
            measure = BY_NAME[name]
            side = "below" if measure.rising else "above"
            return f"{measure.title} {side} {measure.shown(measure.no_go)} for {_span(held)}."
    return _more_errors(windows[0][1], usual_errors)


def _slow(counts: Counts) -> bool | None:
    """Whether the P95 is no-go; None when it is of too few calls to say."""
    verdict = BY_NAME["p95"].judge(counts.p95_seconds, counts.timed)
    return None if verdict is Verdict.UNKNOWN else verdict is Verdict.NO_GO


def _more_errors(now: Counts, usual: float) -> str | None:
    """The new version's error rate beside the usual one, which is at least what the board calls well."""
    measure = BY_NAME["error_rate"]
    usual = max(usual, measure.go)
    if now.errors < LEAST_ERRORS or (now.error_rate or 0.0) <= UP_BY_HALF * usual:
        return None
    return f"Error rate up by more than half: {measure.shown(now.error_rate)} after {measure.shown(usual)}."


def _held(windows: Sequence[tuple[datetime, Counts]], is_bad: Callable[[Counts], bool | None]) -> timedelta | None:
    """How long it has been bad without a good window in between; windows without an answer say nothing."""
    newest = since = None
    for at, counts in windows:
        bad = is_bad(counts)
        if bad is False:
            break
        if bad:
            newest, since = newest or at, at
    return newest - since if newest and since else None


def _below(value: float | None, bound: float | None) -> bool | None:
    return None if value is None or bound is None else value < bound


def _span(held: timedelta) -> str:
    minutes = held.total_seconds() / 60
    return f"{minutes:,.0f} minutes" if minutes >= 1 else f"{held.total_seconds():.0f} seconds"
