"""The rollout under way as the database knows it: for the screen, and for the command line that moves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from services.database.engine import serialise
from services.database.models import Rollout, RolloutReading
from services.errors import Conflict
from services.operations import newest_verified
from services.permissions import Action, Actor, check
from services.rollout.board import Board, board, judged
from services.rollout.counts import Counts
from services.rollout.history import History, Patience, Reading, fired

if TYPE_CHECKING:
    from services.container import Container

Slot = Literal["blue", "green"]
SLOTS: tuple[Slot, ...] = get_args(Slot)
PHASES = {"internal": 0, "5": 5, "25": 25, "50": 50, "100": 100}
"""Each phase and the share of new visitors, in percent, that get the new version. The first is for invited people."""
KEPT = timedelta(days=2)
LOOKED_AT = timedelta(hours=2)
"""Longer than the patience of every trigger."""


def other(slot: str) -> str:
    """The slot of the other version."""
    return SLOTS[slot == SLOTS[0]]


@dataclass(frozen=True, slots=True)
class State:
    """The newest rollout, and the slot that serves those whom no rollout moves."""

    rollout: Rollout | None
    serving: str

    @property
    def running(self) -> Rollout | None:
        """The rollout, unless it has ended."""
        return self.rollout if self.rollout and self.rollout.status == "running" else None

    @property
    def judged(self) -> str:
        """The slot whose numbers decide: the new version's, else the one that serves."""
        return self.running.slot if self.running else self.serving

    def weights(self) -> dict[str, int | None]:
        """The share of new visitors for each slot. With 0 it keeps those whom it has, with None it keeps nobody: an
        old version serves its people until their sessions end, one that was taken back does not.
        """
        if self.running is None:
            complete = self.rollout is not None and self.rollout.status == "complete"
            return {self.serving: 100, other(self.serving): 0 if complete else None}
        share = PHASES[self.running.phase]
        return {self.running.slot: share, self.serving: 100 - share}


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the page. `read_at` is None when nobody watches: the board is then of all instances together."""

    board: Board
    state: State
    past: Sequence[Rollout]
    read_at: datetime | None
    version: str


class RolloutService:
    """Keeps the phase, the readings and the reasons."""

    def __init__(self, container: Container) -> None:
        self._container = container
        given = container.settings
        self.patience = Patience(
            *(
                timedelta(seconds=seconds)
                for seconds in (given.rollout_window_seconds, given.rollout_crash_seconds, given.rollout_slow_seconds)
            )
        )

    def view(self, actor: Actor) -> View:
        """The board and the rollouts, for the page."""
        check(actor, Action.ROLLOUT_READ)
        history = self.history()
        newest = history.readings[-1].at if history.readings else None
        silent = newest is None or self._container.clock.now() - newest > self.patience.window
        with self._container.session() as session:
            past = session.scalars(select(Rollout).order_by(Rollout.started_at.desc()).limit(20)).all()
        return View(
            board=self._everybodys() if silent else self.board(),
            state=self.state(),
            past=past,
            read_at=None if silent else newest,
            version=self._container.settings.version,
        )

    def state(self) -> State:
        """Where the rollout stands."""
        with self._container.session() as session:
            return self._state(session)

    def history(self, *, begun: datetime | None = None) -> History:
        """The readings that matter now, oldest first; those since a rollout began, when that is given: what the slot
        counted before was another version's.
        """
        after = self._container.clock.now() - LOOKED_AT
        with self._container.session() as session:
            query = select(RolloutReading).where(RolloutReading.at >= max(after, begun or after))
            rows = session.scalars(query.order_by(RolloutReading.at)).all()
        return History([_reading(row) for row in rows])

    def board(self) -> Board:
        """The board of the newest reading, for the version that is judged."""
        state = self.state()
        history = self.history(begun=state.running.started_at if state.running else None)
        if not history.readings:
            return board(Counts(), database_cpu=None, backup_age_seconds=self.backup_age())
        newest = history.readings[-1]
        counts = history.counted(state.judged, newest.at - self.patience.window, newest.at)
        return board(counts, database_cpu=newest.database_cpu, backup_age_seconds=self.backup_age())

    def fired(self) -> str | None:
        """Why the running rollout must be taken back; None when it may stay, or none runs."""
        running = self.state().running
        if running is None:
            return None
        usual = self._usual(self.history(), running)
        return fired(self.history(begun=running.started_at), running.slot, usual, self.patience)

    def watched(self) -> bool:
        """Whether there is a reading of late to compare the newest one with."""
        running = self.state().running
        readings = self.history(begun=running.started_at if running else None).readings
        return len(readings) > 1 and readings[-1].at - readings[-2].at <= self.patience.window

    def backup_age(self) -> float | None:
        """Seconds since the newest verified backup began."""
        with self._container.session() as session:
            at = newest_verified(session)
        return None if at is None else (self._container.clock.now() - at).total_seconds()

    def note(self, reading: Reading) -> None:
        """Keep a reading; forget the old ones."""
        slots = {
            slot: {process: counts.as_json() for process, counts in held.items()}
            for slot, held in reading.slots.items()
        }
        with self._container.transaction() as session:
            session.execute(delete(RolloutReading).where(RolloutReading.at < reading.at - KEPT))
            session.merge(RolloutReading(at=reading.at, slots_json=slots, database_cpu=reading.database_cpu))

    def begin(self, version: str, by: str) -> State:
        """A new rollout, into the slot that does not serve. Raises Conflict while one runs."""
        with self._container.transaction() as session:
            state = self._locked(session)
            if state.running is not None:
                raise Conflict(
                    f"The rollout of {state.running.version} is under way; advance it or roll it back first."
                )
            now = self._container.clock.now()
            made = Rollout(
                version=version, slot=other(state.serving), phase=next(iter(PHASES)), started_at=now, phase_at=now
            )
            session.add(made)
            session.flush()
            self._note(session, made, "start", by)
        return self.state()

    def advance(self, seen: Rollout, accepted: Sequence[str], by: str) -> State:
        """The next phase; after the last one the rollout is complete. Raises Conflict when it has moved meanwhile."""
        with self._container.transaction() as session:
            running = self._same(session, seen)
            running.usual_error_rate = self._usual(self.history(), seen)
            later = list(PHASES)[list(PHASES).index(running.phase) + 1 :]
            running.phase_at = self._container.clock.now()
            if later:
                running.phase = later[0]
            else:
                running.status, running.ended_at = "complete", running.phase_at
            self._note(session, running, "advance", by, accepted=list(accepted))
        return self.state()

    def take_back(self, seen: Rollout, reason: str, by: str) -> State:
        """The old version serves everybody again."""
        with self._container.transaction() as session:
            running = self._same(session, seen)
            running.status, running.reason, running.ended_at = "rolled back", reason, self._container.clock.now()
            self._note(session, running, "rollback", by, reason=reason)
        return self.state()

    def _usual(self, history: History, running: Rollout) -> float:
        """The old version's error rate; what it was when it still had requests, once it has none."""
        if not history.readings:
            return running.usual_error_rate
        start, end = history.readings[0].at, history.readings[-1].at
        rate = history.counted(other(running.slot), start, end).error_rate
        return running.usual_error_rate if rate is None else rate

    def _everybodys(self) -> Board:
        """What all instances counted of late, whatever their version."""
        figures = self._container.rolling.window(self.patience.window).whole
        return judged(
            {
                "crash_free": figures.crash_free,
                "p95": figures.api_p95_seconds,
                "error_rate": figures.error_rate,
                "database_cpu": None,
                "backup_age": self.backup_age(),
            },
            figures.api_calls,
        )

    def _state(self, session: Session) -> State:
        newest = session.scalar(select(Rollout).order_by(Rollout.started_at.desc()).limit(1))
        if newest is None:
            return State(None, SLOTS[0])
        return State(newest, newest.slot if newest.status == "complete" else other(newest.slot))

    def _locked(self, session: Session) -> State:
        serialise(session, "rollout")
        return self._state(session)

    def _same(self, session: Session, seen: Rollout) -> Rollout:
        running = self._locked(session).running
        if running is None or (running.id, running.phase) != (seen.id, seen.phase):
            raise Conflict("The rollout has moved meanwhile; look at `python -m ops rollout status` again.")
        return running

    def _note(self, session: Session, rollout: Rollout, what: str, by: str, **detail: Any) -> None:
        facts: dict[str, Any] = {
            "version": rollout.version,
            "slot": rollout.slot,
            "phase": rollout.phase,
            "by": by,
            **detail,
        }
        self._container.audit.record(session, None, f"rollout.{what}", "rollout", rollout.id, **facts)


def _reading(row: RolloutReading) -> Reading:
    slots = {
        slot: {process: Counts.from_json(counts) for process, counts in held.items()}
        for slot, held in row.slots_json.items()
    }
    return Reading(row.at, slots, row.database_cpu)
