"""The sides of a reconciliation as their files are kept: left, right, further ones by number; plans name them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import SidesPlan
from recon_engine.plan import SIDES, Plan, SideName

Kept = TypeVar("Kept")
MOST_SIDES = 8
EVERY: tuple[str, ...] = (*SIDES, *(f"side_{number}" for number in range(len(SIDES) + 1, MOST_SIDES + 1)))
"""All that there can be, in the order in which a plan of several sides names its own."""


def by_name(plan: AnyPlan, given: Sequence[Kept]) -> dict[str, Kept]:
    """What is given for each side in their order, by the names that the plan has for them."""
    return dict(zip(plan.labels, given, strict=True))


def with_files(plan: AnyPlan, files: Mapping[str, Sequence[str]]) -> AnyPlan:
    """A copy of the plan with these files for each of its sides."""
    if isinstance(plan, SidesPlan):
        return plan.with_files(files)
    return plan.with_files(list(files["left"]), list(files["right"]))


def side_view(plan: AnyPlan, side: str) -> tuple[Plan, SideName]:
    """A side as a plan of two has it: such a plan, with the fields of the side, and which of the two it is there."""
    return (plan.side_plan(side), "left") if isinstance(plan, SidesPlan) else (plan, cast("SideName", side))
