"""A rehearsal: two versions behind the real proxy, step by step to everybody; then the new one fails."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import pytest
from sqlalchemy import select
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from ops.__main__ import main
from services.container import Container, build_container
from services.database.models import AuditEntry
from services.rollout.board import BY_NAME
from services.settings import Settings
from tests.browser.server import Server
from tests.haproxy import RunningProxy, haproxy
from tests.service.conftest import PASSWORD
from tests.work import ROOT

VISITORS = 200
ACCEPTED = ("--accept", "database_cpu")  # no exporter stands beside this database
SLOT = "recon_slot"


def visit(client: httpx.Client, address: str) -> str:
    """Somebody new comes and looks; the slot that the proxy deals them."""
    client.cookies.clear()
    client.get(address)
    return slot_of(client)


class Traffic:
    """People who come and look, twenty a second, and remember nothing."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _visit(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self._stopping.wait(0.05):
                visit(client, self._address)


@dataclass
class Stage:
    """Both versions, the proxy, and the file that makes the new version fail."""

    container: Container
    proxy: RunningProxy
    failing: Path
    environment: dict[str, str]

    def ops(self, *command: str) -> tuple[int, str]:
        """Run a command of operations here; its exit status and all that it said."""
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            status = main(list(command), self.container)
        return status, said.getvalue()

    def must(self, *command: str) -> str:
        """Run a command that succeeds; what it said."""
        status, said = self.ops(*command)
        assert status == 0, said
        return said

    def process(self, *command: str) -> subprocess.Popen[str]:
        """A command of operations as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "ops", *command], cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=self.failing.with_suffix(".log").open("w"),
        )  # fmt: skip

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what the watch does."""
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline, self.failing.with_suffix(".log").read_text()
            time.sleep(0.1)

    def share(self) -> float:
        """The share of new visitors, in percent, that get the new version."""
        with httpx.Client(timeout=10) as client:
            seen = Counter(visit(client, self.proxy.address) for _ in range(VISITORS))
        return 100 * seen["green"] / VISITORS

    def visitor(self, slot: str) -> httpx.Client:
        """Somebody new who was dealt to this slot, signed in."""
        while True:
            client = httpx.Client(base_url=self.proxy.address, timeout=20)
            if visit(client, "/") == slot:
                break
            client.close()
        login = {"email": "ada@example.org", "password": PASSWORD}
        assert client.post("/api/auth/login", json=login).status_code == 200
        return client


def drain(socket: ClientConnection) -> None:
    """Take messages until there are no more."""
    while True:
        socket.recv(timeout=10)


def slot_of(client: httpx.Client) -> str:
    """The slot that the proxy's cookie names."""
    return client.cookies[SLOT].partition("|")[0]


