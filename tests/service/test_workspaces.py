"""Walls between workspaces: with another workspace's identifiers, every use case and every route finds nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from services.container import Container
from services.database.models import Account, Workspace
from services.errors import NotFound
from services.passwords import hash_password
from services.permissions import Actor, Role, Scope
from tests.service.conftest import PASSWORD
from tests.service.test_permissions import ACCOUNT, DRAFT, FILE, JOB_ID, ROUTES, TEMPLATE, TOKEN, USE_CASES
from tests.work import PLAN, launch, upload_pair

Ids = dict[str, str]


@pytest.fixture
def stranger(container: Container, admin: Actor) -> Actor:
    """The administrator of another workspace, with no colleague in the first."""
    now = container.clock.now()
    with container.transaction() as session:
        workspace = Workspace(name="Elsewhere", created_at=now)
        session.add(workspace)
        session.flush()
        session.add(
            Account(
                workspace_id=workspace.id,
                email="eve@elsewhere.example",
                name="Eve",
                role=Role.ADMIN,
                password_hash=hash_password(PASSWORD, 4),
                created_at=now,
            )
        )
    return container.sessions.resolve(container.sessions.sign_in("eve@elsewhere.example", PASSWORD, "", "")[0])


@pytest.fixture
def theirs(container: Container, admin: Actor) -> Ids:
    """One of everything in the first workspace, by the name that stands for it in the tables."""
    files = upload_pair(container, admin)
    draft = container.plans.start(admin, "Theirs")
    template = container.plans.save_template(admin, "Theirs", PLAN)
    job = launch(container, admin, files)
    token = container.api_tokens.create(admin, "Theirs", [Scope.READ], PASSWORD)[1]
    made = {DRAFT: draft.id, TEMPLATE: template.id, JOB_ID: job.id, TOKEN: token.id}
    return {ACCOUNT: admin.account_id, FILE: files[0], **made}


def put(ids: Ids, value: Any) -> Any:
    """The value with the identifiers in place of what stands for them."""
    if isinstance(value, dict):
        return {key: put(ids, inner) for key, inner in value.items()}
    return ids.get(value, value) if isinstance(value, str) else value


def test_use_cases_find_nothing(container: Container, stranger: Actor, theirs: Ids) -> None:
    """Whatever takes an identifier answers "not found", as if it did not exist; nothing is changed by asking."""
    walked = 0
    for name, (_, arguments) in USE_CASES.items():
        given = tuple(put(theirs, argument) for argument in arguments)
        if given == arguments:
            continue
        service, method = name.split(".")
        try:
            answer = getattr(getattr(container, service), method)(stranger, *given)
        except NotFound:
            walked += 1
        else:
            pytest.fail(f"{name} answered {answer}")
    assert walked >= 25
    assert container.audit.entries(stranger)[0].action == "session.start"


def test_own_work_takes_nothing_of_theirs(container: Container, stranger: Actor, theirs: Ids) -> None:
    """One's own reconciliation accepts neither files nor plans of another workspace."""
    own = container.plans.start(stranger, "Mine")
    mine = container.files.upload(stranger, "mine.csv", [b"a\n1\n"])
    for attempt in (
        lambda: container.plans.set_files(stranger, own.id, theirs[FILE], mine.id),
        lambda: container.plans.set_files(stranger, own.id, mine.id, theirs[FILE]),
        lambda: container.plans.apply_template(stranger, own.id, theirs[TEMPLATE]),
        lambda: container.jobs.launch(stranger, own.id, PLAN, mine.id, theirs[FILE]),
        lambda: container.jobs.launch(stranger, theirs[DRAFT], PLAN, mine.id, mine.id),
        lambda: container.files.suggest(stranger, mine.id, theirs[FILE]),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_lists_show_nothing_of_theirs(container: Container, stranger: Actor, theirs: Ids) -> None:
    """Lists and counts hold what is in one's own workspace only."""
    assert [account.id for account in container.accounts.list(stranger)] == [stranger.account_id]
    assert container.files.list(stranger) == []
    assert container.plans.list(stranger) == []
    assert container.plans.templates(stranger) == []
    assert container.jobs.list(stranger) == []
    assert not any(container.jobs.counts(stranger).values())
    assert {entry.workspace_id for entry in container.audit.entries(stranger)} == {stranger.workspace_id}


def test_routes_find_nothing(container: Container, stranger: Actor, theirs: Ids, api: httpx.Client) -> None:
    """Every route that names something answers 404 for another workspace's."""
    account = container.accounts.find(stranger.email)
    assert account is not None
    api.headers["Authorization"] = f"Bearer {container.sessions.start(account, '', '')}"
    walked = []
    for route, (_, sent) in ROUTES.items():
        method, path = route.split(" ")
        names = {
            "job_id": theirs[JOB_ID],
            "file_id": theirs[FILE],
            "account_id": theirs[ACCOUNT],
            "token_id": theirs[TOKEN],
            "table": "matches",
        }
        filled, given = path.format(**names), put(theirs, sent)
        if filled == path and given == sent:
            continue
        answer = api.request(method, f"/api{filled}", **given)
        assert answer.status_code == 404, f"{route} {answer.status_code} {answer.text}"
        assert answer.json()["title"] == "Not found"
        walked.append(route)
    assert len(walked) >= 8
