"""Every command of the runbooks is run, in the order of the page, on a small installation behind the real proxy.

A fenced block names what it is for: `sh` is run here; `sh compose` and `sh checkout` are compared with compose.yaml and
the Makefile; `sh proxy` is sent to the proxy. Commands, queries and statements in running text, as the pages of alerts
have them, are each carried out too.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import yaml

from ops.__main__ import main
from ops.rollout.proxy import Proxy
from services import audit
from services.container import Container, build_container
from services.settings import Settings
from tests.browser.server import Server
from tests.haproxy import RunningProxy, haproxy
from tests.monitoring_servers import Monitoring, monitoring
from tests.servers import RedisServer, postgresql_programs, redis_server
from tests.service.conftest import PASSWORD, make_settings
from tests.work import start_worker

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs/runbooks"
PAGES = ["restore", "key-loss", "rollback", "incident-roles", "on-call", "launch"]
FENCE = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAY_REFUSE = {"python -m ops rollout advance": r"^Refused: (Not now|Nobody watches)"}
"""Commands that do their duty by refusing here: nobody has looked at the new version."""


@dataclass
class Installation:
    """The application in both slots, and its proxy."""

    server: Server
    settings: Settings
    proxy: RunningProxy
    safe: Path

    def environment(self) -> dict[str, str]:
        """What the pages' commands find."""
        return {"RECON_PUBLIC_URL": self.proxy.address, "VERSION": "2.0", "SAFE": str(self.safe)}

    def services(self) -> Container:
        """The services, as a command begins with them."""
        return build_container(self.settings)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running installation with one account and one backup."""
    data, safe = tmp_path_factory.mktemp("runbooks"), tmp_path_factory.mktemp("safe")
    server = Server(data)
    server.start()
    try:
        with haproxy(server.port, server.port) as proxy:
            slots = dict.fromkeys(("rollout_blue", "rollout_green"), server.address)
            settings = make_settings(data, rollout_proxy=proxy.admin, rollout_grace_seconds=0, **slots)
            made = Installation(server, settings, proxy, safe)
            services = made.services()
            services.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
            assert main(["backup", "now"], services) == 0
            services.close()
            yield made
    finally:
        server.stop()


def blocks(page: str) -> list[tuple[str, list[str]]]:
    """The fenced blocks of a page: what each is for, and its lines."""
    text = (RUNBOOKS / f"{page}.md").read_text(encoding="utf-8")
    return [(kind, [line for line in body.splitlines() if line.strip()]) for kind, body in FENCE.findall(text)]


def words(line: str, environment: dict[str, str]) -> list[str]:
    """The line's words, with variables in place."""
    filled = re.sub(r"\$([A-Z_]+)", lambda found: environment[found[1]], line)
    return shlex.split(filled)


