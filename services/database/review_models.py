"""The table of what people decide about results; the results themselves never change."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from services.database.base import Base, Id


class MatchDecision(Base):
    """What a person decided on a suggested match of a run. Verdict: confirmed, rejected. What was decided before stands
    in the audit trail.
    """

    __tablename__ = "match_decision"
    job_id: Mapped[str] = mapped_column(Id, ForeignKey("job.id"), primary_key=True)
    match_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    verdict: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(String(500))
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    at: Mapped[datetime]
