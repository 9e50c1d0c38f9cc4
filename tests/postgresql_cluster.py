"""A PostgreSQL server that a test stops, pauses, starts again, copies into a standby and promotes."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import FAST, Stoppable, _unprivileged, _wait_until_open, free_port

# These servers crash: what was committed must be in their log by then.
CAREFUL = tuple(option for option in FAST if not option.startswith("synchronous_commit"))


class Server(Stoppable):
    """One PostgreSQL server on a port of its own. It refuses to run as root, so root runs it as somebody else."""

    def __init__(self, programs: Path, primary: Server | None = None, options: tuple[str, ...] = CAREFUL) -> None:
        self.port = free_port()
        self.address = f"postgresql://recon@127.0.0.1:{self.port}"
        self._programs = programs
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="recon-pg-"))
        self._quiet: dict[str, Any] = {
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "cwd": self._folder,
        }
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_unprivileged())
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
            self._quiet |= {"user": owner.pw_name, "group": owner.pw_gid, "extra_groups": []}
        if primary is None:
            self._run("initdb", "-U", "recon", "-A", "trust", "-E", "UTF8", "--no-sync")
        else:  # --write-recovery-conf makes it a standby that streams
            self._run("pg_basebackup", "-d", f"{primary.address}/postgres", "-R", "-X", "stream", "-c", "fast")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}"]
        flags = [part for option in (*options, *self._options) for part in ("-c", option)]
        self._process = subprocess.Popen([self._programs / "postgres", "-D", self._data, *flags], **self._quiet)
        _wait_until_open(self.address, self._process)

    def stop(self) -> None:
        """Stop it without ceremony, as a crash does."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None

    def promote(self) -> None:
        """Make a standby the primary, and wait until it takes writes."""
        self._run("pg_ctl", "promote", "-w")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement, as an administrator of the server would; gives the rows."""
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        """Stop it and forget its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "db"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self._programs / program, "-D", self._data, *arguments], check=True, **self._quiet)


@contextmanager
def running(programs: Path, options: tuple[str, ...] = CAREFUL) -> Iterator[Server]:
    """A fresh server."""
    server = Server(programs, options=options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def primary_and_standby(programs: Path) -> Iterator[tuple[Server, Server]]:
    """A server and its standby, which has everything before a commit is answered."""
    with ExitStack() as stack:
        primary = Server(programs, options=CAREFUL)
        stack.callback(primary.remove)
        primary.start()
        standby = Server(programs, primary, CAREFUL)
        stack.callback(standby.remove)
        standby.start()
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        _wait_until_synchronous(primary)
        yield primary, standby


def _wait_until_synchronous(primary: Server) -> None:
    for _ in range(400):
        if primary.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
            return
        time.sleep(0.05)
    raise TimeoutError("the standby never became synchronous")
