"""The API over real HTTP: sign-in, cookies, origins, uploads, problem documents."""

from __future__ import annotations

import hashlib
import re

import httpx
import pytest

from services.api.auth import local_path
from services.api.limits import FREE
from services.clock import FakeClock
from services.container import Container
from services.permissions import Actor
from services.sessions import COOKIE
from tests.service.conftest import PASSWORD

LOGIN = {"email": "ada@example.org", "password": PASSWORD}


@pytest.fixture
def signed_in(api: httpx.Client, admin: Actor) -> httpx.Client:
    """A client with the administrator's session cookie."""
    assert api.post("/api/auth/login", json=LOGIN).status_code == 200
    return api


def test_register_then_sign_in(api: httpx.Client) -> None:
    """The first visitor registers and is signed in; the next has only asked, whatever password was sent along."""
    person = {"name": "Ada", **LOGIN}
    answer = api.post("/api/auth/register", json=person)
    assert (answer.status_code, answer.json()["account"]["role"]) == (201, "admin")
    assert api.get("/api/users").status_code == 200
    api.cookies.clear()
    asked = api.post("/api/auth/register", json={**person, "email": "eve@example.org"})
    assert (asked.status_code, set(asked.json()), "set-cookie" in asked.headers) == (202, {"message"}, False)
    assert api.post("/api/auth/login", json={**LOGIN, "email": "eve@example.org"}).status_code == 401


def test_cookie_is_for_the_server_only(api: httpx.Client, admin: Actor) -> None:
    """The session cookie is HttpOnly and SameSite; its token is also a bearer token."""
    answer = api.post("/api/auth/login", json=LOGIN)
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in (f"{COOKIE}=", "HttpOnly", "SameSite=lax", "Path=/"))
    api.cookies.clear()
    assert api.get("/api/users").status_code == 401
    assert api.get("/api/users", headers={"Authorization": f"Bearer {answer.json()['token']}"}).status_code == 200


def test_an_open_page_asks_whether_its_session_runs(api: httpx.Client, admin: Actor, clock: FakeClock) -> None:
    """The answer is 200 either way, and asking does not keep an idle session alive."""
    assert api.get("/api/health/session").json() == {"running": False}
    api.post("/api/auth/login", json=LOGIN)
    for _ in range(29):
        clock.advance(minutes=1)
        assert api.get("/api/health/session").json() == {"running": True}
    clock.advance(minutes=1)
    assert api.get("/api/health/session").json() == {"running": False}


def test_wrong_password_is_a_problem_document(api: httpx.Client, admin: Actor) -> None:
    """A failed sign-in answers 401 with a problem document and no cookie."""
    answer = api.post("/api/auth/login", json={**LOGIN, "password": "wrong"})
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not signed in",
        "status": 401,
        "detail": "This email and password do not belong together. Try again.",
        "instance": "/api/auth/login",
    }
    assert "set-cookie" not in answer.headers


def test_invalid_input_never_echoes_the_value(api: httpx.Client) -> None:
    """A malformed sign-in names the field and does not repeat the password."""
    answer = api.post("/api/auth/login", json={"password": ["my secret"]})
    assert (answer.status_code, answer.json()["title"]) == (422, "Invalid input")
    assert "email: Field required" in answer.json()["detail"]
    assert "my secret" not in answer.text


