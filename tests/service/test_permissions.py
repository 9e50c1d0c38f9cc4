"""The whole matrix role x action: every use case, every route. One that nobody listed here fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property
from typing import Any

import httpx
import pytest
from starlette.routing import Route
from structlog.testing import capture_logs

from services.api import build_api
from services.container import Container
from services.database.models import StoredFile
from services.errors import NotAllowed, ServiceError
from services.permissions import IN_PERSON, ROLE_ACTIONS, SCOPE_ACTIONS, Action, Actor, Role, Scope, allowed

# Identifiers that nothing has; tests/service/test_workspaces.py puts another workspace's in their place.
ACCOUNT, FILE, DRAFT, TEMPLATE, JOB_ID, TOKEN = (letter * 32 for letter in "abcdef")
PLAN = {
    "name": "p",
    "left": {"label": "L"},
    "right": {"label": "R"},
    "fields": [{"name": "ref", "left": "ref", "right": "ref"}],
    "rules": [{"name": "exact", "on": ["ref"]}],
}
# What the container holds that acts for nobody: it is reached through the services, which have checked.
PLUMBING = frozenset({
    "audit_anchor", "backup_storage", "cache", "limits", "observed", "redis", "secrets", "spool", "storage", "tokens",
    "workers",
})  # fmt: skip
# Public methods of services that take no actor, and who calls them.
WITHOUT_ACTOR = {
    "accounts.accepted_person": "a check of input",
    "accounts.add": "within the transaction of a use case that has checked",
    "accounts.create_first_admin": "open until the first account exists",
    "accounts.find": "the audit entry of a refused sign-in",
    "accounts.first_run": "the gate",
    "accounts.in_workspace": "within the transaction of a use case that has checked",
    "accounts.insert": "within the transaction of a use case that has checked",
    "accounts.verify": "sign-in: whoever knows the password",
    "api_tokens.end_all": "within the transaction of a use case that has checked",
    "api_tokens.resolve": "whoever holds the token",
    "audit.examine": "the command line, and audit.verify",
    "audit.record": "within the transaction of a use case that has checked",
    "health.at_once": "open: load balancers and monitors",
    "health.check": "open: load balancers and monitors",
    "health.close": "the process",
    "health.register": "the process",
    "health.watch": "the process",
    "idempotency.finish": "within a request that has checked",
    "idempotency.renew": "within a request that has checked",
    "mail.backlog": "health and metrics: counts only",
    "mail.enqueue": "within the transaction of a use case that has checked",
    "mover.move_due": "the process",
    "mover.start": "the process",
    "mover.stop": "the process",
    "operations.register": "the process",
    "password_links.forgot": "open: the same answer for every address",
    "password_links.issue": "within the transaction of a use case that has checked",
    "password_links.look": "whoever holds the link",
    "password_links.recently_sent": "within the transaction of a use case that has checked",
    "password_links.redeem": "whoever holds the link",
    "password_links.tell_changed": "within the transaction of a use case that has checked",
    "password_links.to_hand_over": "a use case that has checked",
    "registration.confirmed": "within the transaction that redeems a link",
    "registration.open": "the gate",
    "registration.request": "open: the same answer for every address",
    "second_factor.answer": "sign-in: whoever holds the challenge and knows the code",
    "second_factor.asked_of": "a setting",
    "second_factor.challenge": "sign-in, after the password",
    "second_factor.reseal": "the process",
    "second_factor.reset_by_hand": "the command line",
    "rollouts.advance": "the command line of operations",
    "rollouts.backup_age": "the command line of operations",
    "rollouts.begin": "the command line of operations",
    "rollouts.board": "the command line of operations",
    "rollouts.fired": "the command line of operations",
    "rollouts.history": "the command line of operations",
    "rollouts.note": "the command line of operations",
    "rollouts.state": "the command line of operations",
    "rollouts.take_back": "the command line of operations",
    "rollouts.watched": "the command line of operations",
    "rolling.count": "the process",
    "rolling.exchange": "the process",
    "rolling.start": "the process",
    "rolling.stop": "the process",
    "rolling.window": "the go/no-go board: counts only",
    "sessions.checked": "sign-in: whoever knows the password",
    "sessions.end": "whoever holds the token",
    "sessions.end_all": "within the transaction of a use case that has checked",
    "sessions.issue_ticket": "the sign-in form, after the password",
    "sessions.prove": "sign-in: whoever knows the password",
    "sessions.redeem_ticket": "whoever holds the ticket",
    "sessions.resolve": "whoever holds the token",
    "sessions.sign_in": "sign-in: whoever knows the password",
    "sessions.start": "sign-in, after the password",
}
# Use case -> the action it needs, and arguments that are refused later than permission (nothing has these ids).
USE_CASES: dict[str, tuple[Action, tuple[Any, ...]]] = {
    "accounts.create": (Action.ACCOUNT_MANAGE, ("N", "not an address", "a fine password", Role.ANALYST)),
    "accounts.list": (Action.ACCOUNT_READ, ()),
    "accounts.set_role": (Action.ACCOUNT_MANAGE, (ACCOUNT, Role.ANALYST)),
    "accounts.set_active": (Action.ACCOUNT_MANAGE, (ACCOUNT, True)),
    "accounts.confirm_password": (Action.PASSWORD_CHANGE, ("not the present one",)),
    "accounts.set_formats": (Action.FORMATS_SET, ("no such format", "")),
    "accounts.change_password": (Action.PASSWORD_CHANGE, ("not the present one", "a fine password")),
    "api_tokens.create": (Action.TOKEN_MANAGE, ("a program", [Scope.READ], "not the present one")),
    "api_tokens.list": (Action.TOKEN_MANAGE, ()),
    "api_tokens.revoke": (Action.TOKEN_MANAGE, (TOKEN,)),
    "idempotency.once": (Action.JOB_LAUNCH, (Action.JOB_LAUNCH, "key", "hash")),
    "analytics.dashboard": (Action.ANALYTICS_READ, ()),
    "audit.entries": (Action.AUDIT_READ, ()),
    "audit.verify": (Action.AUDIT_READ, ()),
    "password_links.invited": (Action.ACCOUNT_READ, ()),
    "password_links.send_reset": (Action.ACCOUNT_MANAGE, (ACCOUNT,)),
    "registration.approve": (Action.ACCOUNT_MANAGE, (ACCOUNT,)),
    "registration.invite": (Action.ACCOUNT_MANAGE, ("N", "not an address", Role.ANALYST)),
    "registration.refuse": (Action.ACCOUNT_MANAGE, (ACCOUNT,)),
    "second_factor.begin": (Action.SECOND_FACTOR_SET, ("not the present one",)),
    "second_factor.confirm": (Action.SECOND_FACTOR_SET, ("000000",)),
    "second_factor.remove": (Action.SECOND_FACTOR_SET, ("not the present one", "000000")),
    "second_factor.renew_codes": (Action.SECOND_FACTOR_SET, ("not the present one", "000000")),
    "second_factor.reset": (Action.ACCOUNT_MANAGE, (ACCOUNT,)),
    "second_factor.standing": (Action.SECOND_FACTOR_SET, ()),
    "sessions.end_of": (Action.ACCOUNT_MANAGE, (ACCOUNT,)),
    "sessions.end_others": (Action.PASSWORD_CHANGE, ("not the present one",)),
    "sessions.own": (Action.PASSWORD_CHANGE, ()),
    "feedback.give": (Action.FEEDBACK_GIVE, ("home", 0)),
    "feedback.list": (Action.FEEDBACK_READ, ()),
    "rollouts.view": (Action.ROLLOUT_READ, ()),
    "files.upload": (Action.FILE_UPLOAD, ("a.csv", [b"a\n1\n"])),
    "files.get": (Action.FILE_READ, (FILE,)),
    "files.note": (Action.FILE_READ, (StoredFile(storage_key="uploads/none"),)),
    "files.list": (Action.FILE_READ, ()),
    "files.twins": (Action.FILE_READ, (FILE,)),
    "files.profile": (Action.FILE_UPLOAD, (FILE,)),
    "files.set_options": (Action.FILE_UPLOAD, (FILE, {})),
    "files.suggest": (Action.PLAN_EDIT, (FILE, FILE)),
    "files.suggest_ahead": (Action.PLAN_EDIT, (FILE, FILE)),
    "health.overview": (Action.HEALTH_READ, ()),
    "operations.activity": (Action.BACKUP_READ, ()),
    "operations.backups": (Action.BACKUP_READ, ()),
    "operations.back_up": (Action.BACKUP_RUN, ()),
    "operations.drill": (Action.BACKUP_RUN, ()),
    "mail.parked": (Action.HEALTH_READ, ()),
    "mail.retry_parked": (Action.MAIL_RETRY, ()),
    "mover.sync_now": (Action.STORAGE_SYNC, ()),
    "jobs.launch": (Action.JOB_LAUNCH, (None, PLAN, FILE, FILE)),
    "jobs.estimate": (Action.JOB_READ, (PLAN, FILE, FILE)),
    "jobs.get": (Action.JOB_READ, (JOB_ID,)),
    "jobs.list": (Action.JOB_READ, ()),
    "jobs.counts": (Action.JOB_READ, ()),
    "jobs.cancel": (Action.JOB_CANCEL, (JOB_ID,)),
    "jobs.pause": (Action.JOB_PAUSE, (JOB_ID,)),
    "jobs.resume": (Action.JOB_PAUSE, (JOB_ID,)),
    "jobs.under_way": (Action.JOB_READ, ()),
    "rolling.depths": (Action.HEALTH_READ, ()),
    "rolling.figures": (Action.HEALTH_READ, (timedelta(minutes=5), timedelta(minutes=1))),
    "plans.start": (Action.PLAN_EDIT, ("A reconciliation",)),
    "plans.get": (Action.PLAN_READ, (DRAFT,)),
    "plans.list": (Action.PLAN_READ, ()),
    "plans.rename": (Action.PLAN_EDIT, (DRAFT, "Another name")),
    "plans.set_files": (Action.PLAN_EDIT, (DRAFT,)),
    "plans.add_file": (Action.PLAN_EDIT, (DRAFT, "left", FILE)),
    "plans.expect_file": (Action.PLAN_EDIT, (DRAFT, "left")),
    "plans.add_side": (Action.PLAN_EDIT, (DRAFT,)),
    "plans.remove_side": (Action.PLAN_EDIT, (DRAFT, "side_3")),
    "plans.clone_template": (Action.PLAN_EDIT, (TEMPLATE, "A copy")),
    "plans.drift": (Action.PLAN_READ, (DRAFT,)),
    "plans.template_version": (Action.PLAN_READ, (TEMPLATE, 1)),
    "plans.set_suggestion": (Action.PLAN_EDIT, (DRAFT, {})),
    "plans.set_plan": (Action.PLAN_EDIT, (DRAFT, PLAN)),
    "plans.set_step": (Action.PLAN_EDIT, (DRAFT, "map")),
    "plans.save_template": (Action.PLAN_EDIT, ("A plan", PLAN)),
    "plans.templates": (Action.PLAN_READ, ()),
    "plans.apply_template": (Action.PLAN_EDIT, (DRAFT, TEMPLATE)),
    "plans.archive_template": (Action.PLAN_EDIT, (TEMPLATE,)),
    "previews.look": (Action.PLAN_READ, (PLAN, FILE, FILE)),
    "previews.look_at_pairs": (Action.PLAN_READ, (PLAN, FILE, FILE)),
    "plans.try_cause": (Action.PLAN_EDIT, (JOB_ID, 1)),
    "results.suggested": (Action.RESULT_READ, (JOB_ID,)),
    "results.suggested_matches": (Action.RESULT_READ, (JOB_ID,)),
    "results.since": (Action.RESULT_READ, (JOB_ID,)),
    "results.summary": (Action.RESULT_READ, (JOB_ID,)),
    "results.figures": (Action.RESULT_READ, (JOB_ID,)),
    "results.summary_pdf": (Action.RESULT_DOWNLOAD, (JOB_ID,)),
    "results.page": (Action.RESULT_READ, (JOB_ID, "matches")),
    "results.record": (Action.RESULT_READ, (JOB_ID, "left", 1)),
    "results.match": (Action.RESULT_READ, (JOB_ID, 1)),
    "results.break_detail": (Action.RESULT_READ, (JOB_ID, "left", 1)),
    "results.export_csv": (Action.RESULT_DOWNLOAD, (JOB_ID, "matches")),
    "results.export_xlsx": (Action.RESULT_DOWNLOAD, (JOB_ID, "matches")),
    "results.open_parquet": (Action.RESULT_DOWNLOAD, (JOB_ID, "matches")),
    "results.workbook": (Action.RESULT_DOWNLOAD, (JOB_ID,)),
    "results.download_zip": (Action.RESULT_DOWNLOAD, (JOB_ID,)),
    "reviews.decisions": (Action.RESULT_READ, (JOB_ID,)),
    "reviews.counts": (Action.RESULT_READ, (JOB_ID,)),
    "reviews.decided": (Action.RESULT_READ, ([JOB_ID],)),
    "reviews.standing": (Action.RESULT_READ, (JOB_ID,)),
    "reviews.waiting": (Action.RESULT_READ, (JOB_ID,)),
    "reviews.decide": (Action.RESULT_REVIEW, (JOB_ID, 1, "confirmed")),
    "reviews.decide_all": (Action.RESULT_REVIEW, (JOB_ID, "confirmed", "", {}, 1)),
    "reviews.export_csv": (Action.RESULT_DOWNLOAD, (JOB_ID,)),
}
JOB = "/reconciliation/jobs/{job_id}"
# Route -> the action it needs (None: open to anyone), and what is sent.
ROUTES: dict[str, tuple[Action | None, dict[str, Any]]] = {
    "POST /auth/login": (None, {}),
    "POST /auth/register": (None, {}),
    "POST /auth/password/forgot": (None, {}),
    "POST /auth/password/reset": (None, {}),
    "POST /auth/password/change": (
        Action.PASSWORD_CHANGE,
        {"json": {"current": "not the present one", "new": "a fine password"}},
    ),
    "GET /auth/enter": (None, {}),
    "GET /auth/leave": (None, {}),
    "POST /auth/leave": (None, {}),
    "GET /docs": (None, {}),
    "GET /openapi.json": (None, {}),
    "GET /visit.js": (None, {}),
    "GET /metrics": (None, {}),  # by network or token: tests/service/test_metrics.py
    "GET /health": (None, {}),
    "GET /health/live": (None, {}),
    "GET /health/session": (None, {}),
    "GET /users": (Action.ACCOUNT_READ, {}),
    "GET /tokens": (Action.TOKEN_MANAGE, {}),
    "POST /tokens": (
        Action.TOKEN_MANAGE,
        {"json": {"name": "a program", "scopes": ["read"], "password": "not the present one"}},
    ),
    "DELETE /tokens/{token_id}": (Action.TOKEN_MANAGE, {}),
    "GET /files": (Action.FILE_READ, {}),
    "GET /plans": (Action.PLAN_READ, {}),
    "GET /reconciliations": (Action.PLAN_READ, {}),
    "GET /audit": (Action.AUDIT_READ, {}),
    "GET /backups": (Action.BACKUP_READ, {}),
    "GET /analytics/dashboard": (Action.ANALYTICS_READ, {}),
    "POST /files/upload": (Action.FILE_UPLOAD, {"params": {"name": "a.csv"}, "content": b"a\n1\n"}),
    "GET /files/{file_id}": (Action.FILE_READ, {}),
    "PUT /files/{file_id}/options": (Action.FILE_UPLOAD, {"json": {}}),
    "POST /storage/sync": (Action.STORAGE_SYNC, {}),
    "POST /files/suggest": (Action.PLAN_EDIT, {"json": {"left_file_id": FILE, "right_file_id": FILE}}),
    "POST /reconciliation/jobs": (
        Action.JOB_LAUNCH,
        {"json": {"plan": PLAN, "left_file_id": FILE, "right_file_id": FILE}},
    ),
    "GET /reconciliation/jobs": (Action.JOB_READ, {}),
    f"GET {JOB}": (Action.JOB_READ, {}),
    f"DELETE {JOB}": (Action.JOB_CANCEL, {}),
    f"GET {JOB}/results/{{table}}": (Action.RESULT_READ, {}),
    f"GET {JOB}/summary": (Action.RESULT_DOWNLOAD, {}),
    f"GET {JOB}/decisions": (Action.RESULT_DOWNLOAD, {}),
    f"POST {JOB}/decisions": (Action.RESULT_REVIEW, {"json": {"match_id": 1, "verdict": "confirmed"}}),
    f"GET {JOB}/workbook": (Action.RESULT_DOWNLOAD, {}),
    f"GET {JOB}/download": (Action.RESULT_DOWNLOAD, {}),
}


def public_methods(container: Container) -> Iterator[tuple[str, bool]]:
    """Every public method of every service, and whether it acts for a person: then the actor is its first argument."""
    for name, held in vars(Container).items():
        if isinstance(held, cached_property) and name not in PLUMBING:
            for method, function in inspect.getmembers(type(getattr(container, name)), inspect.isfunction):
                if not method.startswith("_"):
                    yield f"{name}.{method}", list(inspect.signature(function).parameters)[1:2] == ["actor"]


def test_every_action_has_its_roles() -> None:
    """No action is missing from the table, and an auditor may do nothing that changes anything."""
    assert set(ROLE_ACTIONS) == set(Action)
    changing = {Action.FILE_UPLOAD, Action.PLAN_EDIT, Action.JOB_LAUNCH, Action.JOB_CANCEL, Action.ACCOUNT_MANAGE}
    changing |= {Action.RESULT_REVIEW, Action.JOB_PAUSE, Action.MAIL_RETRY, Action.STORAGE_SYNC, Action.BACKUP_RUN}
    assert not any(allowed(Role.AUDITOR, action) for action in changing)
    assert all(allowed(Role.AUDITOR, action) for action in set(Action) - changing)


def test_every_action_is_decided_for_tokens() -> None:
    """Each action is in a scope, or takes a person; none is both."""
    by_token = frozenset().union(*SCOPE_ACTIONS.values())
    assert by_token | IN_PERSON == set(Action)
    assert by_token & IN_PERSON == set()


def test_every_use_case_is_listed(container: Container) -> None:
    """A service or method that these tables do not know fails here, so none is added without saying who may call it."""
    found = dict(public_methods(container))
    assert sorted(name for name, acts in found.items() if acts) == sorted(USE_CASES)
    assert sorted(name for name, acts in found.items() if not acts) == sorted(WITHOUT_ACTOR)


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


def test_refusals_are_logged(container: Container, actor_of: Callable[[Role], Actor]) -> None:
    """Whoever tries what the role does not allow leaves a line in the log."""
    auditor = actor_of(Role.AUDITOR)
    with capture_logs() as lines, pytest.raises(NotAllowed):
        container.plans.start(auditor, "A reconciliation")
    (line,) = [line for line in lines if line["event"] == "access.refused"]
    assert (line["action"], line["role"], line["account"]) == (Action.PLAN_EDIT, Role.AUDITOR, auditor.account_id)


def test_every_route_is_listed(container: Container) -> None:
    """A route that this matrix does not know fails here, also one that the API's reference hides."""
    api = build_api(container)
    shown = {f"{m.upper()} {path}" for path, methods in api.openapi()["paths"].items() for m in methods}
    served = {f"{m} {route.path}" for route in api.routes if isinstance(route, Route) for m in route.methods or ()}
    assert sorted(shown | {route for route in served if not route.startswith("HEAD ")}) == sorted(ROUTES)


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
        path = path.format(job_id=JOB_ID, file_id=FILE, token_id=TOKEN, table="matches")
        status = api.request(method, f"/api{path}", **sent).status_code
        if role is None:
            assert status == 401, route
        else:
            assert (status == 403) is not allowed(role, action), f"{role} {route} {status}"
            assert status < 500, f"{role} {route} {status}"
