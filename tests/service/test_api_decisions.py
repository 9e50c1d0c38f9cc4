"""Deciding on suggested matches over HTTP: in a person's name, once, and with words for what is refused."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from services.container import Container
from services.permissions import Actor, Role, Scope
from tests.service.conftest import PASSWORD
from tests.service.test_reviews import SUGGESTING, carried_out


def signed_in(api: httpx.Client, email: str) -> dict[str, str]:
    """The header that a person's own sign-in gives."""
    answer = api.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    return {"Authorization": f"Bearer {answer.json()['token']}"}


@pytest.fixture
def place(container: Container, admin: Actor, tmp_path: Path) -> tuple[str, dict[str, int]]:
    """Where decisions on a run go, and its matches by their outcome."""
    job_id = carried_out(container, admin, SUGGESTING, tmp_path)
    rows = container.results.page(admin, job_id, "matches").rows
    return f"/api/reconciliation/jobs/{job_id}/decisions", {row["outcome"]: int(row["match_id"]) for row in rows}


def test_a_person_decides(api: httpx.Client, admin: Actor, place: tuple[str, dict[str, int]]) -> None:
    """Confirmed, rejected, open again; each answer says what holds now, and the CSV has it."""
    path, matches = place
    match, headers = matches["suggested"], signed_in(api, admin.email)
    for verdict, note in (("confirmed", " as  agreed "), ("rejected", "")):
        made = api.post(path, headers=headers, json={"match_id": match, "verdict": verdict, "note": note})
        assert made.status_code == 200, made.text
        told = made.json()
        assert (told["verdict"], told["note"], told["person"]) == (verdict, " ".join(note.split()), admin.name)
        assert api.get(path, headers=headers).text.splitlines()[1].startswith(f"{match},{verdict},")
    again = api.post(path, headers=headers, json={"match_id": match, "verdict": "open"}).json()
    assert again == {"match_id": match, "verdict": "open", "note": "", "person": None, "at": None}
    assert len(api.get(path, headers=headers).text.splitlines()) == 1


def test_a_request_sent_again_decides_once(
    api: httpx.Client, container: Container, admin: Actor, place: tuple[str, dict[str, int]]
) -> None:
    """It gets its answer, and does not take back what was decided meanwhile; its key is for nothing else."""
    path, matches = place
    match, headers = matches["suggested"], signed_in(api, admin.email) | {"Idempotency-Key": "one"}
    given = {"match_id": match, "verdict": "confirmed"}
    first = api.post(path, headers=headers, json=given)
    container.reviews.decide(admin, path.split("/")[4], match, "rejected")
    again = api.post(path, headers=headers, json=given)
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    [held] = container.reviews.decisions(admin, path.split("/")[4]).values()
    assert held.verdict == "rejected"
    assert api.post(path, headers=headers, json={**given, "verdict": "open"}).status_code == 422


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "one"}])
def test_no_token_and_no_reader_decides(
    api: httpx.Client, container: Container, admin: Actor, place: tuple[str, dict[str, int]], key: dict[str, str]
) -> None:
    """A token of every scope is told to sign in, an auditor that the role may not; nothing is decided."""
    path, matches = place
    given = {"match_id": matches["suggested"], "verdict": "confirmed"}
    token, _ = container.api_tokens.create(admin, "all", list(Scope), PASSWORD)
    by_token = api.post(path, headers={"Authorization": f"Bearer {token}", **key}, json=given)
    assert (by_token.status_code, by_token.headers["content-type"]) == (403, "application/problem+json")
    assert by_token.json()["detail"] == "No token may do result.review: sign in for it."
    container.accounts.create(admin, "Aud", "aud@example.org", PASSWORD, Role.AUDITOR)
    by_reader = api.post(path, headers=signed_in(api, "aud@example.org") | key, json=given)
    assert (by_reader.status_code, by_reader.json()["status"]) == (403, 403)
    assert container.reviews.decisions(admin, path.split("/")[4]) == {}


def test_what_cannot_be_decided_is_told(api: httpx.Client, admin: Actor, place: tuple[str, dict[str, int]]) -> None:
    """No such match, one that counts already, no such verdict, a parameter that there is not."""
    path, matches = place
    headers = signed_in(api, admin.email)
    for given, status, told in (
        ({"match_id": 999, "verdict": "confirmed"}, 404, "999"),
        ({"match_id": matches["confirmed"], "verdict": "rejected"}, 409, "not a suggested one"),
        ({"match_id": matches["suggested"], "verdict": "perhaps"}, 422, "verdict"),
        ({"match_id": matches["suggested"], "verdict": "confirmed", "person": "Bob"}, 422, "person"),
    ):
        answer = api.post(path, headers=headers, json=given)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert told in answer.json()["detail"]