def test_enter_swaps_ticket_for_cookie(container: Container, api: httpx.Client, admin: Actor) -> None:
    """The sign-in form's ticket gives the browser its cookie and sends it on; a second visit gives nothing."""
    ticket = container.sessions.issue_ticket(admin.account_id)
    answer = api.get("/api/auth/enter", params={"ticket": ticket, "next": "/results?job=1"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/results?job=1")
    assert api.get("/api/users").status_code == 200
    api.cookies.clear()
    again = api.get("/api/auth/enter", params={"ticket": ticket})
    assert (again.status_code, again.headers["location"]) == (303, "/")
    assert "set-cookie" not in again.headers


def test_enter_from_another_site_signs_nobody_in(container: Container, api: httpx.Client, admin: Actor) -> None:
    """A link on another site cannot put a visitor into someone else's account."""
    ticket = container.sessions.issue_ticket(admin.account_id)
    answer = api.get("/api/auth/enter", params={"ticket": ticket}, headers={"Sec-Fetch-Site": "cross-site"})
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_leave_ends_the_session(signed_in: httpx.Client, method: str) -> None:
    """Signing out ends the session on the server, not only in the browser."""
    token = signed_in.cookies[COOKIE]
    answer = signed_in.request(method, "/api/auth/leave")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert COOKIE not in signed_in.cookies
    assert signed_in.get("/api/users", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/results?job=1&page=2", "/results?job=1&page=2"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("results", "/"),
        ("", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
    ],
)
def test_next_stays_on_this_site(path: str, expected: str) -> None:
    """After signing in or out, people are only ever sent to a path of this site."""
    assert local_path(path) == expected


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]
)
def test_other_sites_cannot_act(signed_in: httpx.Client, headers: dict[str, str]) -> None:
    """A change that another site's page asks for is refused although the browser sent the cookie."""
    answer = signed_in.post("/api/files/upload", params={"name": "a.csv"}, content=b"a\n1\n", headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (403, "Not allowed")


def test_own_pages_can_act(signed_in: httpx.Client) -> None:
    """The same change from a page of this site, or from a program, passes the origin check."""
    host = f"{signed_in.base_url.host}:{signed_in.base_url.port}"
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": f"http://{host}"}):
        assert signed_in.post("/api/files/suggest", json={}, headers=headers).status_code == 422


CONTENT = b"id,amount\n" + b"".join(b"%d,%d.50\n" % (i, i) for i in range(200_000))


@pytest.mark.parametrize("kind", ["form", "body"])
def test_upload_keeps_every_byte(container: Container, signed_in: httpx.Client, admin: Actor, kind: str) -> None:
    """An upload of several megabytes arrives whole, as a form field or as the body; the name loses its folders."""
    if kind == "form":
        files = {"note": (None, "first"), "file": ("..\\x/Umsätze.csv", CONTENT)}
        answer = signed_in.post("/api/files/upload", files=files)
    else:
        answer = signed_in.post("/api/files/upload", params={"name": "../x/Umsätze.csv"}, content=CONTENT)
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert (file["name"], file["size_bytes"]) == ("Umsätze.csv", len(CONTENT))
    assert file["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert signed_in.get(f"/api/files/{file['id']}").json() == file
    with container.storage.open(container.files.get(admin, file["id"]).storage_key) as stored:
        assert stored.read() == CONTENT


@pytest.mark.parametrize(
    ("headers", "content", "reason"),
    [
        ({}, b"a\n1\n", "?name="),
        ({"content-type": "multipart/form-data; boundary=b"}, b"no boundary", "malformed or cut short"),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n\r\na\n1',
            "cut short",
        ),
        ({"content-type": "multipart/form-data"}, b"", "form field"),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\na\r\n--b--\r\n',
            "form field",
        ),
    ],
)
def test_upload_that_is_none(
    signed_in: httpx.Client, container: Container, headers: dict[str, str], content: bytes, reason: str
) -> None:
    """A request without a named file, or one that is cut short, stores nothing and says what is missing."""
    answer = signed_in.post("/api/files/upload", headers=headers, content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert reason in answer.json()["detail"]
    assert list(container.storage.list("uploads")) == []


def test_large_bodies_are_refused(signed_in: httpx.Client) -> None:
    """A document far beyond any plan is refused before it is read."""
    answer = signed_in.post("/api/files/suggest", content=b" " * (9 << 20))
    assert (answer.status_code, answer.json()["title"]) == (413, "Too large")


def test_reference_page_needs_no_other_site(api: httpx.Client) -> None:
    """The reference page lists every operation under /api and loads nothing from elsewhere."""
    page = api.get("/api/docs").text
    for path, methods in api.get("/api/openapi.json").json()["paths"].items():
        assert f"/api{path}" in page
        assert all(method.upper() in page for method in methods)
    assert "http://" not in page
    assert "https://" not in page


def test_unknown_path_is_a_problem_document(api: httpx.Client) -> None:
    """Also what does not exist is told as a problem document."""
    answer = api.get("/api/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("unknown", ["0" * 32, "1", "00000000-0000-4000-8000-000000000000"])
@pytest.mark.parametrize("path", ["files/{}", "reconciliation/jobs/{}", "reconciliation/jobs/{}/results/breaks"])
def test_an_unknown_id_is_not_found_however_it_is_written(signed_in: httpx.Client, path: str, unknown: str) -> None:
    """Also one that no id of ours looks like."""
    answer = signed_in.get(f"/api/{path.format(unknown)}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["title"] == "Not found"


def test_no_parameter_is_passed_over(signed_in: httpx.Client) -> None:
    """A parameter that a call does not have is named, with those that its description has; the calls of monitors and
    load balancers take all.
    """
    for path, operations in signed_in.get("/api/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            known = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
            called = re.sub(r"\{\w*id\}", "e" * 32, path).replace("{table}", "breaks")
            answer = signed_in.request(method, f"/api{called}", params={"page": 2, "size": 10}, follow_redirects=False)
            if path in FREE:
                assert answer.status_code == 200
                continue
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), path
            there_is = ", ".join(known) or "none at all"
            assert answer.json()["detail"] == f"There is no parameter 'page' here; there is {there_is}."
    signed_in.cookies.clear()
    assert signed_in.get("/api/files", params={"page": 2}).status_code == 401
