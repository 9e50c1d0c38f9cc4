"""What people decide on suggested matches: kept beside the result, which stays as the run found it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from services.database.engine import serialise
from services.database.models import Account, Job, MatchDecision
from services.errors import Conflict, Invalid, TooLarge
from services.jobs.queue import find_job
from services.permissions import Action, Actor, check
from services.result_exports import csv_chunk
from services.result_rows import Filters

if TYPE_CHECKING:
    from services.container import Container

Verdict = Literal["confirmed", "rejected", "open"]
LONGEST_NOTE = 500
MOST_AT_ONCE = 10_000  # matches


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds of one suggested match, by whom, since when, and why."""

    match_id: int
    verdict: str
    note: str
    person: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Reviewer:
    """What of the decisions that hold one person made, and between when and when."""

    person: str
    confirmed: int
    rejected: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run's suggested matches are decided, and by whom; `sha256`: of the decisions as they are saved."""

    suggested: int
    reviewers: tuple[Reviewer, ...]
    sha256: str

    @property
    def confirmed(self) -> int:
        """How many people confirmed."""
        return sum(one.confirmed for one in self.reviewers)

    @property
    def rejected(self) -> int:
        """How many people rejected."""
        return sum(one.rejected for one in self.reviewers)

    @property
    def waiting(self) -> int:
        """How many nobody decided on."""
        return self.suggested - self.confirmed - self.rejected


