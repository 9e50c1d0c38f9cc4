"""What use cases on reconciliations and on saved plans share: finding one, names, and plans that people give."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from recon_engine.errors import PlanError
from recon_engine.nway.any_plan import AnyPlan, build_plan
from services.database.models import Reconciliation
from services.errors import Invalid, NotFound

PlanLike = AnyPlan | dict[str, Any]


def find_reconciliation(session: Session, workspace_id: str, reconciliation_id: str) -> Reconciliation:
    """The workspace's reconciliation. Raises NotFound."""
    reconciliation = session.get(Reconciliation, reconciliation_id)
    if reconciliation is None or reconciliation.workspace_id != workspace_id:
        raise NotFound("There is no such reconciliation; start a new one.")
    return reconciliation


def valid_plan(plan: PlanLike) -> AnyPlan:
    """The plan as a model. Raises Invalid naming every mistake."""
    if isinstance(plan, AnyPlan):
        return plan
    try:
        return build_plan(plan)
    except PlanError as error:
        raise Invalid(str(error)) from error


def named(name: str) -> str:
    """A name that a person gave, in one line. Raises Invalid when it is empty."""
    name = " ".join(name.split())
    if not name:
        raise Invalid("Please give it a name.")
    return name[:200]
