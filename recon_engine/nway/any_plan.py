"""Plan files of two sides or of more: which of the two a file is, it says itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from recon_engine.errors import PlanError
from recon_engine.faults import plan_error
from recon_engine.nway.plan import NamedSide, NamedSides, SidesPlan
from recon_engine.plan import Plan
from recon_engine.plan_text import plan_data

AnyPlan = Plan | SidesPlan


def load_plan(path: str | Path, *, relative: bool = False) -> AnyPlan:
    """Read a plan file of two sides or of more. Raises PlanError.

    File names in it become absolute, unless they are to stay `relative` to the plan file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"plan {path}: cannot be read ({error})") from error
    return parse_plan(text, base=None if relative else path.resolve().parent, where=str(path))


def load_sides(path: Path) -> tuple[NamedSide, ...]:
    """The `sides` of a plan file that may say no more than these. Raises PlanError. File names become absolute."""
    try:
        data = plan_data(path.read_text(encoding="utf-8"), str(path))
        sides = TypeAdapter(NamedSides).validate_python(data.get("sides"))
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: cannot be read ({error})") from error
    except ValidationError as error:
        raise plan_error(error, f"{path}: sides") from error
    base = path.resolve().parent
    return tuple(side.model_copy(update={"files": tuple(str(base / f) for f in side.files)}) for side in sides)


def parse_plan(text: str, base: Path | None = None, where: str = "plan") -> AnyPlan:
    """Read a plan of two sides or of more from YAML text. Raises PlanError with every mistake in one line."""
    return build_plan(plan_data(text, where), base, where)


def build_plan(data: dict[str, Any], base: Path | None = None, where: str = "plan") -> AnyPlan:
    """Validate a plan of two sides or of more, given as plain data. Raises PlanError with every mistake in one line."""
    return (SidesPlan if "sides" in data else Plan).build(data, base=base, where=where)
