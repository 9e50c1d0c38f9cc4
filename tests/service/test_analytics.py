"""The dashboard's numbers: of real runs, by plan and person, with the age of what stays open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from services import analytics
from services.clock import FakeClock
from services.container import Container
from services.errors import NotAllowed, Unavailable
from services.jobs.leases import Leases, Outcome
from services.jobs.run import Run
from services.permissions import Actor, Role
from services.storage.base import StorageAway
from tests.work import PLAN, launch, upload_pair

HEADER = "ref,amount,posted\n"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are read anew at every question, but in the test of that."""
    monkeypatch.setattr(analytics, "FRESH_SECONDS", 0)


def run(container: Container, actor: Actor, folder: Path, plan: dict[str, object] = PLAN, ledger: str = "") -> str:
    """A real run from launch to result."""
    left, right = upload_pair(container, actor)
    if ledger:
        left = container.files.upload(actor, "ledger.csv", [(HEADER + ledger).encode()]).id
    job = container.jobs.launch(actor, None, plan, left, right)
    leases = Leases(container)
    claimed = leases.claim("w1")
    assert claimed is not None
    Run(container, leases, *claimed, folder / job.id).execute()
    return job.id


def test_runs_plans_and_people(
    container: Container, clock: FakeClock, actor_of: Callable[[Role], Actor], tmp_path: Path
) -> None:
    """Runs, failures, rows, match rate and median cycle time of all, of each plan and of each person."""
    ada, bob = actor_of(Role.ANALYST), actor_of(Role.REVIEWER)
    for person, waited in ((ada, 10), (ada, 30), (bob, 60)):
        launched = launch(container, person)
        clock.advance(seconds=waited)
        leases = Leases(container)
        claimed = leases.claim("w1")
        assert claimed is not None
        Run(container, leases, *claimed, tmp_path / launched.id).execute()
    failed = container.jobs.launch(bob, None, {**PLAN, "name": "other"}, *upload_pair(container, bob))
    claimed = Leases(container).claim("w1")
    assert claimed is not None
    Leases(container).finish(claimed[0], Outcome("failed", error="broken"))

    told = container.analytics.dashboard(ada)
    assert told["jobs"] == {"succeeded": 3, "failed": 1}
    small = {"runs": 3, "failed": 0, "rows": 18, "matched": 12, "match_rate": 0.6667, "cycle_seconds": 30.0}
    plans = {plan["plan"]: plan for plan in told["plans"]}
    assert plans["small"].items() >= {**small, "open": 2}.items()
    assert plans["other"].items() >= {"runs": 1, "failed": 1, "rows": 0, "match_rate": None, "open": None}.items()
    assert told["whole"].items() >= {**small, "runs": 4, "failed": 1, "open": 2}.items()
    assert told["whole"]["last_run"] == failed.created_at.isoformat()
    people = {person["person"]: (person["runs"], person["cycle_seconds"]) for person in told["people"]}
    assert people == {ada.name: (2, 20.0), bob.name: (2, 60.0)}
    assert told["breaks"]["missing_counterpart"] == 6
    assert told["volumes"] == [{"day": "2026-03-02", "runs": 4, "rows": 18, "breaks": 6}]
    assert [one["match_rate"] for one in told["recent"]] == [None, 0.6667, 0.6667, 0.6667]
    assert json.loads(json.dumps(told)) == told


def test_open_records_grow_old(container: Container, admin: Actor, clock: FakeClock, tmp_path: Path) -> None:
    """The newest result of each plan counts, by the age of its open records; one that cannot be read has none."""
    run(container, admin, tmp_path, ledger="X1,1.00,2025-09-01\nX2,1.00,2025-12-01\n")
    assert {line["age"] for line in container.analytics.dashboard(admin)["ageing"]} >= {"over 90 days"}
    clock.advance(hours=1)
    run(container, admin, tmp_path, ledger="X1,1.00,2025-12-20\nX2,1.00,2026-01-01\n")
    run(container, admin, tmp_path, plan={**PLAN, "name": "other"}, ledger="Y1,1.00,2025-09-01\n")
    found = {line["age"]: line["rows"] for line in container.analytics.dashboard(admin)["ageing"]}
    # of the bank 0, 7 and 8 days in each plan; of the ledger 8 and 20 days in one, 130 in the other
    assert found == {"0 to 7 days": 4, "8 to 30 days": 4, "over 90 days": 1}
    assert list(found) == ["0 to 7 days", "8 to 30 days", "over 90 days"]


def test_the_storage_may_be_away(
    container: Container, admin: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything but the ages is told, for it is in the database."""
    run(container, admin, tmp_path)

    def away(*_: object) -> None:
        raise StorageAway

    monkeypatch.setattr(container.results, "_figures", away)
    told = container.analytics.dashboard(admin)
    assert (told["ageing"], told["whole"]["open"]) == ([], 2)


def test_numbers_are_kept_for_half_a_minute(
    container: Container, admin: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second question does not reach the database."""
    run(container, admin, tmp_path)
    monkeypatch.setattr(analytics, "FRESH_SECONDS", 30)
    before = container.analytics.dashboard(admin)

    def away(*_: object) -> Iterator[None]:
        raise Unavailable

    monkeypatch.setattr(container, "session", away)
    assert container.analytics.dashboard(admin) == before


def test_strangers_see_nothing(container: Container, admin: Actor, tmp_path: Path) -> None:
    """The numbers are those of one's own workspace, and for people with a role."""
    run(container, admin, tmp_path)
    nobody = Actor("0" * 32, "1" * 32, "eve@example.org", "Eve", Role.ADMIN, "s", "127.0.0.1")
    told = container.analytics.dashboard(nobody)
    assert (told["recent"], told["plans"], told["people"], told["ageing"]) == ([], [], [], [])
    assert told["whole"]["runs"] == 0
    with pytest.raises(NotAllowed):
        container.analytics.dashboard(Actor("0", "1", "x@example.org", "X", "guest", "s", ""))  # type: ignore[arg-type]


def numbers_on_home() -> None:
    """What Home draws of them."""
    from pages._shared import context, numbers

    numbers.show(context.actor())


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_home_shows_them(container: Container, admin: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing before the first result; then four figures, and the rest once it is asked for."""
    monkeypatch.setattr("pages._shared.context.get_container", lambda: container)
    monkeypatch.setattr("pages._shared.context.signed_in", lambda **_: admin)
    shown = AppTest.from_function(numbers_on_home, default_timeout=30).run()
    assert (list(shown.metric), list(shown.expander), list(shown.exception)) == ([], [], [])
    run(container, admin, tmp_path)
    shown.run()
    figures = {metric.label: metric.value for metric in shown.metric}
    assert figures == {"Runs": "1", "Rows matched": "66.6%", "Cycle time": "under 0.1 s", "Open breaks": "2"}
    assert not shown.dataframe
    shown.session_state["numbers"] = True
    shown.run()
    assert [next(iter(frame.value.columns)) for frame in shown.dataframe] == ["Plan", "Person"]
    assert "Ada Admin" in str(shown.dataframe[1].value)


def test_the_api_answers_with_them(container: Container, api: httpx.Client, admin: Actor, tmp_path: Path) -> None:
    """The same over HTTP, as described."""
    job_id = run(container, admin, tmp_path)
    signed = api.post("/api/auth/login", json={"email": admin.email, "password": "correct horse battery"})
    assert signed.status_code == 200
    told = api.get("/api/analytics/dashboard").json()
    assert [one["job_id"] for one in told["recent"]] == [job_id]
    assert told["people"][0]["person"] == "Ada Admin"
    assert told["plans"][0]["plan"] == "small"
