"""The product as it runs in production, process by process, and every server under it: each behind a cutting proxy.

Every process of the product has links of its own, so that the network of one can fail while the others work on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from tests.aws_server import CREDENTIALS, REGION, UPLOADS, AwsServer, aws_server
from tests.cutting_proxy import CuttingProxy
from tests.postgresql_cluster import Server, running
from tests.servers import FAST, RedisServer, free_port, postgresql_programs, redis_server
from tests.smtp_server import MailServer, mail_server

ROOT = Path(__file__).parents[3]
START_SECONDS = 300  # a busy machine is slow, not wrong
# A commit that was answered must survive kill -9.
DURABLE = tuple(option for option in FAST if not option.startswith("synchronous_commit"))
SETTINGS = {
    "APP_ENV": "development",
    "ENABLE_AUTOMATED_BACKUPS": "false",
    "RECON_EMBEDDED_WORKER": "false",
    "RECON_PASSWORD_HASH_ROUNDS": "4",
    "RECON_LOG_LEVEL": "INFO",
    # as many calls as the machine can take
    **{
        f"RECON_LIMIT_{name}": "1000000/hour"
        for name in ("SIGN_IN", "JOB_START", "UPLOAD", "LIST_USERS", "ANALYTICS", "OTHER", "RESET", "REGISTER")
    },
    # every wait shortened in proportion to faults that last seconds, not minutes
    "RECON_BREAKER_OPEN_SECONDS": "4",
    "RECON_REDIS_RECONNECT_SECONDS": "4",
    "RECON_SPOOL_SYNC_SECONDS": "2",
    "RECON_MAIL_LEASE_SECONDS": "10",
    "RECON_MAIL_FIRST_WAIT_SECONDS": "2",
    "RECON_JOB_LEASE_SECONDS": "5",
    "RECON_JOB_HEARTBEAT_SECONDS": "1",
    "RECON_JOB_MAX_ATTEMPTS": "50",
}


class Part(Protocol):
    """Something that can fail."""

    def kill(self) -> None:
        """End it at once."""

    def pause(self) -> None:
        """Stop its clock."""

    def black_hole(self) -> None:
        """Let nothing through to it, or from it."""

    def heal(self) -> None:
        """End the fault, whichever it was; started again where it was killed."""


class Program:
    """One process of the product, with a data folder and links of its own."""

    def __init__(self, name: str, command: list[str], folder: Path, given: dict[str, str], ports: dict[str, int]):
        self.name, self._command, self._log = name, command, folder / f"{name}.log"
        self.links = {server: CuttingProxy(port) for server, port in ports.items()}
        self.data = folder / name
        self.process: subprocess.Popen[bytes] | None = None
        at = {server: f"127.0.0.1:{link.port}" for server, link in self.links.items()}
        self.environment = {
            **os.environ,
            **SETTINGS,
            **CREDENTIALS,
            **given,
            "RECON_DATA_DIR": str(self.data),
            "DATABASE_URL": f"postgresql://recon@{at['postgresql']}/postgres",
            "REDIS_URL": f"redis://{at['redis']}/0",
            "SMTP_URL": f"smtp://{at['smtp']}",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://{at['s3']}",
            "UPLOADS_S3_BUCKET": UPLOADS,
        }
        self.heal()

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def black_hole(self) -> None:
        """Cut it off from every server that it uses."""
        for link in self.links.values():
            link.black_hole()

    def heal(self) -> None:
        """Reach everything again, go on, or start again."""
        for link in self.links.values():
            link.heal()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            return
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", *self._command]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def end(self) -> int:
        """SIGTERM; gives the exit status. Killed when it does not end."""
        assert self.process is not None
        self.heal()
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL
        finally:
            for link in self.links.values():
                link.close()

    def log(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="replace")


class App(Program):
    """The app: its own network is the one to its users."""

    def __init__(self, folder: Path, given: dict[str, str], ports: dict[str, int]) -> None:
        port = free_port()
        self.front = CuttingProxy(port)
        command = ["streamlit", "run", "app.py", "--server.port", str(port), "--server.headless", "true"]
        super().__init__("app", command, folder, given, ports)

    @property
    def address(self) -> str:
        """Where users reach it."""
        return f"http://127.0.0.1:{self.front.port}"

    def black_hole(self) -> None:
        """Swallow what users send, and what it answers."""
        self.front.black_hole()

    def heal(self) -> None:
        """Reachable again, going on, or started again."""
        self.front.heal()
        super().heal()

    def end(self) -> int:
        """SIGTERM; gives the exit status."""
        try:
            return super().end()
        finally:
            self.front.close()


class Backend:
    """A server under the product: killed and paused as a process, cut off on every link to it."""

    def __init__(
        self, name: str, server: RedisServer | MailServer | Server | AwsServer, programs: list[Program]
    ) -> None:
        self._name, self._server, self._programs = name, server, programs
        self._killed = False

    def kill(self) -> None:
        """Kill -9. S3 keeps what it has, as moto would not: its endpoint is reset and refuses instead."""
        self._killed = True
        if isinstance(self._server, AwsServer):
            for link in self._links():
                link.refuse()
        else:
            self._server.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self._server.pause()

    def black_hole(self) -> None:
        """Nobody reaches it, and nobody is told."""
        for link in self._links():
            link.black_hole()

    def heal(self) -> None:
        """Well again."""
        if self._killed and not isinstance(self._server, AwsServer):
            self._server.start()
        self._killed = False
        self._server.resume()
        for link in self._links():
            link.heal()

    def _links(self) -> list[CuttingProxy]:
        return [program.links[self._name] for program in self._programs]


@dataclass
class System:
    """Everything that runs."""

    app: App
    workers: list[Program]
    parts: dict[str, Part]
    database: Server
    aws: AwsServer
    mail: MailServer
    folder: Path
    environment: dict[str, str]
    """Leads straight to the servers, for whoever looks behind the product's back."""

    def wait_until_well(self, seconds: float) -> bool:
        """Whether health says within that time that all is well."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                if httpx.get(f"{self.app.address}/api/health", timeout=3).json()["status"] == "ok":
                    return True
            time.sleep(0.25)
        return False


@contextmanager
def system(folder: Path, workers: int = 2) -> Iterator[System]:
    """Start all of it, wait until it is well, and end it in good order."""
    programs = postgresql_programs()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key").write_text(secrets.token_urlsafe(48))
    with ExitStack() as stack:
        database = stack.enter_context(running(programs, DURABLE))
        redis, aws = stack.enter_context(redis_server()), stack.enter_context(aws_server())
        mail = stack.enter_context(mail_server(folder / "mails"))
        ports = {"postgresql": database.port, "redis": redis.port, "s3": aws.port, "smtp": mail.port}
        given = {"JWT_SECRET_FILE": str(folder / "key")}
        app = App(folder, given, ports)
        stack.callback(app.end)
        made = [
            Program(f"worker-{number}", ["services.jobs"], folder, given, ports) for number in range(1, workers + 1)
        ]
        for worker in made:
            stack.callback(worker.end)
        everybody: list[Program] = [app, *made]
        backends = {"postgresql": database, "redis": redis, "s3": aws, "smtp": mail}
        parts: dict[str, Part] = {"worker": made[0], "app": app}
        parts |= {name: Backend(name, server, everybody) for name, server in backends.items()}
        straight = {
            **app.environment,
            "DATABASE_URL": f"{database.address}/postgres",
            "AWS_ENDPOINT_URL": aws.address,
            "REDIS_URL": redis.address,
            "SMTP_URL": mail.url,
        }
        started = System(app, made, parts, database, aws, mail, folder, straight)
        assert started.wait_until_well(START_SECONDS), app.log()
        yield started
