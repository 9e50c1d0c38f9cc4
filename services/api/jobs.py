"""Runs over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.api.described import problems
from services.api.identity import Caller, Services
from services.api.inputs import LINKED, Cursor, FileIds, Id, Limit, ListOf, RepeatKey, listed
from services.api.repeats import answered_once, made_before
from services.errors import Invalid
from services.idempotency import Attempt
from services.permissions import Action

router = APIRouter(prefix="/reconciliation/jobs", tags=["runs"])


PLAN: dict[str, JsonValue] = {
    "name": "bank-vs-ledger",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank"},
    "fields": [
        {"name": "reference", "left": "ref", "right": "txn_id", "type": "text"},
        {"name": "amount", "left": "amount", "right": "value", "type": "decimal", "scale": 2},
    ],
    "rules": [{"name": "exact", "on": ["reference", "amount"]}],
}
LAUNCH: dict[str, JsonValue] = {"plan": PLAN, "left_file_id": "0" * 32, "right_file_id": "1" * 32}


class Launch(BaseModel):
    """A plan and the file or files of each side to run it on: `left_file_id` and `right_file_id`, or for a plan with
    `sides` those of each side by its name, as `side_file_ids`.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [LAUNCH]})

    plan: dict[str, Any]
    left_file_id: FileIds | None = None
    right_file_id: FileIds | None = None
    side_file_ids: dict[str, FileIds] | None = None
    reconciliation_id: Id | None = None

    def files(self) -> list[FileIds]:
        """The files of each side, in the order of the plan. Raises Invalid where they are not those of its sides."""
        sides = self.plan.get("sides")
        if not isinstance(sides, list):
            if self.left_file_id is None or self.right_file_id is None or self.side_file_ids is not None:
                raise Invalid("Give left_file_id and right_file_id; side_file_ids goes with a plan that has sides.")
            return [self.left_file_id, self.right_file_id]
        names = [str(side.get("name")) if isinstance(side, dict) else "" for side in sides]
        given = self.side_file_ids or {}
        if self.left_file_id is not None or self.right_file_id is not None or given.keys() != set(names):
            raise Invalid(f"The plan has sides: give side_file_ids, a file for each of {', '.join(names)}.")
        return [given[name] for name in names]


class JobOut(BaseModel):
    """A run and how far it is."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    reconciliation_id: str | None
    left_file_id: str
    right_file_id: str
    left_file_ids: list[str]
    right_file_ids: list[str]
    side_file_ids: dict[str, list[str]] = Field(description="The files of each side by its name in the plan.")
    status: str
    attempts: int
    progress: dict[str, Any] | None = Field(validation_alias="progress_json")
    error: str | None
    exit_code: int | None
    summary: dict[str, Any] | None = Field(validation_alias="summary_json")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@router.post("", status_code=202, response_model=JobOut, responses=problems(404, 409))
def launch(given: Launch, actor: Caller, services: Services, repeat_key: RepeatKey = None) -> JobOut | Response:
    """Start a run; it is accepted for good once this answers."""

    def start(attempt: Attempt | None = None) -> JobOut:
        job = made_before(attempt, lambda job_id: services.jobs.get(actor, job_id))
        if job is None:
            left, right, *further = given.files()
            chosen = attempt.target_id if attempt else None
            job = services.jobs.launch(actor, given.reconciliation_id, given.plan, left, right, chosen, further)
        return JobOut.model_validate(job)

    if repeat_key is None:
        return start()
    said = [given.model_dump(mode="json")]
    return answered_once(services, actor, Action.JOB_LAUNCH, repeat_key, said, 202, start)


@router.get("", responses=LINKED)
def list_jobs(
    request: Request,
    response: Response,
    actor: Caller,
    services: Services,
    limit: Limit = 50,
    cursor: Cursor = None,
    reconciliation_id: Id | None = None,
) -> ListOf[JobOut]:
    """List the workspace's runs, the newest first."""
    return listed(request, response, services.jobs.list(actor, limit, reconciliation_id, cursor), JobOut)


@router.get("/{job_id}", responses=problems(404))
def read_job(job_id: Id, actor: Caller, services: Services) -> JobOut:
    """One run: its status, its progress, its summary."""
    return JobOut.model_validate(services.jobs.get(actor, job_id))


@router.delete("/{job_id}", status_code=202, responses=problems(404, 409))
def cancel(job_id: Id, actor: Caller, services: Services) -> JobOut:
    """Cancel a run: at once while it waits, within a moment while it runs."""
    return JobOut.model_validate(services.jobs.cancel(actor, job_id))
