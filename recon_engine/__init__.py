"""The reconciliation engine: two sides in, an answer that stands up as evidence out.

from recon_engine import Plan, reconcile
result = reconcile(Plan.load("plan.yaml"))
result.summary["breaks"]; result.breaks().collect()
"""

from recon_engine.errors import (
    EvidenceError,
    InputError,
    Issue,
    LimitError,
    PlanError,
    ReconError,
    UndecidedError,
)
from recon_engine.evidence import verify
from recon_engine.nway.plan import SidesPlan, load_plan
from recon_engine.plan import Plan
from recon_engine.predicates import Check
from recon_engine.result import Result, reconcile

__all__ = [
    "Check",
    "EvidenceError",
    "InputError",
    "Issue",
    "LimitError",
    "Plan",
    "PlanError",
    "ReconError",
    "Result",
    "SidesPlan",
    "UndecidedError",
    "load_plan",
    "reconcile",
    "verify",
]
