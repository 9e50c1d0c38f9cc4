"""Reconciliations, saved plans, the audit trail and backups over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.api.identity import Caller, Services
from services.api.inputs import LINKED, Cursor, Id, Limit, ListOf, Text, linked, listed

router = APIRouter(tags=["lists"], responses=LINKED)


class ReconciliationOut(BaseModel):
    """A reconciliation in preparation or done: its files by side, its step, and the run of now."""

    model_config = ConfigDict(from_attributes=True)

    id: Id
    name: str
    step: Literal["upload", "map", "run", "results"]
    left_file_ids: list[Id]
    right_file_ids: list[Id]
    further_file_ids: list[list[Id]] = Field(description="The files of the sides after these two.")
    current_job_id: Id | None
    created_at: datetime
    updated_at: datetime


class PlanOut(BaseModel):
    """A saved plan, as YAML."""

    model_config = ConfigDict(from_attributes=True)

    id: Id
    name: str
    version: int
    yaml: str
    created_at: datetime
    updated_at: datetime


class AuditOut(BaseModel):
    """One entry of the audit trail. `hash` covers the entry and `previous_hash`."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    account_id: Id | None
    action: str
    target_type: str
    target_id: str
    detail: dict[str, Any] = Field(validation_alias="detail_json")
    address: str
    previous_hash: str
    hash: str


class BackupOut(BaseModel):
    """A backup, and why retention keeps it."""

    model_config = ConfigDict(from_attributes=True)

    id: Id
    started_at: datetime
    status: Literal["running", "verified", "failed"]
    size_bytes: int | None
    rows: int | None
    scheduled: bool
    kept_because: list[str]
    removal_at: datetime | None
    error: str | None


@router.get("/reconciliations")
def reconciliations(
    request: Request, response: Response, actor: Caller, services: Services, limit: Limit = 50, cursor: Cursor = None
) -> ListOf[ReconciliationOut]:
    """List the workspace's reconciliations, the last touched first.

    One that is touched while the list is read moves to the front.
    """
    found = services.plans.list(actor, limit, cursor)
    return listed(request, response, found, ReconciliationOut)


@router.get("/plans")
def plans(
    request: Request, response: Response, actor: Caller, services: Services, limit: Limit = 50, cursor: Cursor = None
) -> ListOf[PlanOut]:
    """List the saved plans by name."""
    return listed(request, response, services.plans.templates(actor, limit, cursor), PlanOut)


@router.get("/audit")
def audit(
    request: Request,
    response: Response,
    actor: Caller,
    services: Services,
    limit: Limit = 50,
    cursor: Cursor = None,
    action: Annotated[Text | None, Query(description="One kind of entry only, such as `job.launch`.")] = None,
) -> ListOf[AuditOut]:
    """List the audit trail, the newest entry first."""
    found = services.audit.entries(actor, cursor=cursor, limit=limit, action=action)
    return listed(request, response, found, AuditOut)


@router.get("/backups")
def backups(
    request: Request, response: Response, actor: Caller, services: Services, limit: Limit = 50, cursor: Cursor = None
) -> ListOf[BackupOut]:
    """List the backups, the newest first."""
    found = services.operations.backups(actor, limit, cursor)
    lines = [BackupOut.model_validate(line) for line in found.lines]
    return ListOf(items=lines, next=linked(request, response, found.next))
