"""Runs over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from services.api.identity import Caller, Services

router = APIRouter(prefix="/reconciliation/jobs", tags=["runs"])


class Launch(BaseModel):
    """A plan and the two files to run it on."""

    model_config = ConfigDict(extra="forbid")

    plan: dict[str, Any]
    left_file_id: str
    right_file_id: str
    reconciliation_id: str | None = None


class JobOut(BaseModel):
    """A run and how far it is."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    reconciliation_id: str | None
    left_file_id: str
    right_file_id: str
    status: str
    attempts: int
    progress: dict[str, Any] | None = Field(validation_alias="progress_json")
    error: str | None
    exit_code: int | None
    summary: dict[str, Any] | None = Field(validation_alias="summary_json")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@router.post("", status_code=202)
def launch(given: Launch, actor: Caller, services: Services) -> JobOut:
    """Start a run; it is accepted for good once this answers."""
    job = services.jobs.launch(actor, given.reconciliation_id, given.plan, given.left_file_id, given.right_file_id)
    return JobOut.model_validate(job)


@router.get("")
def list_jobs(
    actor: Caller,
    services: Services,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    reconciliation_id: str | None = None,
) -> list[JobOut]:
    """The workspace's newest runs."""
    return [JobOut.model_validate(job) for job in services.jobs.list(actor, limit, reconciliation_id)]


@router.get("/{job_id}")
def read_job(job_id: str, actor: Caller, services: Services) -> JobOut:
    """One run."""
    return JobOut.model_validate(services.jobs.get(actor, job_id))


@router.delete("/{job_id}", status_code=202)
def cancel(job_id: str, actor: Caller, services: Services) -> JobOut:
    """Cancel a run: at once while it waits, within a moment while it runs."""
    return JobOut.model_validate(services.jobs.cancel(actor, job_id))
