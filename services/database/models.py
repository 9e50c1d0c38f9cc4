"""The tables. Identifiers are 32 hex digits, moments are UTC, `*_json` columns hold plain Python data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from services.database.api_models import ApiToken, IdempotencyKey
from services.database.base import Base, Id, new_id
from services.database.review_models import MatchDecision
from services.database.side_files import SideFiles

__all__ = ["ApiToken", "Base", "IdempotencyKey", "MatchDecision", "new_id"]  # what else is declared elsewhere


class Workspace(Base):
    """A group of people who share files and reconciliations."""

    __tablename__ = "workspace"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]


class Account(Base):
    """A person who can sign in."""

    __tablename__ = "account"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(Id, ForeignKey("workspace.id"), index=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(String(100))
    active: Mapped[bool] = mapped_column(default=True)
    # asked for by registration; an administrator has not decided yet
    waiting: Mapped[bool] = mapped_column(default=False, server_default=false())
    email_confirmed_at: Mapped[datetime | None]
    # the second factor: its secret, sealed; since when it counts; the last time step whose code was accepted
    totp_secret: Mapped[str | None] = mapped_column(Text)
    totp_since: Mapped[datetime | None]
    totp_last_step: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # how numbers and dates are shown: keys of services/formats.py; empty: as the browser's language says
    number_format: Mapped[str] = mapped_column(String(16), default="", server_default="")
    date_format: Mapped[str] = mapped_column(String(16), default="", server_default="")
    created_at: Mapped[datetime]
    __table_args__ = (Index(None, "waiting", "created_at"),)


class RecoveryCode(Base):
    """A code that stands in for a lost second factor, once. Only its hash is kept."""

    __tablename__ = "recovery_code"
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    used_at: Mapped[datetime | None]


class AccountToken(Base):
    """A one-time link sent by mail. Purpose: confirm_email, reset_password. Only its hash is kept."""

    __tablename__ = "account_token"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class UserSession(Base):
    """A sign-in. Only the hash of its token is kept."""

    __tablename__ = "session"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    address: Mapped[str] = mapped_column(String(64))
    agent: Mapped[str] = mapped_column(String(300))
    second_factor: Mapped[bool] = mapped_column(default=False, server_default=false())  # whether its code was given


class SignInTicket(Base):
    """One step of signing in, good once: a browser exchanges it for its session cookie; one that `awaits_code` only
    says that the password was right, and is exchanged together with a code of the second factor. Only its hash is kept.
    """

    __tablename__ = "sign_in_ticket"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    awaits_code: Mapped[bool] = mapped_column(default=False, server_default=false())
    second_factor: Mapped[bool] = mapped_column(default=False, server_default=false())  # whether its code was given
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class StoredFile(Base):
    """An uploaded file. Status: uploaded, profiled, refused."""

    __tablename__ = "file"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(Id, ForeignKey("workspace.id"))
    name: Mapped[str] = mapped_column(String(255))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    storage_key: Mapped[str] = mapped_column(String(300))
    uploaded_by: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(16), default="uploaded")
    profile_json: Mapped[dict[str, Any] | None]
    refusal: Mapped[str | None] = mapped_column(Text)
    options_json: Mapped[dict[str, Any]] = mapped_column(default=dict)
    __table_args__ = (Index(None, "workspace_id", "created_at"), Index(None, "workspace_id", "sha256"))


class Reconciliation(SideFiles, Base):
    """A reconciliation being prepared or done: the wizard's memory. Step: upload, map, run, results."""

    __tablename__ = "reconciliation"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(Id, ForeignKey("workspace.id"))
    name: Mapped[str] = mapped_column(String(200))
    created_by: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    step: Mapped[str] = mapped_column(String(16), default="upload")
    left_file_id: Mapped[str | None] = mapped_column(Id, ForeignKey("file.id"))
    right_file_id: Mapped[str | None] = mapped_column(Id, ForeignKey("file.id"))
    plan_json: Mapped[dict[str, Any] | None]
    suggestion_json: Mapped[dict[str, Any] | None]
    # The saved plan that it was started from; not a foreign key, as below.
    template_id: Mapped[str | None] = mapped_column(Id)
    # Not a foreign key: jobs point here, and two tables that need each other could not be created in order.
    current_job_id: Mapped[str | None] = mapped_column(Id)
    __table_args__ = (Index(None, "workspace_id", "updated_at"),)


class PlanTemplate(Base):
    """A saved plan, to be applied to other files."""

    __tablename__ = "plan"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(Id, ForeignKey("workspace.id"))
    name: Mapped[str] = mapped_column(String(200))
    yaml: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    # the versions before, the latest last: {"versions": [{version, yaml, saved_at, saved_by}]}
    earlier_json: Mapped[dict[str, Any] | None]
    # how the files looked that it was made for: what later files are compared with
    seen_json: Mapped[dict[str, Any] | None]
    created_by: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    archived: Mapped[bool] = mapped_column(default=False)
    __table_args__ = (Index(None, "workspace_id", "archived", "name"),)


