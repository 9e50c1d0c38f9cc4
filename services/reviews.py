"""What people decide on suggested matches: kept beside the result, which stays as the run found it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl
from sqlalchemy import select

from services.database.engine import serialise
from services.database.models import Account, MatchDecision
from services.errors import Conflict, Invalid
from services.jobs.queue import find_job
from services.permissions import Action, Actor, check
from services.result_exports import csv_chunk

if TYPE_CHECKING:
    from services.container import Container

Verdict = Literal["confirmed", "rejected", "open"]
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds of one suggested match, by whom, since when, and why."""

    match_id: int
    verdict: str
    note: str
    person: str
    at: datetime


class ReviewService:
    """Keeps the decisions. Every change of one is an entry of the audit trail."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def decisions(self, actor: Actor, job_id: str) -> dict[int, Decision]:
        """The decisions on a run's suggested matches, by the number of the match. Raises NotFound."""
        check(actor, Action.RESULT_READ)
        return self._decisions(actor, job_id)

    def _decisions(self, actor: Actor, job_id: str) -> dict[int, Decision]:
        made = (
            select(MatchDecision, Account.name)
            .join(Account, Account.id == MatchDecision.account_id)
            .where(MatchDecision.job_id == job_id)
            .order_by(MatchDecision.match_id)
        )
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
        note = " ".join(note.split())
        if verdict not in get_args(Verdict) or len(note) > LONGEST_NOTE:
            raise Invalid(
                f"A decision is confirmed, rejected or open, with a note of at most {LONGEST_NOTE} characters."
            )
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
            self._container.audit.record(session, actor, Action.RESULT_REVIEW, "job", job_id, **detail)

    def export_csv(self, actor: Actor, job_id: str) -> bytes:
        """The decisions as CSV, to be kept beside the evidence; text that is a formula is made harmless."""
        check(actor, Action.RESULT_DOWNLOAD)
        made = self._decisions(actor, job_id).values()
        with self._container.transaction() as session:
            kind: dict[str, Any] = {"table": "decisions", "format": "csv"}
            self._container.audit.record(session, actor, Action.RESULT_DOWNLOAD, "job", job_id, **kind)
        rows = [(one.match_id, one.verdict, one.note, one.person, one.at.isoformat()) for one in made]
        columns = {"match_id": pl.Int64, "verdict": pl.String, "note": pl.String, "person": pl.String, "at": pl.String}
        return csv_chunk(pl.DataFrame(rows, schema=columns, orient="row"), header=True)
