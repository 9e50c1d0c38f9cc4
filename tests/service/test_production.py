"""The product as it runs in production: no secret is seen anywhere, and a rotation is noticed by nobody."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.permissions import Scope
from tests.production import MARK, Production, production, seen_from_outside
from tests.service.test_app import BANK, LEDGER, PERSON, PLAN, answers, start, wait_for

BUSY = {
    "RECON_LIMIT_OTHER": "100000/hour",
    "RECON_LIMIT_UPLOAD": "100000/hour",
    "RECON_LIMIT_SIGN_IN": "100000/hour",
    "RECON_PASSWORD_HASH_ROUNDS": "12",
}
# So that the engine runs long enough to be looked at.
MANY = b"".join(b"R%d,1.00\n" % number for number in range(900_000))


@pytest.fixture
def house(postgresql_address: str, tmp_path: Path) -> Iterator[Production]:
    """All services of production. New database connections and secrets every second or so."""
    quick = {"RECON_DATABASE_POOL_RECYCLE_SECONDS": "1", "RECON_SECRETS_CACHE_SECONDS": "1"}
    with production(postgresql_address, tmp_path, **BUSY, **quick) as made:
        yield made


class App:
    """The running app: what it prints and everything that it ever answers."""

    def __init__(self, house: Production, tmp_path: Path) -> None:
        self.process, self.address = start(tmp_path, **house.environment)
        self.answers: list[httpx.Response] = []
        self.outside: dict[str, bytes] = {}
        self._output: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._reader.start()
        self._watcher.start()

    def client(self) -> httpx.Client:
        """A client whose answers are kept."""
        return httpx.Client(base_url=self.address, timeout=60, event_hooks={"response": [self._keep]})

    def output(self) -> str:
        """What it has printed."""
        return "".join(self._output)

    def stop(self) -> None:
        """End it and read what it printed last."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join(10)

    def _keep(self, answer: httpx.Response) -> None:
        answer.read()
        self.answers.append(answer)

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._output.extend(self.process.stdout)

    def _watch(self) -> None:
        while self.process.poll() is None:
            self.outside.update(seen_from_outside())
            time.sleep(0.01)


@pytest.fixture
def app(house: Production, tmp_path: Path) -> Iterator[App]:
    """The app, up."""
    running = App(house, tmp_path)
    try:
        wait_for(lambda: answers(running.address) or running.process.poll() is not None, 120)
        assert running.process.poll() is None, running.output()
        yield running
    finally:
        running.stop()


