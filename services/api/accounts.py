"""Accounts and the dashboard's numbers over HTTP."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from services.api.identity import Caller, Services
from services.permissions import Action, Role, check

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


class Dashboard(BaseModel):
    """Counts of the workspace."""

    jobs: dict[str, int]


@router.get("/users", tags=["accounts"])
def users(actor: Caller, services: Services) -> list[AccountOut]:
    """The workspace's accounts."""
    return [AccountOut.model_validate(account) for account in services.accounts.list(actor)]


@router.get("/analytics/dashboard", tags=["analytics"])
def dashboard(actor: Caller, services: Services) -> Dashboard:
    """How many runs the workspace has in each state."""
    check(actor, Action.ANALYTICS_READ)
    return Dashboard(jobs=services.jobs.counts(actor))
