"""Accounts and the dashboard's numbers over HTTP."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from services.api.identity import Caller, Services
from services.api.inputs import LINKED, Cursor, Limit, ListOf, listed
from services.permissions import Role

router = APIRouter()


class AccountOut(BaseModel):
    """An account, without its password."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str
    name: str
    role: Role
    active: bool
    created_at: datetime


class RunOut(BaseModel):
    """One run in a line; `match_rate` is the share of all rows read that were matched."""

    job_id: str
    reconciliation: str | None
    status: str
    created_at: datetime
    seconds: float | None
    rows: int | None
    breaks: int | None
    match_rate: float | None


class Volume(BaseModel):
    """One day's work."""

    day: str
    runs: int
    rows: int
    breaks: int


class Together(BaseModel):
    """Some runs in one line; `cycle_seconds` is the median from being asked for to the end, of those with a result."""

    runs: int
    failed: int
    rows: int
    matched: int
    match_rate: float | None
    cycle_seconds: float | None
    last_run: datetime | None


class Whole(Together):
    """All runs; `open` are the breaks that the newest result of each plan leaves."""

    open: int


class PlanNumbers(Together):
    """The runs of one plan; `open` are the breaks that its newest result leaves, null without one."""

    plan: str
    open: int | None


class PersonNumbers(Together):
    """The runs that one person started."""

    person: str


class Age(BaseModel):
    """The open records of one age, in days from their first date field to the latest date of their files."""

    age: str
    rows: int


class Dashboard(BaseModel):
    """The workspace in numbers: runs by status, and of the newest 200 the volumes, rates, times and what is open."""

    jobs: dict[str, int]
    recent: list[RunOut]
    volumes: list[Volume]
    breaks: dict[str, int]
    whole: Whole
    plans: list[PlanNumbers]
    people: list[PersonNumbers]
    ageing: list[Age]


@router.get("/users", tags=["accounts"], responses=LINKED)
def users(
    request: Request, response: Response, actor: Caller, services: Services, limit: Limit = 50, cursor: Cursor = None
) -> ListOf[AccountOut]:
    """List the workspace's accounts by name."""
    return listed(request, response, services.accounts.list(actor, limit, cursor), AccountOut)


@router.get("/analytics/dashboard", tags=["analytics"])
def dashboard(actor: Caller, services: Services) -> Dashboard:
    """What the workspace runs, how much of it matches, how long it takes, by plan and person, and how old what stays
    open is; at most half a minute old.
    """
    return Dashboard.model_validate(services.analytics.dashboard(actor))
