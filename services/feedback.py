"""What people think of a page: a rating and a sentence, with the page, the version and the session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from services.database.models import Account, Feedback
from services.errors import Invalid
from services.limits import Limited
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

RATINGS = range(1, 6)
LONGEST_SENTENCE = 1000
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Word:
    """One piece of feedback, as administrators read it."""

    at: datetime
    person: str
    page: str
    version: str
    rating: int
    sentence: str


class FeedbackService:
    """Keeps and lists feedback."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def give(self, actor: Actor, page: str, rating: int, sentence: str = "") -> None:
        """Keep a rating from 1 (bad) to 5 (good), and a sentence if there is one."""
        check(actor, Action.FEEDBACK_GIVE)
        if rating not in RATINGS:
            raise Invalid(f"A rating is a number from {RATINGS[0]} to {RATINGS[-1]}.")
        sentence = " ".join(sentence.split())
        if len(sentence) > LONGEST_SENTENCE:
            raise Invalid(f"Please keep it under {LONGEST_SENTENCE:,} characters; this has {len(sentence):,}.")
        self._container.limits.hit(Limited.FEEDBACK, actor)
        with self._container.transaction() as session:
            session.add(
                Feedback(
                    workspace_id=actor.workspace_id,
                    account_id=actor.account_id,
                    session_id=actor.session_id,
                    page=page[:64],
                    version=self._container.settings.version,
                    rating=rating,
                    sentence=sentence,
                    at=self._container.clock.now(),
                )
            )

    def list(self, actor: Actor) -> Sequence[Word]:
        """The workspace's newest feedback."""
        check(actor, Action.FEEDBACK_READ)
        query = (
            select(Feedback, Account.name)
            .join(Account, Account.id == Feedback.account_id)
            .where(Feedback.workspace_id == actor.workspace_id)
            .order_by(Feedback.at.desc())
            .limit(SHOWN)
        )
        with self._container.session() as session:
            return [
                Word(row.at, name, row.page, row.version, row.rating, row.sentence)
                for row, name in session.execute(query).all()
            ]
