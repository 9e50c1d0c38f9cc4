"""The tables of the API: its tokens, and the requests that have their effect once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from services.database.base import Base, Id, new_id


class ApiToken(Base):
    """A key with which a program calls the API for its owner. Only its hash is kept."""

    __tablename__ = "api_token"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[str] = mapped_column(String(100))  # with blanks between
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """A request that must have its effect once, however often it is sent; kept for a day.

    What it makes gets the id `target_id`, whoever of several attempts makes it: the table of that thing lets one in.
    """

    __tablename__ = "idempotency_key"
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    target_id: Mapped[str] = mapped_column(Id)
    attempts: Mapped[int] = mapped_column(default=1)
    lease_until: Mapped[datetime]
    answer_json: Mapped[dict[str, Any] | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)
