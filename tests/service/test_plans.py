"""Reconciliations in preparation and saved plans."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recon_engine.plan import Plan
from services.container import Container, build_container
from services.errors import Invalid, NotAllowed, NotFound
from services.permissions import Actor, Role
from tests.work import PLAN, upload_pair


def test_every_step_survives_a_restart(container: Container, admin: Actor) -> None:
    """Files, suggestion, plan and step are in the database before each call returns: another process sees them."""
    started = container.plans.start(admin, "  March   bank ")
    left, right = upload_pair(container, admin)
    container.plans.set_files(admin, started.id, left_file_id=left)
    container.plans.set_files(admin, started.id, right_file_id=right)
    container.plans.set_suggestion(admin, started.id, {"plan": PLAN, "questions": []})
    container.plans.set_plan(admin, started.id, PLAN)
    container.plans.set_step(admin, started.id, "map")
    restarted = build_container(container.settings)
    kept = restarted.plans.get(admin, started.id)
    restarted.close()
    assert (kept.name, kept.step, kept.left_file_id, kept.right_file_id) == ("March bank", "map", left, right)
    assert kept.suggestion_json == {"plan": PLAN, "questions": []}
    assert kept.plan_json is not None
    assert Plan.build(kept.plan_json) == Plan.build(PLAN)


def test_other_files_forget_the_suggestion_and_keep_the_plan(container: Container, admin: Actor) -> None:
    """A corrected file needs a new suggestion, but the plan that a person made stays."""
    started = container.plans.start(admin, "March")
    left, _ = upload_pair(container, admin)
    container.plans.set_suggestion(admin, started.id, {"plan": PLAN})
    container.plans.set_plan(admin, started.id, PLAN)
    changed = container.plans.set_files(admin, started.id, left_file_id=left)
    assert changed.suggestion_json is None
    assert changed.plan_json is not None
    with pytest.raises(NotFound, match="no such file"):
        container.plans.set_files(admin, started.id, left_file_id="0" * 32)


def test_a_wrong_plan_is_refused_with_its_mistakes(container: Container, admin: Actor) -> None:
    """Each mistake is named, and the draft keeps the plan it had."""
    started = container.plans.start(admin, "March")
    with pytest.raises(Invalid, match="no field 'amuont'"):
        container.plans.set_plan(admin, started.id, {**PLAN, "compare": ["amuont"]})
    assert container.plans.get(admin, started.id).plan_json is None
    with pytest.raises(Invalid, match="name"):
        container.plans.start(admin, "   ")


def test_a_saved_plan_is_applied_to_another_reconciliation(container: Container, admin: Actor) -> None:
    """A saved plan names no files; saving under the same name replaces it; archived, it is off the list."""
    container.plans.save_template(admin, "Bank", {**PLAN, "left": {"label": "Ledger", "files": ["march.csv"]}})
    container.plans.save_template(admin, "Bank", PLAN)
    [template] = container.plans.templates(admin)
    assert "march.csv" not in template.yaml
    started = container.plans.start(admin, "April")
    applied = container.plans.apply_template(admin, template.id, started.id)
    assert applied.plan_json is not None
    assert Plan.build(applied.plan_json) == Plan.build(PLAN)
    container.plans.archive_template(admin, template.id)
    assert list(container.plans.templates(admin)) == []
    with pytest.raises(NotFound):
        container.plans.apply_template(admin, template.id, started.id)


def test_the_last_touched_comes_first(container: Container, admin: Actor, clock) -> None:
    """Home lists the reconciliation that was worked on last at the top."""
    first = container.plans.start(admin, "first")
    clock.advance(minutes=1)
    container.plans.start(admin, "second")
    clock.advance(minutes=1)
    container.plans.rename(admin, first.id, "first again")
    assert [r.name for r in container.plans.list(admin)] == ["first again", "second"]


def test_roles_and_workspaces(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """An auditor sees reconciliations and changes none; another workspace sees nothing."""
    started = container.plans.start(admin, "March")
    auditor = actor_of(Role.AUDITOR)
    assert container.plans.get(auditor, started.id).name == "March"
    with pytest.raises(NotAllowed):
        container.plans.set_step(auditor, started.id, "run")
    stranger = Actor(admin.account_id, "0" * 32, "x@example.org", "X", Role.ADMIN, "s", "127.0.0.1")
    with pytest.raises(NotFound):
        container.plans.get(stranger, started.id)
