"""Limits over HTTP: every route has one, the answer says so, and the screens count in the same windows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from services.api import build_api
from services.api.limits import COUNTED_BY_USE_CASE, FREE
from services.container import Container, build_container
from services.errors import TooMany
from services.limits import Limited
from services.permissions import Actor
from tests.servers import http_server
from tests.service.conftest import PASSWORD, make_settings

ONCE = {f"limit_{action}": "1/hour" for action in Limited}
BODIES: dict[str, dict[str, Any]] = {
    "/auth/login": {"json": {"email": "nobody@example.org", "password": "wrong"}},
    "/auth/register": {"json": {"email": "new@example.org", "name": "New", "password": PASSWORD}},
    "/auth/password/forgot": {"json": {"email": "nobody@example.org"}},
    "/reconciliation/jobs": {"json": {"plan": {}, "left_file_id": "a" * 32, "right_file_id": "b" * 32}},
    "/files/upload": {"params": {"name": "a.csv"}, "content": b"a,b\n1,2\n"},
}


@pytest.fixture
def tight(sqlite_template: Path, tmp_path: Path) -> Iterator[Container]:
    """Services in which everything is allowed once an hour."""
    shutil.copy(sqlite_template, tmp_path / "recon.db")
    container = build_container(make_settings(tmp_path, **ONCE))
    yield container
    container.close()


@pytest.fixture
def person(tight: Container) -> tuple[Actor, str]:
    """The administrator, signed in, and the token."""
    account = tight.accounts.create_first_admin("Ada", "ada@example.org", PASSWORD, "192.0.2.1")
    token = tight.sessions.start(account, "192.0.2.1", "test")
    return tight.sessions.resolve(token), token


@pytest.fixture
def client(tight: Container, person: tuple[Actor, str]) -> Iterator[httpx.Client]:
    """The person's client."""
    with http_server(Starlette(routes=[Mount("/api", build_api(tight))])) as client:
        client.headers["Authorization"] = f"Bearer {person[1]}"
        yield client


def test_every_route_has_a_limit(tight: Container, client: httpx.Client) -> None:
    """Each route that there is refuses the second call where one is allowed; only probes of the machine are free."""
    api = build_api(tight)
    account = tight.accounts.find("ada@example.org")
    assert account is not None
    calls = [(method, path) for path, method in _routes(api)]
    assert len(calls) > 15
    for method, path in [*calls, ("GET", "/nothing/here")]:
        tight.limits._own.storage.reset()
        address = "/api" + re.sub(r"{.*?}", "matches", path)
        client.cookies.clear()
        client.headers["Authorization"] = f"Bearer {tight.sessions.start(account, '192.0.2.1', 'test')}"
        # Once more after leaving: then the caller is counted by address.
        times = 3 if path == "/auth/leave" else 2
        answers = [client.request(method, address, **BODIES.get(path, {})) for _ in range(times)]
        if path in FREE:
            assert answers[1].status_code in (200, 403), path
            continue
        assert answers[0].status_code != 429, (method, path)
        assert answers[-1].status_code == 429, (method, path)
        action = COUNTED_BY_USE_CASE.get((method, path), Limited.OTHER)
        assert answers[-1].json()["violated-policies"] == [action.value], (method, path)


def _routes(api: Any) -> Iterator[tuple[str, str]]:
    """Path and method of every route, wherever it was declared."""
    for path, operations in api.openapi()["paths"].items():
        yield from ((path, method.upper()) for method in operations)
    listed = set(api.openapi()["paths"])
    for route in api.routes:
        if isinstance(route, Route) and route.path not in listed:
            yield from ((route.path, method) for method in sorted(route.methods or ()) if method != "HEAD")


def test_a_refusal_says_what_and_until_when(client: httpx.Client) -> None:
    """429 is a problem document of its own type, with the time to wait; what passes says what is left."""
    passed, refused = (client.get("/api/users") for _ in range(2))
    assert passed.status_code == 200
    assert passed.headers["ratelimit-policy"] == '"list_users";q=1;w=3600'
    assert re.fullmatch(r'"list_users";r=0;t=3\d\d\d', passed.headers["ratelimit"])
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["cache-control"] == "no-store"
    assert refused.headers["ratelimit-policy"] == '"list_users";q=1;w=3600'
    told = int(refused.headers["retry-after"])
    assert 3590 < told <= 3600
    assert refused.headers["ratelimit"] == f'"list_users";r=0;t={told}'
    document = refused.json()
    assert document["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert document["violated-policies"] == ["list_users"]
    assert re.fullmatch(
        r"Too many readings of the accounts: 1 are allowed within an hour\. Please try again at [\d:]{8} UTC\.",
        document["detail"],
    )


def test_the_screens_count_in_the_same_windows(
    tight: Container, person: tuple[Actor, str], client: httpx.Client
) -> None:
    """An upload from a screen and one over HTTP are two uploads of the same person; the refused one is not stored."""
    actor, _ = person
    tight.files.upload(actor, "a.csv", [b"a\n1\n"])
    refused = client.post("/api/files/upload", params={"name": "b.csv"}, content=b"b\n2\n")
    assert refused.status_code == 429
    assert [file.name for file in tight.files.list(actor)] == ["a.csv"]
    with pytest.raises(TooMany):
        tight.files.upload(actor, "c.csv", [b"c\n3\n"])


def test_people_do_not_use_up_each_others_limits(
    tight: Container, person: tuple[Actor, str], client: httpx.Client
) -> None:
    """The window is the person's: a colleague at the same address still has a whole one."""
    tight.accounts.create(person[0], "Bo", "bo@example.org", PASSWORD, person[0].role)
    found = tight.accounts.find("bo@example.org")
    assert found is not None
    token = tight.sessions.start(found, "192.0.2.1", "test")
    assert [client.get("/api/users").status_code for _ in range(2)] == [200, 429]
    assert client.get("/api/users", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_an_invented_token_is_no_window_of_its_own(client: httpx.Client) -> None:
    """Whoever is not signed in is counted by address, whatever token is sent along."""
    codes = [client.get(f"/api/files/{n}", headers={"Authorization": f"Bearer x{n}"}).status_code for n in range(3)]
    assert codes == [401, 429, 429]