class Job(SideFiles, Base):
    """One run of a plan on the files of its sides.

    Status: queued, running, cancelling, paused, succeeded, failed, cancelled.
    """

    __tablename__ = "job"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(Id, ForeignKey("workspace.id"))
    reconciliation_id: Mapped[str | None] = mapped_column(Id, ForeignKey("reconciliation.id"), index=True)
    plan_json: Mapped[dict[str, Any]]
    left_file_id: Mapped[str] = mapped_column(Id, ForeignKey("file.id"))
    right_file_id: Mapped[str] = mapped_column(Id, ForeignKey("file.id"))
    status: Mapped[str] = mapped_column(String(16), default="queued")
    priority: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    progress_json: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Text)
    exit_code: Mapped[int | None]
    summary_json: Mapped[dict[str, Any] | None]
    result_prefix: Mapped[str | None] = mapped_column(String(300))
    created_by: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)

    @property
    def side_file_ids(self) -> dict[str, list[str]]:
        """The files of each side, by the name that the plan has for it."""
        names = [side["name"] for side in self.plan_json.get("sides", [])] or self.sides
        return {name: self.file_ids(side) for name, side in zip(names, self.sides, strict=True)}

    # the request that launched it: its log lines and the worker's belong together
    request_id: Mapped[str | None] = mapped_column(Id)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    __table_args__ = (Index(None, "status", "priority", "created_at"), Index(None, "workspace_id", "created_at"))


class AuditEntry(Base):
    """One line of the audit trail. Append-only; each entry's hash covers the entry before."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    account_id: Mapped[str | None] = mapped_column(Id)
    workspace_id: Mapped[str | None] = mapped_column(Id)
    action: Mapped[str] = mapped_column(String(64))
    target_type: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(String(64))
    detail_json: Mapped[dict[str, Any]] = mapped_column(default=dict)
    address: Mapped[str] = mapped_column(String(64))
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
    __table_args__ = (Index(None, "workspace_id", "id"),)


class Mail(Base):
    """A mail to send: the outbox. Status: queued, sending, sent, parked. Written with the event that causes it."""

    __tablename__ = "mail"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    # event, recipient and template: the same event never queues a second mail, and the Message-ID comes from it
    key: Mapped[str] = mapped_column(String(300), unique=True)
    message_id: Mapped[str] = mapped_column(String(200))
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(300))
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    # a failure after this moment parks the mail
    give_up_at: Mapped[datetime]
    request_id: Mapped[str | None] = mapped_column(Id)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    __table_args__ = (Index(None, "status", "next_at"),)


class SpooledObject(Base):
    """An object kept locally because the object storage was away; the sync moves it there and deletes this row."""

    __tablename__ = "spooled_object"
    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    # the machine that holds the file: only it can move it
    node: Mapped[str] = mapped_column(String(100), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    __table_args__ = (Index(None, "node", "next_at"),)


class Backup(Base):
    """A backup. Status: running, verified, failed, removed. Only a verified one counts."""

    __tablename__ = "backup"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    # the hour of a scheduled backup: two schedulers make one; null for one asked for by hand
    slot: Mapped[str | None] = mapped_column(String(32), unique=True)
    status: Mapped[str] = mapped_column(String(16), default="running")
    location: Mapped[str | None] = mapped_column(String(300))
    sha256: Mapped[str | None] = mapped_column(String(64))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    manifest_json: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    # removal is in two steps: marked, and swept a day later
    marked_at: Mapped[datetime | None]
    __table_args__ = (Index(None, "status", "started_at"), Index(None, "started_at", "id"))


class Drill(Base):
    """A restore into a scratch database, compared with the backup's manifest. Status: running, passed, failed."""

    __tablename__ = "drill"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    backup_id: Mapped[str | None] = mapped_column(Id)
    status: Mapped[str] = mapped_column(String(16), default="running")
    detail: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]


class Leader(Base):
    """Which process does a duty that only one may do at a time, such as the backup schedule."""

    __tablename__ = "leader"
    duty: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    lease_until: Mapped[datetime]


class WorkerNode(Base):
    """A job worker that is or was running; it renews `seen_at` while it lives."""

    __tablename__ = "worker"
    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    slots: Mapped[int]
    busy: Mapped[int] = mapped_column(default=0)
    version: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)


class Rollout(Base):
    """A new version on its way to everybody. Status: running, complete, rolled back."""

    __tablename__ = "rollout"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    version: Mapped[str] = mapped_column(String(64))
    # where the proxy finds the new version; the other slot holds the old one
    slot: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), default="running")
    reason: Mapped[str | None] = mapped_column(Text)
    # the old version's, while it still had requests to count
    usual_error_rate: Mapped[float] = mapped_column(default=0.0)
    started_at: Mapped[datetime] = mapped_column(index=True)
    phase_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class RolloutReading(Base):
    """What every process of both slots had counted at a moment; kept for two days."""

    __tablename__ = "rollout_reading"
    at: Mapped[datetime] = mapped_column(primary_key=True)
    slots_json: Mapped[dict[str, Any]]
    database_cpu: Mapped[float | None]


class Feedback(Base):
    """What somebody thinks of a page."""

    __tablename__ = "feedback"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(Id, ForeignKey("workspace.id"))
    account_id: Mapped[str] = mapped_column(Id, ForeignKey("account.id"), index=True)
    session_id: Mapped[str] = mapped_column(Id)
    page: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    rating: Mapped[int]
    sentence: Mapped[str] = mapped_column(String(1000))
    at: Mapped[datetime]
    __table_args__ = (Index(None, "workspace_id", "at"),)


class RollingSample(Base):
    """What one instance counted in half a minute: the last 24 hours, for the health page."""

    __tablename__ = "rolling_sample"
    at: Mapped[datetime] = mapped_column(primary_key=True)
    instance: Mapped[str] = mapped_column(Id, primary_key=True)
    counts_json: Mapped[dict[str, Any]]
