"""The whole matrix role x action: every use case, every route. One that nobody listed here fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from services.accounts import AccountService
from services.api import build_api
from services.audit import AuditTrail
from services.container import Container
from services.database.models import StoredFile
from services.errors import NotAllowed, ServiceError
from services.files import FileService
from services.health import HealthService
from services.jobs.queue import JobQueue
from services.mail.outbox import MailOutbox
from services.permissions import ROLE_ACTIONS, Action, Actor, Role, allowed
from services.plans import PlanService
from services.results import ResultService
from services.storage.mover import SpoolMover

NONE = "0" * 32
PLAN = {
    "name": "p",
    "left": {"label": "L"},
    "right": {"label": "R"},
    "fields": [{"name": "ref", "left": "ref", "right": "ref"}],
    "rules": [{"name": "exact", "on": ["ref"]}],
}
SERVICES = {
    "accounts": AccountService,
    "audit": AuditTrail,
    "files": FileService,
    "health": HealthService,
    "jobs": JobQueue,
    "mail": MailOutbox,
    "mover": SpoolMover,
    "plans": PlanService,
    "results": ResultService,
}
# Use case -> the action it needs, and arguments that are refused later than permission (nothing has the id NONE).
USE_CASES: dict[str, tuple[Action, tuple[Any, ...]]] = {
    "accounts.create": (Action.ACCOUNT_MANAGE, ("N", "not an address", "a fine password", Role.ANALYST)),
    "accounts.list": (Action.ACCOUNT_READ, ()),
    "accounts.set_role": (Action.ACCOUNT_MANAGE, (NONE, Role.ANALYST)),
    "accounts.set_active": (Action.ACCOUNT_MANAGE, (NONE, True)),
    "accounts.reset_password": (Action.ACCOUNT_MANAGE, (NONE, "a fine password")),
    "accounts.change_password": (Action.PASSWORD_CHANGE, ("not the present one", "a fine password")),
    "audit.entries": (Action.AUDIT_READ, ()),
    "files.upload": (Action.FILE_UPLOAD, ("a.csv", [b"a\n1\n"])),
    "files.get": (Action.FILE_READ, (NONE,)),
    "files.note": (Action.FILE_READ, (StoredFile(storage_key="uploads/none"),)),
    "files.list": (Action.FILE_READ, ()),
    "files.profile": (Action.FILE_UPLOAD, (NONE,)),
    "files.set_options": (Action.FILE_UPLOAD, (NONE, {})),
    "files.suggest": (Action.PLAN_EDIT, (NONE, NONE)),
    "health.overview": (Action.HEALTH_READ, ()),
    "mail.parked": (Action.HEALTH_READ, ()),
    "mail.retry_parked": (Action.MAIL_RETRY, ()),
    "mover.sync_now": (Action.STORAGE_SYNC, ()),
    "jobs.launch": (Action.JOB_LAUNCH, (None, PLAN, NONE, NONE)),
    "jobs.get": (Action.JOB_READ, (NONE,)),
    "jobs.list": (Action.JOB_READ, ()),
    "jobs.counts": (Action.JOB_READ, ()),
    "jobs.cancel": (Action.JOB_CANCEL, (NONE,)),
    "plans.start": (Action.PLAN_EDIT, ("A reconciliation",)),
    "plans.get": (Action.PLAN_READ, (NONE,)),
    "plans.list": (Action.PLAN_READ, ()),
    "plans.rename": (Action.PLAN_EDIT, (NONE, "Another name")),
    "plans.set_files": (Action.PLAN_EDIT, (NONE,)),
    "plans.set_suggestion": (Action.PLAN_EDIT, (NONE, {})),
    "plans.set_plan": (Action.PLAN_EDIT, (NONE, PLAN)),
    "plans.set_step": (Action.PLAN_EDIT, (NONE, "map")),
    "plans.save_template": (Action.PLAN_EDIT, ("A plan", PLAN)),
    "plans.templates": (Action.PLAN_READ, ()),
    "plans.apply_template": (Action.PLAN_EDIT, (NONE, NONE)),
    "plans.archive_template": (Action.PLAN_EDIT, (NONE,)),
    "results.summary": (Action.RESULT_READ, (NONE,)),
    "results.page": (Action.RESULT_READ, (NONE, "matches")),
    "results.record": (Action.RESULT_READ, (NONE, "left", 1)),
    "results.match": (Action.RESULT_READ, (NONE, 1)),
    "results.break_detail": (Action.RESULT_READ, (NONE, "left", 1)),
    "results.export_csv": (Action.RESULT_DOWNLOAD, (NONE, "matches")),
    "results.open_parquet": (Action.RESULT_DOWNLOAD, (NONE, "matches")),
    "results.download_zip": (Action.RESULT_DOWNLOAD, (NONE,)),
}
JOB = "/reconciliation/jobs/{job_id}"
# Route -> the action it needs (None: open to anyone), and what is sent.
ROUTES: dict[str, tuple[Action | None, dict[str, Any]]] = {
    "POST /auth/login": (None, {}),
    "POST /auth/register": (None, {}),
    "GET /auth/enter": (None, {}),
    "GET /auth/leave": (None, {}),
    "POST /auth/leave": (None, {}),
    "GET /health": (None, {}),
    "GET /health/live": (None, {}),
    "GET /users": (Action.ACCOUNT_READ, {}),
    "GET /analytics/dashboard": (Action.ANALYTICS_READ, {}),
    "POST /files/upload": (Action.FILE_UPLOAD, {"params": {"name": "a.csv"}, "content": b"a\n1\n"}),
    "GET /files/{file_id}": (Action.FILE_READ, {}),
    "PUT /files/{file_id}/options": (Action.FILE_UPLOAD, {"json": {}}),
    "POST /storage/sync": (Action.STORAGE_SYNC, {}),
    "POST /files/suggest": (Action.PLAN_EDIT, {"json": {"left_file_id": NONE, "right_file_id": NONE}}),
    "POST /reconciliation/jobs": (
        Action.JOB_LAUNCH,
        {"json": {"plan": PLAN, "left_file_id": NONE, "right_file_id": NONE}},
    ),
    "GET /reconciliation/jobs": (Action.JOB_READ, {}),
    f"GET {JOB}": (Action.JOB_READ, {}),
    f"DELETE {JOB}": (Action.JOB_CANCEL, {}),
    f"GET {JOB}/results/{{table}}": (Action.RESULT_READ, {}),
    f"GET {JOB}/download": (Action.RESULT_DOWNLOAD, {}),
}


def use_cases() -> Iterator[str]:
    """Every public method of every service that acts for a person."""
    for name, service in SERVICES.items():
        for method, function in inspect.getmembers(service, inspect.isfunction):
            parameters = list(inspect.signature(function).parameters)
            # AuditTrail.record takes the actor second: it notes what another use case has checked.
            if not method.startswith("_") and parameters[1:2] == ["actor"]:
                yield f"{name}.{method}"


def test_every_action_has_its_roles() -> None:
    """No action is missing from the table, and an auditor may do nothing that changes anything."""
    assert set(ROLE_ACTIONS) == set(Action)
    changing = {Action.FILE_UPLOAD, Action.PLAN_EDIT, Action.JOB_LAUNCH, Action.JOB_CANCEL, Action.ACCOUNT_MANAGE}
    changing |= {Action.MAIL_RETRY, Action.STORAGE_SYNC}
    assert not any(allowed(Role.AUDITOR, action) for action in changing)
    assert all(allowed(Role.AUDITOR, action) for action in set(Action) - changing)


def test_every_use_case_is_listed() -> None:
    """A use case that this matrix does not know fails here, so none is added without saying who may call it."""
    assert sorted(use_cases()) == sorted(USE_CASES)


@pytest.mark.parametrize("role", list(Role))
def test_use_cases_by_role(container: Container, actor_of: Callable[[Role], Actor], role: Role) -> None:
    """Each use case refuses each role that the table does not name, and no other."""
    actor = actor_of(role)
    for name, (action, arguments) in USE_CASES.items():
        service, method = name.split(".")
        refused = False
        try:
            getattr(getattr(container, service), method)(actor, *arguments)
        except NotAllowed:
            refused = True
        except ServiceError:
            pass  # allowed, and then there was nothing with this id
        assert refused is not allowed(role, action), f"{role} {name}"


def test_every_route_is_listed(container: Container) -> None:
    """A route that this matrix does not know fails here."""
    paths = build_api(container).openapi()["paths"]
    assert sorted(f"{m.upper()} {path}" for path, methods in paths.items() for m in methods) == sorted(ROUTES)


@pytest.mark.parametrize("role", [None, *Role])
def test_routes_by_role(
    container: Container, api: httpx.Client, actor_of: Callable[[Role], Actor], role: Role | None
) -> None:
    """Each route answers 401 to strangers and 403 to roles that may not, and neither to those that may."""
    if role is not None:
        account = container.accounts.find(actor_of(role).email)
        assert account is not None
        api.headers["Authorization"] = f"Bearer {container.sessions.start(account, '', '')}"
    for route, (action, sent) in ROUTES.items():
        if action is None:
            continue
        method, path = route.split(" ")
        path = path.format(job_id=NONE, file_id=NONE, table="matches")
        status = api.request(method, f"/api{path}", **sent).status_code
        if role is None:
            assert status == 401, route
        else:
            assert (status == 403) is not allowed(role, action), f"{role} {route} {status}"
            assert status < 500, f"{role} {route} {status}"
