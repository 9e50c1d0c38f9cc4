"""Tokens of the API: what they may do, where they are taken from, when they end; and requests that are sent again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import select

from services.clock import FakeClock
from services.container import Container
from services.database.models import ApiToken
from services.errors import Conflict, NotAllowed, NotSignedIn, Unavailable
from services.idempotency import KeyReused, StillRunning
from services.permissions import Action, Actor, Role, Scope
from tests.service.conftest import PASSWORD
from tests.work import PLAN, upload_pair

TABLE = b"a\n1\n"


def made(container: Container, actor: Actor, *scopes: Scope) -> str:
    """A token of the actor's."""
    return container.api_tokens.create(actor, "a program", scopes, PASSWORD)[0]


def bearer(token: str, **more: str) -> dict[str, str]:
    """The headers of a call."""
    return {"Authorization": f"Bearer {token}", **more}


def test_scopes_narrow_the_role(container: Container, actor_of: Callable[[Role], Actor], api: httpx.Client) -> None:
    """A token does what role and scopes both allow: an auditor's token for everything still changes nothing."""
    auditors = made(container, actor_of(Role.AUDITOR), *Scope)
    readers = made(container, actor_of(Role.ANALYST), Scope.READ)
    upload = {"params": {"name": "a.csv"}, "content": TABLE}
    for token in (auditors, readers):
        assert api.post("/api/files/upload", headers=bearer(token), **upload).status_code == 403
        assert api.get("/api/files", headers=bearer(token)).status_code == 200
    assert api.get("/api/users", headers=bearer(auditors)).status_code == 200
    assert api.get("/api/users", headers=bearer(readers)).status_code == 403


def test_no_token_makes_more_of_itself(container: Container, admin: Actor, api: httpx.Client) -> None:
    """An administrator's token with every scope makes no token, revokes none, and changes no password or account."""
    token = made(container, admin, *Scope)
    wanted = {"name": "more", "scopes": ["admin"], "password": PASSWORD}
    changed = {"current": PASSWORD, "new": "heron-lake-green-7"}
    assert api.post("/api/tokens", headers=bearer(token), json=wanted).status_code == 403
    assert api.delete(f"/api/tokens/{'f' * 32}", headers=bearer(token)).status_code == 403
    assert api.post("/api/auth/password/change", headers=bearer(token), json=changed).status_code == 403
    actor = container.api_tokens.resolve(token, "")
    with pytest.raises(NotAllowed):
        container.accounts.set_role(actor, admin.account_id, Role.ANALYST)
    with pytest.raises(NotAllowed):
        container.second_factor.begin(actor, PASSWORD)


def test_only_the_header_is_looked_at(container: Container, admin: Actor, api: httpx.Client) -> None:
    """A token in the address or in the session's cookie is none."""
    token = made(container, admin, Scope.READ)
    for name in ("token", "access_token", "authorization"):
        assert api.get("/api/files", params={name: token}).status_code == 401
    assert api.get("/api/files", headers={"Cookie": f"{container.sessions.cookie}={token}"}).status_code == 401


@pytest.mark.parametrize("end", ["revoke", "deactivate", "password", "expire"])
def test_tokens_end(container: Container, admin: Actor, clock: FakeClock, end: str) -> None:
    """A token ends at once when it is revoked or its account is, when the password changes, and when its time is up."""
    colleague = container.accounts.create(admin, "Bo", "bo@example.org", PASSWORD, Role.ANALYST)
    bo = container.sessions.resolve(container.sessions.start(colleague, "", ""))
    token, held = container.api_tokens.create(bo, "a program", [Scope.READ], PASSWORD)
    assert container.api_tokens.resolve(token, "").account_id == bo.account_id
    if end == "revoke":
        container.api_tokens.revoke(admin, held.id)
    elif end == "deactivate":
        container.accounts.set_active(admin, bo.account_id, False)
        container.accounts.set_active(admin, bo.account_id, True)
    elif end == "password":
        container.accounts.change_password(bo, PASSWORD, "heron-lake-green-7")
    else:
        clock.advance(days=90)
    with pytest.raises(NotSignedIn):
        container.api_tokens.resolve(token, "")


def test_the_database_holds_no_token(container: Container, admin: Actor) -> None:
    """Only the hash is kept, and the audit trail names the token by its id."""
    token = made(container, admin, Scope.UPLOAD)
    container.files.upload(container.api_tokens.resolve(token, ""), "a.csv", [TABLE])
    with container.session() as session:
        held = session.scalars(select(ApiToken)).one()
    kept = [getattr(held, column.key) for column in ApiToken.__table__.columns]
    assert token not in kept
    assert container.audit.entries(admin)[0].detail_json["token"] == held.id


def test_the_same_upload_twice_is_one_file(container: Container, admin: Actor, api: httpx.Client) -> None:
    """Under one key the same upload gives the same answer and one file; another content or name is refused."""
    headers = bearer(made(container, admin, Scope.UPLOAD), **{"Idempotency-Key": "one"})

    def send(name: str, content: bytes) -> httpx.Response:
        return api.post("/api/files/upload", headers=headers, params={"name": name}, content=content)

    first, again = send("a.csv", TABLE), send("a.csv", TABLE)
    assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
    assert send("a.csv", b"a\n2\n").status_code == 422
    assert send("b.csv", TABLE).status_code == 422
    assert len(container.files.list(admin)) == 1


