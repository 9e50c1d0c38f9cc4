"""Rollouts as the database keeps them, the feedback beside them, and a proxy that cannot be reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.routing import Mount
from streamlit.testing.v1 import AppTest

from ops.__main__ import main
from ops.rollout.readings import read
from services.api import build_api
from services.api.telemetry import Telemetry
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import AuditEntry, Feedback, RolloutReading
from services.errors import Conflict, Invalid, TooMany
from services.permissions import Actor, Role
from services.rollout.board import Verdict
from services.rollout.counts import Counts
from services.rollout.history import Reading
from tests.monitoring_servers import monitoring
from tests.servers import http_server
from tests.work import ROOT


def counts(requests: float, errors: float = 0) -> Counts:
    """So many fast requests."""
    return Counts(requests, errors, within={0.1: requests, float("inf"): requests})


def note(container: Container, clock: FakeClock, green: Counts, blue: Counts) -> None:
    """A reading half a minute later."""
    clock.advance(seconds=30)
    container.rollouts.note(Reading(clock.now(), {"green": {"g": green}, "blue": {"b": blue}}, 0.4))


def test_phases_in_order(container: Container) -> None:
    """A rollout goes through every phase, then the new slot serves and the next rollout goes into the other one."""
    rollouts = container.rollouts
    assert (rollouts.state().serving, rollouts.state().weights()) == ("blue", {"blue": 100, "green": None})
    state = rollouts.begin("2.0", "test")
    seen = [state.weights()]
    while state.running is not None:
        state = rollouts.advance(state.running, ["database_cpu"], "test")
        seen.append(state.weights())
    shares = [0, 5, 25, 50, 100]
    assert seen == [*({"green": share, "blue": 100 - share} for share in shares), {"green": 100, "blue": 0}]
    assert rollouts.begin("2.1", "test").weights() == {"blue": 0, "green": 100}
    with container.session() as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
        detail = session.scalars(select(AuditEntry.detail_json).where(AuditEntry.action == "rollout.advance")).first()
    assert actions == ["rollout.start", *["rollout.advance"] * 5, "rollout.start"]
    assert detail == {
        "version": "2.0", "slot": "green", "phase": "5", "by": "test", "accepted": ["database_cpu"]
    }  # fmt: skip


def test_moves_do_not_cross(container: Container) -> None:
    """One rollout at a time; a move decided on a phase that has passed is refused; after a rollback the old serves."""
    first = container.rollouts.begin("2.0", "test").running
    assert first is not None
    with pytest.raises(Conflict, match=r"2\.0 is under way"):
        container.rollouts.begin("2.1", "test")
    container.rollouts.advance(first, [], "test")
    with pytest.raises(Conflict, match="has moved meanwhile"):
        container.rollouts.advance(first, [], "test")
    now = container.rollouts.state().running
    assert now is not None
    state = container.rollouts.take_back(now, "It fails.", "test")
    assert (state.serving, state.running, state.weights()) == ("blue", None, {"blue": 100, "green": None})
    with pytest.raises(Conflict):
        container.rollouts.take_back(now, "It fails.", "test")


def test_the_board_is_of_the_new_version(container: Container, clock: FakeClock, admin: Actor) -> None:
    """Readings of both versions are kept; the board, the trigger and the page speak of the new one."""
    container.rollouts.begin("2.0", "test")
    for number in range(6):
        note(container, clock, counts(100 * number, 2 * number), counts(1000 * number, number))
    board = container.rollouts.board()
    lines = {line.measure.name: line for line in board.lines}
    assert lines["error_rate"].value == pytest.approx(0.02)
    assert (lines["database_cpu"].value, lines["backup_age"].value) == (0.4, None)
    assert board.verdict is Verdict.NO_GO
    assert container.rollouts.fired() == "Error rate up by more than half: 2.00 % after 0.10 %."
    view = container.rollouts.view(admin)
    assert (view.read_at, view.board.lines, view.state.judged) == (clock.now(), board.lines, "green")
    assert view.state.running is not None
    container.rollouts.take_back(view.state.running, "It fails.", "test")
    container.rollouts.begin("2.1", "test")
    note(container, clock, counts(1000, 12), counts(9000, 9))
    note(container, clock, counts(1100, 12), counts(9000, 9))
    assert container.rollouts.board().of(Verdict.NO_GO) == []  # what was counted before is not the next version's
    assert container.rollouts.watched()
    clock.advance(minutes=6)
    assert container.rollouts.view(admin).read_at is None  # nobody watches: the board is of this process
    clock.advance(days=3)
    note(container, clock, counts(0), counts(0))
    with container.session() as session:
        assert session.scalar(select(func.count()).select_from(RolloutReading)) == 1


def test_the_old_version_s_error_rate_is_remembered(container: Container, clock: FakeClock) -> None:
    """At 100 % the old version has no requests: what is usual was noted while it had."""
    running = container.rollouts.begin("2.0", "test").running
    assert running is not None
    for number in range(4):
        note(container, clock, counts(0), counts(1000 * number, 20 * number))
    container.rollouts.advance(running, [], "test")
    clock.advance(hours=3)
    for number in range(4):
        note(container, clock, counts(100 * number, 2 * number), counts(0))
    assert container.rollouts.fired() is None  # two percent, as before


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_numbers_come_from_prometheus(container: Container, tmp_path: Path) -> None:
    """With a real Prometheus the same numbers come from there, process by process."""
    served = Telemetry(Starlette(routes=[Mount("/api", build_api(container))]))
    with http_server(served) as client:
        assert client.get("/api/users").status_code == 401
        process = f"{client.base_url.host}:{client.base_url.port}"
        (tmp_path / "monitoring").mkdir()
        with monitoring(tmp_path / "monitoring", process) as servers:
            given = {
                "prometheus_url": servers.prometheus,
                "rollout_green": client.base_url,
                "rollout_blue": "http://no:1",
            }
            asking = build_container(
                container.settings.model_copy(update={name: str(value) for name, value in given.items()})
            )
            deadline = time.monotonic() + 30
            while not (found := read(asking)).slots["green"]:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            asking.close()
    assert found.slots["green"][process].requests >= 1
    assert found.slots["green"][process].p95_seconds is not None
    assert (found.slots["blue"], found.database_cpu) == ({}, None)


def test_numbers_come_from_the_processes(container: Container, api: object) -> None:
    """Without Prometheus each process is asked; one that does not answer is left out, another's answer counts."""
    served = Telemetry(Starlette(routes=[Mount("/api", build_api(container))]))
    with http_server(served) as client:
        given = {"rollout_blue": f"{client.base_url}/, http://127.0.0.1:1", "rollout_green": ""}
        asking = build_container(container.settings.model_copy(update=given))
        before = read(asking)
        assert client.get("/api/users").status_code == 401
        after = read(asking)
        asking.close()
    (process,) = after.slots["blue"]
    assert process == f"{client.base_url.host}:{client.base_url.port}"
    grown = after.slots["blue"][process].since(before.slots["blue"][process])
    assert (grown.requests, grown.errors) == (1, 0)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_refusals_are_one_sentence(container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a proxy, with one that is away, or without a rollout, a command says what to do and changes nothing."""

    def told(container: Container, *command: str) -> str:
        assert main(["rollout", *command], container) == 2
        return capsys.readouterr().err

    assert "RECON_ROLLOUT_PROXY" in told(container, "start", "2.0")
    assert "No rollout is under way" in told(container, "rollback")
    assert "RECON_ROLLOUT_BLUE" in told(container, "status")
    away = build_container(container.settings.model_copy(update={"rollout_proxy": "/nowhere/admin.sock"}))
    assert "admin socket /nowhere/admin.sock" in told(away, "start", "2.0")
    assert away.rollouts.state().rollout is None
    nobody = {"prometheus_url": "http://127.0.0.1:1", "rollout_blue": "http://127.0.0.1:1"}
    assert "Prometheus (PROMETHEUS_URL) does not answer" in told(
        build_container(container.settings.model_copy(update=nobody)), "status"
    )


def test_feedback(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """A rating and a sentence are kept with page, version and session; the workspace's overseers read them."""
    person = actor_of(Role.ANALYST)
    container.feedback.give(person, "results", 4, "  Clear,\n and fast. ")
    container.feedback.give(actor_of(Role.AUDITOR), "home", 2)
    first, second = sorted(container.feedback.list(admin), key=lambda word: word.page)
    assert (first.rating, first.sentence, first.page) == (2, "", "home")
    assert (second.rating, second.sentence, second.page) == (4, "Clear, and fast.", "results")
    assert (second.person, second.version) == (person.name, "development")
    with container.session() as session:
        assert session.scalars(select(Feedback.session_id).where(Feedback.page == "results")).one() == person.session_id


def test_feedback_is_checked_and_limited(container: Container, admin: Actor) -> None:
    """No rating beyond the scale, no novel, and twenty an hour."""
    for rating, sentence in ((0, ""), (6, ""), (3, "x" * 1001)):
        with pytest.raises(Invalid):
            container.feedback.give(admin, "home", rating, sentence)
    for _ in range(20):
        container.feedback.give(admin, "home", 5)
    with pytest.raises(TooMany, match="words of feedback"):
        container.feedback.give(admin, "home", 5)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_page(container: Container, admin: Actor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The page says the verdict and the standing in a sentence each, and which commands there are."""
    container.rollouts.begin("2.0", "test")
    container.feedback.give(admin, "home", 5, "Very calm.")
    monkeypatch.setattr("pages._shared.context.get_container", lambda: container)
    monkeypatch.setattr("pages._shared.context.signed_in", lambda **_: admin)
    shown = AppTest.from_file(ROOT / "pages/rollout.py", default_timeout=20).run()
    assert not shown.exception
    said = " ".join(element.value for element in shown.markdown)
    assert "only invited people get it" in said
    assert "Not clearly go" in said or "No-go" in said
    assert "python -m ops rollout advance" in shown.code[0].value
    assert [metric.label for metric in shown.metric][:3] == ["Crash-free rate", "Response time (P95)", "Error rate"]