def signed_in(app: App, client: httpx.Client) -> httpx.Client:
    """The first administrator."""
    wait_for(lambda: client.get("/api/health").status_code == 200)
    client.post("/api/auth/register", json=PERSON)
    token = client.post("/api/auth/login", json={k: PERSON[k] for k in ("email", "password")}).json()["token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def run_once(client: httpx.Client) -> str:
    """From two files to a result."""
    left, right = (
        client.post("/api/files/upload", params={"name": name}, content=content).json()
        for name, content in (("ledger.csv", LEDGER + MANY), ("bank.csv", BANK))
    )
    given = {"plan": PLAN, "left_file_id": left["id"], "right_file_id": right["id"]}
    job = client.post("/api/reconciliation/jobs", json=given).json()["id"]
    wait_for(lambda: client.get(f"/api/reconciliation/jobs/{job}").json()["finished_at"])
    return str(job)


@pytest.mark.timeout(300)
def test_no_secret_is_seen_anywhere(house: Production, app: App, tmp_path: Path) -> None:
    """Pages, answers, errors, metrics, logs, processes, files and buckets hold no secret, well or not."""
    with app.client() as client:
        signed_in(app, client)
        session = client.headers["Authorization"].removeprefix("Bearer ")
        wanted = {"name": "a program", "scopes": list(Scope), "password": PERSON["password"]}
        token = client.post("/api/tokens", json=wanted).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        job = run_once(client)
        client.get(f"/api/reconciliation/jobs/{job}/download")
        client.post("/api/auth/login", json={"email": PERSON["email"], "password": "wrong"})
        client.post("/api/auth/password/forgot", json={"email": PERSON["email"]})  # a mail that cannot be sent
        for path in ("/", "/health", "/nowhere", "/api/nowhere", "/api/docs", "/api/files/none", "/api/metrics"):
            client.get(path)
        client.post("/api/files/upload", params={"name": "x.csv"}, content=b"")
        for misplaced in (f"/api/files?token={token}", f"/api/files/{token}", f"/{token}"):
            client.get(misplaced, headers={"Authorization": f"Bearer {token}x"})
        backup = house.run("ops", "backup", "now")
        assert backup.returncode == 0, backup.stderr
        house.set_password("nobody knows this password")  # new connections are refused, with the reason in the log
        house.redis.kill()
        house.proxy.refuse()
        time.sleep(1.5)  # by now a connection is too old
        for _ in range(2):
            for path in ("/api/health", "/api/metrics", "/", "/api/users", f"/api/files/{job}"):
                client.get(path)
            client.post("/api/files/upload", params={"name": "x.csv"}, content=LEDGER)
        refused = house.run("ops", "backup", "list")
        assert refused.returncode != 0
    app.stop()
    texts = {
        f"{answer.request.method} {answer.url} {number}": f"{answer.headers}{answer.text}"
        for number, answer in enumerate(app.answers)
    }
    texts |= {"log": app.output(), "backup": backup.stdout + backup.stderr, "refused": refused.stdout + refused.stderr}
    statuses = {answer.status_code for answer in app.answers}
    assert {200, 201, 202, 401, 404, 503} <= statuses, statuses
    assert "database refuses the password" in app.output()
    assert [name for name, text in texts.items() if MARK in text] == []
    assert any(b"recon_engine" in line for line in app.outside.values()), "no engine's child was seen"
    assert [name for name, content in app.outside.items() if MARK.encode() in content] == []
    for name in ("log", "backup", "refused"):
        assert session not in texts[name]
        assert token not in texts[name]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if any(one.encode() in path.read_bytes() for one in (MARK, session, token))] == []
    stored = {**house.aws.objects(), **house.aws.objects("the-backups")}
    assert any(key.startswith("backups/") for key in stored)
    assert any(key.startswith("results/") for key in stored)
    assert [key for key, content in stored.items() if MARK.encode() in content] == []


@pytest.mark.timeout(300)
def test_rotations_fail_no_action(house: Production, app: App) -> None:
    """Three rotations of the key and of the database's password under load: every action of every user succeeds."""
    failed: list[Any] = []
    done: list[int] = []
    stopping = threading.Event()

    def work(token: str) -> None:
        with httpx.Client(base_url=app.address, timeout=60, headers={"Authorization": f"Bearer {token}"}) as client:
            while not stopping.is_set():
                answers_ = [
                    client.get("/api/reconciliation/jobs"),
                    client.post("/api/files/upload", params={"name": "ledger.csv"}, content=LEDGER),
                    client.get("/api/users"),
                ]
                failed.extend((a.request.url.path, a.status_code, a.text) for a in answers_ if not a.is_success)
                done.extend(a.status_code for a in answers_)

    with app.client() as client:
        signed_in(app, client)
        token = client.headers["Authorization"].removeprefix("Bearer ")
        workers = [threading.Thread(target=work, args=(token,)) for _ in range(3)]
        for worker in workers:
            worker.start()
        first = token
        for round_ in range(3):
            wait_for(lambda: len(done) > 15 * (round_ + 1), 90)  # noqa: B023 - asked at once
            time.sleep(2.5)  # by now connections and secrets are too old
            house.rotate_database_password()
            if first == token:  # a token lives through one rotation of its key
                house.aws.put_secrets({"production/jwt_secret": f"{MARK}-jwt-0123456789-abcdefghijklmnop"})
                wait_for(lambda: client.get("/api/users").is_success)
                time.sleep(2.5)
                # From another browser: to sign in again in the same one ends the session that it had.
                given = {name: PERSON[name] for name in ("email", "password")}
                first = httpx.post(f"{app.address}/api/auth/login", json=given, timeout=60).json()["token"]
        wait_for(lambda: len(done) > 60, 90)
        stopping.set()
        for worker in workers:
            worker.join(60)
        assert client.get("/api/users", headers={"Authorization": f"Bearer {first}"}).is_success
    assert failed == []
