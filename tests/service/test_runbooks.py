"""Every command of the runbooks is run, in the order of the page, on a small installation behind the real proxy.

A fenced block names what it is for: `sh` is run here; `sh compose` and `sh checkout` are compared with compose.yaml and
the Makefile; `sh proxy` is sent to the proxy. Commands in running text must at least be understood by their parser.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ops.__main__ import main, parser
from ops.rollout.proxy import Proxy
from services import audit
from services.container import Container, build_container
from services.settings import Settings
from tests.browser.server import Server
from tests.haproxy import RunningProxy, haproxy
from tests.service.conftest import PASSWORD, make_settings

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


INLINE = re.compile(r"`(python -m ops [^`]+)`")
SAID = sorted(
    {(path.name, found) for path in sorted(RUNBOOKS.glob("*.md")) for found in INLINE.findall(path.read_text())}
)


@pytest.mark.parametrize(("page", "command"), SAID)
def test_commands_in_running_text_exist(page: str, command: str) -> None:
    """A command named in a sentence is one that the parser takes, with words such as ID in their place."""
    given = shlex.split(command)[3:]
    try:
        parser().parse_args(given)
    except SystemExit as refused:
        pytest.fail(f"{page}: {command} is not understood ({refused.code})")


def test_every_page_is_tested() -> None:
    """A runbook is the page of an alert, or one of those above."""
    alerts = re.findall(r"^\s+- alert: (\w+)", (ROOT / "ops/monitoring/alerts.yaml").read_text(), re.MULTILINE)
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*alerts, *PAGES}