class ReviewService:
    """Keeps the decisions. Every change of one is an entry of the audit trail."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def decisions(self, actor: Actor, job_id: str, matches: Sequence[int] | None = None) -> dict[int, Decision]:
        """The decisions on a run's suggested matches, or on these, by the number of the match. Raises NotFound."""
        check(actor, Action.RESULT_READ)
        return self._decisions(actor, job_id, matches)

    def counts(self, actor: Actor, job_id: str) -> dict[str, int]:
        """How many suggested matches of a run are confirmed and rejected, by the verdict. Raises NotFound."""
        check(actor, Action.RESULT_READ)
        verdict = MatchDecision.verdict
        with self._container.session() as session:
            find_job(session, actor.workspace_id, job_id)
            made = select(verdict, func.count()).where(MatchDecision.job_id == job_id).group_by(verdict)
            return dict(session.execute(made.order_by(verdict)).all())

    def decided(self, actor: Actor, job_ids: Collection[str]) -> dict[str, int]:
        """How many suggested matches are decided, by the runs of these in which some are."""
        check(actor, Action.RESULT_READ)
        made = (
            select(MatchDecision.job_id, func.count())
            .join(Job, Job.id == MatchDecision.job_id)
            .where(Job.workspace_id == actor.workspace_id, Job.id.in_(job_ids))
            .group_by(MatchDecision.job_id)
        )
        with self._container.session() as session:
            return dict(session.execute(made).all())

    def standing(self, actor: Actor, job_id: str) -> Standing:
        """What is decided on a run's suggested matches, by whom and when: what a reviewer signs. Raises NotFound."""
        check(actor, Action.RESULT_READ)
        suggested = self._container.results.suggested_matches(actor, job_id)
        whose = (
            select(MatchDecision, Account.name, Account.email)
            .join(Account, Account.id == MatchDecision.account_id)
            .where(MatchDecision.job_id == job_id)
            .order_by(MatchDecision.match_id)
        )
        with self._container.session() as session:
            rows = session.execute(whose).all()  # at once: the hash is of what is counted
            told = _as_csv(Decision(row.match_id, row.verdict, row.note, name, row.at) for row, name, _ in rows)
            people = sorted((row.at, row.match_id, row.verdict, f"{name}, {email}") for row, name, email in rows)
        made: dict[str, list[tuple[str, datetime]]] = {}
        for at, _, verdict, person in people:
            made.setdefault(person, []).append((verdict, at))
        reviewers = tuple(
            Reviewer(
                person,
                confirmed=sum(verdict == "confirmed" for verdict, _ in own),
                rejected=sum(verdict == "rejected" for verdict, _ in own),
                first=own[0][1],
                last=own[-1][1],
            )
            for person, own in made.items()
        )
        return Standing(suggested, reviewers, hashlib.sha256(told).hexdigest())

    def waiting(self, actor: Actor, job_id: str, filters: Filters | None = None) -> int:
        """How many suggested matches of which the filters keep a record are not decided. Raises NotFound, Invalid."""
        check(actor, Action.RESULT_READ)
        suggested = self._container.results.suggested(actor, job_id, filters)
        with self._container.session() as session:
            return len(_undecided(session, job_id, suggested))

    def _decisions(self, actor: Actor, job_id: str, matches: Sequence[int] | None = None) -> dict[int, Decision]:
        made = (
            select(MatchDecision, Account.name)
            .join(Account, Account.id == MatchDecision.account_id)
            .where(MatchDecision.job_id == job_id)
            .order_by(MatchDecision.match_id)
        )
        if matches is not None:
            made = made.where(MatchDecision.match_id.in_(matches))
        with self._container.session() as session:
            find_job(session, actor.workspace_id, job_id)
            return {
                row.match_id: Decision(row.match_id, row.verdict, row.note, name, row.at)
                for row, name in session.execute(made).all()
            }

    def decide(self, actor: Actor, job_id: str, match_id: int, verdict: Verdict, note: str = "") -> None:
        """Confirm or reject a suggested match, or leave it open again. Raises NotFound, Invalid, and Conflict when the
        match was not suggested.
        """
        check(actor, Action.RESULT_REVIEW)
        note = _checked(verdict, note)
        if self._container.results.match(actor, job_id, match_id)["match"]["outcome"] != "suggested":
            raise Conflict(f"Match {match_id} is not a suggested one: there is nothing to decide.")
        decision = MatchDecision(
            job_id=job_id,
            match_id=match_id,
            verdict=verdict,
            note=note,
            account_id=actor.account_id,
            at=self._container.clock.now(),
        )
        with self._container.transaction() as session:
            serialise(session, f"decisions of {job_id}")  # two at once would both be the first
            before = session.get(MatchDecision, (job_id, match_id))
            replaced = before and (before.verdict, before.account_id, before.at.isoformat())
            if verdict != "open":
                if before is not None and (before.verdict, before.note) == (verdict, note):
                    return
                session.merge(decision)
            elif before is not None:
                session.delete(before)
            else:
                return
            # The trail is for good, and a note may quote what no trail should hold.
            detail: dict[str, Any] = {"match": match_id, "verdict": verdict, "note_length": len(note)}
            if replaced:  # of one among many, only the decision itself told whose it was
                detail["replaced"] = dict(zip(("verdict", "by", "at"), replaced, strict=True))
            self._container.audit.record(session, actor, Action.RESULT_REVIEW, "job", job_id, **detail)

    def decide_all(
        self, actor: Actor, job_id: str, verdict: Verdict, note: str, filters: Filters, expected: int
    ) -> None:
        """Confirm or reject every suggested match of which the filters keep a record and that nobody decided on: all of
        them, or none. Raises NotFound, Invalid, TooLarge, and Conflict when they are not as many as `expected`.
        """
        check(actor, Action.RESULT_REVIEW)
        note = _checked(verdict, note)
        if verdict == "open":
            raise Invalid("Decisions are taken back one by one.")
        suggested = self._container.results.suggested(actor, job_id, filters)
        common = {"job_id": job_id, "verdict": verdict, "note": note, "account_id": actor.account_id}
        with self._container.transaction() as session:
            serialise(session, f"decisions of {job_id}")
            undecided = _undecided(session, job_id, suggested)
            if len(undecided) > MOST_AT_ONCE:
                raise TooLarge(f"At most {MOST_AT_ONCE:,} matches are decided at once, these are {len(undecided):,}.")
            if undecided.is_empty() or len(undecided) != expected:
                raise Conflict(f"{len(undecided):,} of these matches wait now, not {expected:,}: look again.")
            at = self._container.clock.now()
            session.execute(insert(MatchDecision), [{**common, "match_id": one, "at": at} for one in undecided])
            detail: dict[str, Any] = {"matches": len(undecided), "verdict": verdict, "note_length": len(note)}
            self._container.audit.record(session, actor, Action.RESULT_REVIEW, "job", job_id, **detail)

    def export_csv(self, actor: Actor, job_id: str) -> bytes:
        """The decisions as CSV, to be kept beside the evidence; text that is a formula is made harmless."""
        check(actor, Action.RESULT_DOWNLOAD)
        made = self._decisions(actor, job_id).values()
        with self._container.transaction() as session:
            kind: dict[str, Any] = {"table": "decisions", "format": "csv"}
            self._container.audit.record(session, actor, Action.RESULT_DOWNLOAD, "job", job_id, **kind)
        return _as_csv(made)


def _as_csv(made: Iterable[Decision]) -> bytes:
    rows = [(one.match_id, one.verdict, one.note, one.person, one.at.isoformat()) for one in made]
    columns = {"match_id": pl.Int64, "verdict": pl.String, "note": pl.String, "person": pl.String, "at": pl.String}
    return csv_chunk(pl.DataFrame(rows, schema=columns, orient="row"), header=True)


def _checked(verdict: str, note: str) -> str:
    """The note as it is kept."""
    note = " ".join(note.split())
    if verdict not in get_args(Verdict) or len(note) > LONGEST_NOTE:
        raise Invalid(f"A decision is confirmed, rejected or open, with a note of at most {LONGEST_NOTE} characters.")
    return note


def _undecided(session: Session, job_id: str, suggested: pl.Series) -> pl.Series:
    """Those of the suggested matches that nobody decided on."""
    decided = session.scalars(select(MatchDecision.match_id).where(MatchDecision.job_id == job_id)).all()
    return suggested.filter(~suggested.is_in(pl.Series(decided, dtype=suggested.dtype).implode()))