@pytest.fixture
def stage(settings: Settings, tmp_path: Path) -> Iterator[Stage]:
    """Version 1 serves in blue; version 2 stands ready in green and can be made to fail."""
    data, failing = tmp_path / "data", tmp_path / "fail"
    data.mkdir()
    shared = {"DATABASE_URL": settings.database_address, "RECON_LIMIT_OTHER": "100000/hour"}
    blue = Server(data, RECON_VERSION="1", RECON_TRUSTED_PROXIES="127.0.0.1", **shared)
    green = Server(data, RECON_VERSION="2", RECON_FAIL_WHILE=str(failing), **shared)
    try:
        with ThreadPoolExecutor() as starting:
            list(starting.map(Server.start, (blue, green)))
        with haproxy(blue.port, green.port) as proxy:
            ours = {
                "rollout_proxy": proxy.admin,
                "rollout_blue": blue.address,
                "rollout_green": green.address,
                "rollout_watch_seconds": 0.5,
                "rollout_window_seconds": 20,
                "rollout_crash_seconds": 60,
                "rollout_slow_seconds": 60,
                "rollout_grace_seconds": 2,
            }
            environment = {
                **os.environ, **shared, "RECON_DATA_DIR": str(data), "APP_ENV": "development",
                **{f"RECON_{name.upper()}": str(value) for name, value in ours.items()},
            }  # fmt: skip
            container = build_container(settings.model_copy(update={**ours, "data_dir": data}))
            container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
            yield Stage(container, proxy, failing, environment)
            container.close()
    finally:
        blue.stop()
        green.stop()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_a_rollout_and_its_failure(stage: Stage) -> None:
    """Shares are kept at each phase; failure takes the version back without a hand; nobody is signed out."""
    stage.must("backup", "now")
    watching = stage.process("rollout", "watch")
    try:
        stage.until(lambda: len(stage.container.rollouts.history().readings) > 1)
        links = [line.strip() for line in stage.must("rollout", "start", "2").splitlines() if "/try?key=" in line]
        assert len(links) == 10
        assert stage.share() == 0
        invited = httpx.Client(base_url=stage.proxy.address)
        assert invited.get(f"/try{links[0].partition('/try')[2]}").status_code == 302
        assert invited.get("/try?key=guessed").status_code == 200  # a page like any other: no cookie came with it
        assert slot_of(invited) == "green"
        old = stage.visitor("blue")
        for share in (5, 25, 50, 100):
            for _ in range(10):
                assert invited.get("/").status_code == 200
            assert slot_of(invited) == "green"
            said = stage.must("rollout", "advance", *ACCEPTED)
            assert f"{share} % of new visitors" in said
            assert stage.share() == pytest.approx(share, abs=1.5)
        new = stage.visitor("green")
        assert old.get("/api/users").status_code == 200
        assert slot_of(old) == "blue"

        with connect(
            stage.proxy.address.replace("http", "ws", 1) + "/_stcore/stream",
            additional_headers={"Cookie": "; ".join(f"{name}={value}" for name, value in new.cookies.items())},
        ) as screen:
            with Traffic(stage.proxy.address):
                broken_at = time.monotonic()
                stage.failing.touch()
                stage.until(lambda: stage.container.rollouts.state().running is None)
            taken_back = time.monotonic() - broken_at
            assert new.get("/api/users").status_code == 200  # still signed in, now on the old version
            assert slot_of(new) == "blue"
            assert old.get("/api/users").status_code == 200
            with pytest.raises(ConnectionClosed):  # the screen's connection is cut, and its browser comes back
                drain(screen)
        assert stage.share() == 0
        sys.stdout.write(f"taken back {taken_back:.1f} s after the first failure\n")
        state = stage.container.rollouts.state()
        assert state.rollout is not None
        assert (state.rollout.status, state.serving) == ("rolled back", "blue")
        assert "Error rate up" in str(state.rollout.reason)
        with stage.container.session() as session:
            moves = session.scalars(
                select(AuditEntry.action).where(AuditEntry.target_type == "rollout").order_by(AuditEntry.id)
            ).all()
        assert moves == ["rollout.start", *["rollout.advance"] * 4, "rollout.rollback"]
    finally:
        watching.terminate()
        watching.wait(20)
    _by_hand(stage, new)


def _by_hand(stage: Stage, person: httpx.Client) -> None:
    """Without a watch: no-go keeps the next phase away, and one command takes the version back."""
    stage.failing.unlink()
    stage.must("rollout", "start", "2.1")
    with Traffic(stage.proxy.address):
        stage.ops("rollout", "status")
        everything = [part for name in BY_NAME for part in ("--accept", name)]
        assert "5 % of new visitors" in stage.must("rollout", "advance", *everything)
        stage.failing.touch()
        stage.ops("rollout", "status")
        time.sleep(3)
        status, said = stage.ops("rollout", "advance", *ACCEPTED)
        assert status == 2, said
        assert "no-go" in said or "trigger" in said
        begun = time.monotonic()
        back = stage.process("rollout", "rollback", "--reason", "it fails")
        assert "rolled back: it fails" in back.communicate(timeout=100)[0]
        sys.stdout.write(f"one command took it back in {time.monotonic() - begun:.1f} s, as a process\n")
        assert stage.share() == 0
    assert person.get("/api/users").status_code == 200
