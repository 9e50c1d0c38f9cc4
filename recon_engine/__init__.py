"""The reconciliation engine: two sides in, an answer that stands up as evidence out.

from recon_engine import Plan, reconcile
result = reconcile(Plan.load("plan.yaml"))
result.summary["breaks"]; result.breaks().collect()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon_engine.errors import (
        EvidenceError,
        InputError,
        Issue,
        LimitError,
        PlanError,
        ReconError,
        UndecidedError,
    )
    from recon_engine.nway.any_plan import load_plan
    from recon_engine.nway.plan import SidesPlan
    from recon_engine.plan import Plan
    from recon_engine.result import Result, reconcile
    from recon_engine.verification.checks import Check
    from recon_engine.verification.verify import verify

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

_MODULES = {
    "Check": "verification.checks",
    "Plan": "plan",
    "Result": "result",
    "SidesPlan": "nway.plan",
    "load_plan": "nway.any_plan",
    "reconcile": "result",
    "verify": "verification.verify",
}


def __getattr__(name: str) -> Any:
    """A public name is imported when it is asked for: what needs one of them does not wait for all."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