def run(line: str, installation: Installation, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a line; its exit status and what it said."""
    capsys.readouterr()
    called = words(line, installation.environment())
    if called[:3] == ["python", "-m", "ops"]:
        services = installation.services()
        status = main(called[3:], services)
        services.close()
    elif called[:3] == ["python", "-m", "services.audit"]:
        services = installation.services()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("services.container.get_container", lambda: services)
            status = audit.main(called[3:])
        services.close()
    else:
        assert called[0] in {"curl", "python3"}, f"nobody knows how to test {line}"
        ended = subprocess.run(called, capture_output=True, text=True, timeout=30, check=False)
        return ended.returncode, ended.stdout + ended.stderr
    told = capsys.readouterr()
    return status, told.out + told.err


def compose(line: str, installation: Installation) -> None:
    """Compare a line with compose.yaml, and do here what it does there to the application."""
    docker, command, verb, *rest = shlex.split(line)
    assert (docker, command) == ("docker", "compose")
    assert verb in {"stop", "up", "run", "exec"}
    named = [word for word in rest if not word.startswith("-")]
    named = named[:1] if verb in {"run", "exec"} else named  # what follows is run inside
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert set(named) <= set(services)
    if verb == "stop" and "app-blue" in named:
        installation.server.stop()
    if verb == "up":
        installation.server.start()


def checkout(line: str) -> None:
    """Compare a line with what the checkout has."""
    first, *rest = shlex.split(line)
    if first == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{re.escape(rest[0])}:", makefile, re.MULTILINE), line
    else:
        assert os.access(ROOT / first, os.X_OK), line


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.timeout(240)
def test_the_commands_of_a_page(page: str, installation: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command exists and does what the page has it do: it ends well, or says that a check does not hold."""
    if page == "rollback":
        assert run("python -m ops rollout start 1.9", installation, capsys)[0] == 0
    ran = 0
    for kind, lines in blocks(page):
        for line in lines:
            ran += 1
            if kind == "sh compose":
                compose(line, installation)
            elif kind == "sh checkout":
                checkout(line)
            elif kind == "sh proxy":
                for command in words(line, {})[1].split(";"):
                    assert Proxy(installation.proxy.admin).ask(command.strip()) == "", command
            else:
                assert kind == "sh"
                status, said = run(line, installation, capsys)
                if line in MAY_REFUSE and status == 2:
                    assert re.search(MAY_REFUSE[line], said), f"{line}: {said}"
                else:
                    # the board has no exporter here: what it says may be no-go, and that is status 1
                    assert status == 0 or (status == 1 and "rollout status" in line), f"{line}: {status} {said}"
    assert ran >= 3


CODE = re.compile(r"`([^`\n]+)`")
NO_COMMANDS = {"other content", "--at 2026-03-02T09:00", "socat - TCP:proxy:9999"}
"""Code of two words or more that nobody types as it stands: what a table says, an option, how the proxy is reached."""
INLINE = sorted(
    {
        found
        for path in RUNBOOKS.glob("*.md")
        for found in CODE.findall(FENCE.sub("", path.read_text(encoding="utf-8")))
        if " " in found and found not in NO_COMMANDS
    }
)


@dataclass
class Around:
    """What stands around the installation: a database server, Redis, Prometheus and Alertmanager, and logs."""

    database: str
    redis: RedisServer
    watch: Monitoring
    folder: Path
    ids: dict[str, str]

    def filled(self, command: str, installation: Installation) -> str:
        """The command with this place's addresses, files and ids."""
        at = urlsplit(self.database)
        host, port = ("127.0.0.1", str(self.redis.port)) if command.startswith("redis-cli") else (at.hostname, at.port)
        if command.startswith("redis-cli"):
            command = command.replace("-h HOST", "-h HOST -p PORT")
        for word, value in {
            "http://localhost:2000": installation.server.address,
            "http://localhost:9093": self.watch.alertmanager,
            "HOST": host,
            "PORT": port,
            "DATA": self.folder,
            **self.ids,
        }.items():
            command = re.sub(rf"(?<![\w$]){re.escape(word)}\b", str(value), command)
        return re.sub(r"\b(app|worker)\.log\b", lambda found: str(self.folder / found[0]), command)


@pytest.fixture(scope="module")
def around(
    installation: Installation, postgresql_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Around]:
    """All of it, with an application that has been watched for a moment."""
    folder = tmp_path_factory.mktemp("around")
    lines = [
        {"event": "run failed", "level": "error", "request": "r1", "job": "j1", "timestamp": "2026-03-02T09:00:00Z"}
    ]
    for name in ("app.log", "worker.log"):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with (
        redis_server() as redis,
        monitoring(folder / "monitoring", installation.server.address.replace("localhost", "127.0.0.1")) as watch,
        psycopg.connect(f"{postgresql_template}/template_recon") as other,
    ):
        pid = str(other.info.backend_pid)
        deadline = time.monotonic() + 60
        while not httpx.get(f"{watch.alertmanager}/api/v2/alerts").json():
            assert time.monotonic() < deadline, "no alert arrives"
            time.sleep(0.2)
        # an id stands for a request, a run or a process: whichever comes before it
        yield Around(f"{postgresql_template}/template_recon", redis, watch, folder, {
            "--request ID": "--request r1", "--job ID": "--job j1", "PID": pid,
        })  # fmt: skip


@pytest.mark.parametrize("command", INLINE)
@pytest.mark.timeout(180)
def test_a_command_in_a_sentence(
    command: str, installation: Installation, around: Around, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command, a query or a statement of an alert's page is carried out where it belongs, and answers."""
    line = around.filled(command, installation)
    program = line.split()[0]
    if program == "docker":
        compose(line, installation)
    elif line.startswith("python -m services.jobs"):
        _a_worker_comes_up(installation, around.folder / "new-worker.log")
    elif program == "python":
        if "rollback" in line:
            run("python -m ops rollout start 1.9", installation, capsys)
        status, said = run(line, installation, capsys)
        assert status == 0 or (status == 1 and "rollout status" in line), said
        if " logs " in line:
            assert "run failed" in said
    elif program in {"SELECT", "ALTER", "ANALYZE"}:
        with psycopg.connect(around.database) as connection:
            connection.execute(line.replace("...", "'a-new-password'"))
            connection.rollback()
    elif program == "sum":
        found = httpx.get(f"{around.watch.prometheus}/api/v1/query", params={"query": line})
        assert found.json()["status"] == "success", found.text
    else:
        assert program in {"curl", "df", "du", "pg_isready", "redis-cli", "amtool", "promtool"}, program
        path = f"{os.environ['PATH']}:{postgresql_programs()}"
        where = {"cwd": ROOT / "ops/monitoring", "env": {**os.environ, "PATH": path}}
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False, **where
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ("Watchdog" if program == "amtool" else "") in ended.stdout.strip() != ""


def _a_worker_comes_up(installation: Installation, log: Path) -> None:
    """It says that it works, and ends on SIGTERM."""
    worker = start_worker(installation.settings, log)
    try:
        deadline = time.monotonic() + 60
        while "worker started" not in log.read_text():
            assert worker.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        worker.terminate()
        assert worker.wait(30) == 0


def test_every_page_is_tested() -> None:
    """A runbook is the page of an alert, or one of those above."""
    alerts = re.findall(r"^\s+- alert: (\w+)", (ROOT / "ops/monitoring/alerts.yaml").read_text(), re.MULTILINE)
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*alerts, *PAGES}