def test_an_answer_that_is_given_again_does_nothing(container: Container, admin: Actor, api: httpx.Client) -> None:
    """What was undone since stays so when the request comes again: its answer is given, and nothing is done."""
    started = container.plans.start(admin, "March")
    headers = bearer(made(container, admin, Scope.UPLOAD, Scope.RUN), **{"Idempotency-Key": "one"})
    upload = {"params": {"name": "a.csv", "reconciliation": started.id, "side": "left"}, "content": TABLE}
    first = api.post("/api/files/upload", headers=headers, **upload)
    assert container.plans.get(admin, started.id).left_file_ids == [first.json()["id"]]
    container.plans.set_files(admin, started.id, [])
    again = api.post("/api/files/upload", headers=headers, **upload)
    assert (again.status_code, again.json()) == (201, first.json())
    assert container.plans.get(admin, started.id).left_file_ids == []


def test_a_key_is_kept_once_the_thing_is_made(
    container: Container, admin: Actor, api: httpx.Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a run was started and only its answer could not be kept, the request sent again finds that run."""
    left, right = upload_pair(container, admin)
    headers = bearer(made(container, admin, Scope.RUN), **{"Idempotency-Key": "one"})
    given = {"plan": PLAN, "left_file_id": left, "right_file_id": right}

    def away(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(container.idempotency, "finish", away)
        assert api.post("/api/reconciliation/jobs", headers=headers, json=given).status_code == 503
    clock.advance(minutes=2)
    again = api.post("/api/reconciliation/jobs", headers=headers, json=given)
    assert again.status_code == 202
    assert [job.id for job in container.jobs.list(admin)] == [again.json()["id"]]


@pytest.mark.parametrize(
    ("scopes", "where", "status"),
    [
        ([Scope.UPLOAD, Scope.RUN], {"reconciliation": "0" * 32, "side": "left"}, 404),
        ([Scope.UPLOAD], {"reconciliation": "0" * 32, "side": "left"}, 403),
        ([Scope.UPLOAD], {"reconciliation": "0" * 32}, 422),
        ([Scope.UPLOAD], {"side": "left"}, 422),
    ],
)
def test_an_upload_with_no_place_stores_nothing(
    container: Container, admin: Actor, api: httpx.Client, scopes: list[Scope], where: dict[str, str], status: int
) -> None:
    """A file for a reconciliation that there is not, that the token may not change, or of no side: nothing is kept."""
    headers = bearer(made(container, admin, *scopes))
    upload = {"params": {"name": "a.csv", **where}, "content": TABLE}
    for key in ({}, {"Idempotency-Key": "one"}):
        assert api.post("/api/files/upload", headers=headers | key, **upload).status_code == status
    assert container.files.list(admin) == []
    assert list(container.storage.list("uploads")) == []


def test_many_at_the_same_moment_are_one_run(container: Container, admin: Actor, api: httpx.Client) -> None:
    """Eight equal requests at once start one run; whoever comes while it is being started is told to wait."""
    left, right = upload_pair(container, admin)
    headers = bearer(made(container, admin, Scope.RUN), **{"Idempotency-Key": "one"})
    given = {"plan": PLAN, "left_file_id": left, "right_file_id": right}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("/api/reconciliation/jobs", headers=headers, json=given), range(8)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert len(container.jobs.list(admin)) == 1


def test_a_second_attempt_finds_what_the_first_has_made(container: Container, admin: Actor, clock: FakeClock) -> None:
    """An attempt that ended without an answer blocks for its lease only; the next has the same id to look for."""
    once = container.idempotency
    first = once._take(admin, "one", "hash")
    with pytest.raises(StillRunning), once.once(admin, Action.JOB_LAUNCH, "one", "hash"):
        pass
    clock.advance(minutes=1)
    with once.once(admin, Action.JOB_LAUNCH, "one", "hash") as second:
        assert (second.target_id, second.made) == (first.target_id, True)
    with pytest.raises(KeyReused), once.once(admin, Action.JOB_LAUNCH, "one", "another"):
        pass


def test_a_refused_request_leaves_no_trace(container: Container, admin: Actor) -> None:
    """What was refused was not done: the key is free for the request as it should have been."""
    once = container.idempotency
    with pytest.raises(Conflict), once.once(admin, Action.JOB_LAUNCH, "one", "hash"):
        raise Conflict
    with once.once(admin, Action.JOB_LAUNCH, "one", "another") as attempt:
        assert not attempt.made


def test_parts_neither_repeat_nor_hide(container: Container, admin: Actor, api: httpx.Client) -> None:
    """Walking a list while something is added shows each of the entries that were there once."""
    before = [container.files.upload(admin, f"{n}.csv", [TABLE]).id for n in range(5)]
    headers = bearer(made(container, admin, Scope.READ))
    seen, address = [], "/api/files?limit=2"
    while address:
        answer = api.get(address, headers=headers)
        seen += [file["id"] for file in answer.json()["items"]]
        following = answer.links.get("next", {}).get("url", "")
        assert bool(following) is (answer.json()["next"] is not None)
        address = following
        container.files.upload(admin, "later.csv", [TABLE])
    assert sorted(set(seen) & set(before)) == sorted(before)
    assert len(seen) == len(set(seen))
    assert api.get("/api/files", params={"cursor": "nonsense"}, headers=headers).status_code == 422
