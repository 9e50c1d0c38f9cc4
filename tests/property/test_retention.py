"""Retention against an oracle that was written from the rules, not from the code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ops.backup.retention import FLOOR, RULES, retained

FULL = os.environ.get("RECON_FAULT") == "full"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
COUNTS = {"hourly": 48, "daily": 7, "weekly": 4, "monthly": 12, "yearly": 5}
PERIODS = {
    "hourly": "%Y-%m-%d %H",
    "daily": "%Y-%m-%d",
    "weekly": "%G-%V",
    "monthly": "%Y-%m",
    "yearly": "%Y",
}


@dataclass(frozen=True, slots=True)
class Made:
    """A backup."""

    id: str
    started_at: datetime


def oracle(backups: Sequence[Made], now: datetime) -> set[str]:
    """What must stay: for each backup and rule, look at all others and count the periods that lie after it."""
    past = [made for made in backups if made.started_at <= now]
    stay = {made.id for made in backups if made.started_at > now}
    labels = {name: {made.id: made.started_at.strftime(form) for made in past} for name, form in PERIODS.items()}
    order = {made.id: (made.started_at, made.id) for made in past}
    for made in past:
        newer = [other.id for other in past if order[other.id] > order[made.id]]
        if len(newer) < FLOOR:
            stay.add(made.id)
        for name, label in labels.items():
            later = {label[other] for other in newer}
            if label[made.id] not in later and len(later) < COUNTS[name]:
                stay.add(made.id)
            if not any(order[other] < order[made.id] for other in order) and len(set(label.values())) < COUNTS[name]:
                stay.add(made.id)
    return stay


def history(start: datetime, hours: Sequence[int]) -> list[Made]:
    """Backups at the given hours after the start."""
    return [Made(f"{hour:08d}", start + timedelta(hours=hour)) for hour in hours]


def test_five_years_hourly() -> None:
    """43,800 hours, pruned every hour: the oracle agrees, the newest always stays, and in the end each rule is full.

    What pruning hour by hour leaves is what pruning the whole history at once would have left.
    """
    start = datetime(2021, 3, 1, tzinfo=UTC)
    every = 1 if FULL else 97
    whole = history(start, range(43_800))
    held: list[Made] = []
    for hour, made in enumerate(whole):
        held.append(made)
        now = made.started_at + timedelta(minutes=5)
        keep = retained(held, RULES, now)
        assert made.id in keep
        if hour % every == 0 or hour == len(whole) - 1:
            assert set(keep) == oracle(held, now)
        held = [survivor for survivor in held if survivor.id in keep]
    keep = retained(whole, RULES, now)
    assert set(keep) == {survivor.id for survivor in held}
    assert {name: sum(name in reasons for reasons in keep.values()) for name in COUNTS} == COUNTS


HISTORIES = st.lists(
    st.one_of(
        # crowded, sparse, far apart, in the future; the same moment twice
        st.integers(-200, 0),
        st.integers(-20_000, 0),
        st.integers(-100_000, 0),
        st.integers(1, 50),
    ),
    max_size=120,
)


@settings(max_examples=1000)
@given(hours=HISTORIES, minutes=st.integers(0, 59))
def test_random_histories(hours: list[int], minutes: int) -> None:
    """Gaps, clock jumps, future stamps, equal moments: the oracle agrees, whatever the order they are given in."""
    backups = [
        Made(f"{number:04d}", NOW + timedelta(hours=hour, minutes=minutes if number % 2 else 0))
        for number, hour in enumerate(hours)
    ]
    keep = retained(backups, RULES, NOW)
    assert set(keep) == oracle(backups, NOW)
    assert retained(backups[::-1], RULES, NOW) == keep
    assert all(reasons for reasons in keep.values())
    past = sorted((made for made in backups if made.started_at <= NOW), key=lambda made: (made.started_at, made.id))
    assert {made.id for made in past[-FLOOR:]} <= set(keep)


@settings(max_examples=100)
@given(jumps=st.lists(st.integers(-50_000, 50_000), min_size=1, max_size=6))
def test_a_wrong_clock_never_empties_the_store(jumps: list[int]) -> None:
    """However the clock jumps between prunes, three backups or all that there were are left each time."""
    held = history(NOW, range(-60, 0))
    for jump in jumps:
        now = NOW + timedelta(hours=jump)
        held = [made for made in held if made.id in retained(held, RULES, now)]
        assert len(held) >= FLOOR


def test_a_schedule_that_stood_still_keeps_what_it_has() -> None:
    """Two days of hourly backups, then silence for ten years: nothing is removed that was kept then."""
    backups = history(NOW, range(-48, 0))
    assert set(retained(backups, RULES, NOW)) == set(retained(backups, RULES, NOW + timedelta(days=3650)))
