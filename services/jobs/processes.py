"""Starting engine processes: forked from one that has done their imports (Linux), else a Python of their own."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import structlog

from services.jobs.fork_server import KILL, REQUEST_BYTES, TERMINATE
from services.jobs.limits import own_variables

_log = structlog.get_logger(__name__)
_REPOSITORY = Path(__file__).resolve().parents[2]
_LIMITS = Path(__file__).with_name("limits.py")
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
_WARM_AFTER_SECONDS = 4.0
_ANSWER_SECONDS = 30.0  # a server that has just been started imports first
_END_SECONDS = 1.0
_MAX_THREADS = 8  # each thread's stack and heap count against the memory limit


def _can_fork() -> bool:
    """Whether the system has what the fork server needs; some sandboxes refuse it."""
    if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


_CAN_FORK = _can_fork()


@dataclass(frozen=True)
class Engine:
    """Where Python finds `recon_engine`, and the modules that are imported before a fork: they start no thread."""

    folder: Path
    preloaded: tuple[str, ...]


_LIBRARIES = (
    *("argparse", "charset_normalizer", "concurrent.futures.thread", "csv", "difflib", "gzip", "json", "statistics"),
    *("numpy", "numpy.ma", "numpy.typing", "scipy.optimize", "scipy.sparse.csgraph", "yaml", "zipfile", "zstandard"),
)
ENGINE = Engine(_REPOSITORY, (*_LIBRARIES, "recon_engine.nway.any_plan"))


@dataclass(frozen=True)
class Start:
    """What an engine process is started with."""

    arguments: Sequence[str]
    folder: Path
    memory_bytes: int
    cpu_seconds: int
    stdout: IO[bytes]
    stderr: IO[bytes]


class Process(Protocol):
    """A running engine process in a process group of its own, for one thread. It ends with this process, or earlier."""

    pid: int

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for its end; True when it has ended."""

    def code(self) -> int:
        """Wait for its end; its exit code, or minus the signal that ended it."""

    def terminate(self) -> None:
        """Send SIGTERM, if it still runs."""

    def kill(self) -> None:
        """End it, if it still runs, and all that it has started."""


def start(given: Start) -> Process:
    """Start `python -m recon_engine …`."""
    for _ in range(2 if _CAN_FORK else 0):  # that the server was killed is found out by asking it
        with contextlib.suppress(_ForkServerAwayError):
            return _Forked(given)
    return _Executed(given)


def warm() -> None:
    """Have the imports done before the first process is asked for, but not while the application itself starts."""
    if _CAN_FORK:
        timer = threading.Timer(_WARM_AFTER_SECONDS, _server.warm)
        timer.daemon = True
        timer.start()


class _Executed:
    """A process that begins with an empty Python. It ends with the thread that started it, too."""

    def __init__(self, given: Start) -> None:
        command = [
            *(sys.executable, "-I", "-S", str(_LIMITS)),
            *(str(given.memory_bytes), str(given.cpu_seconds), str(os.getpid())),
            *(sys.executable, "-P", "-m", "recon_engine", *given.arguments),
        ]
        self._process = subprocess.Popen(
            command,
            cwd=given.folder,
            env=_environment(ENGINE.folder) | own_variables(str(given.folder)),
            stdin=subprocess.DEVNULL,
            stdout=given.stdout,
            stderr=given.stderr,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def wait(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def code(self) -> int:
        return self._process.wait()

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the whole group is gone already
            os.killpg(self.pid, signal.SIGKILL)


class _Forked:
    """A child of the fork server. What is asked of it is asked of the server, which alone knows whose its id is."""

    def __init__(self, given: Start) -> None:
        request = {
            "arguments": list(given.arguments),
            "folder": str(given.folder.resolve()),
            "memory_bytes": given.memory_bytes,
            "cpu_seconds": given.cpu_seconds,
        }
        self._code: int | None = None
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = _server.ask(request, [given.stdout.fileno(), given.stderr.fileno(), theirs.fileno()])
        self._control.settimeout(_ANSWER_SECONDS)
        try:
            told = self._heard()
        except TimeoutError:
            _server.retire(self._server, silent=True)
            raise _ForkServerAwayError from None
        if not told:
            _server.retire(self._server)
            raise _ForkServerAwayError
        self._control.settimeout(None)
        self.pid = int(told)

    def wait(self, seconds: float) -> bool:
        self._control.settimeout(seconds)
        try:
            self.code()
        except (TimeoutError, BlockingIOError):
            return False
        finally:
            self._control.settimeout(None)
        return True

    def code(self) -> int:
        if self._code is None:
            told = self._heard()
            if not told:  # the kernel ends it with the server, but not what it has started
                _server.retire(self._server)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
            self._code = int(told) if told else -signal.SIGKILL
        return self._code

    def _heard(self) -> bytes:
        """The next that the server tells; empty when it has closed the socket. Raises TimeoutError, BlockingIOError."""
        with contextlib.suppress(ConnectionResetError):
            return self._control.recv(32)
        # The server has not read all that we asked. Said once, this gives way to what the server told before it closed.
        return self._control.recv(32)

    def terminate(self) -> None:
        self._ask(TERMINATE)

    def kill(self) -> None:
        self._ask(KILL)

    def _ask(self, what: bytes) -> None:
        if self._code is None:
            with contextlib.suppress(ConnectionError):  # it has ended, or the server has, and it with that
                self._control.send(what)


class _ForkServerAwayError(Exception):
    """The server ended, or could not be started."""


class _ForkServer:
    """The one server of this process. It ends when this process does: it is told so, or finds its socket closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def warm(self) -> None:
        """Start it, unless it runs."""
        with self._lock, contextlib.suppress(OSError):  # without it all runs as well, only slower
            self._running()

    def ask(self, request: dict[str, object], files: list[int]) -> subprocess.Popen[bytes]:
        """Ask for a child; the server that was asked. Raises _ForkServerAwayError."""
        message = json.dumps(request).encode()
        if len(message) > REQUEST_BYTES:
            raise _ForkServerAwayError
        with self._lock:
            try:
                process, requests = self._running()
                socket.send_fds(requests, [message], files)
            except OSError as error:
                if isinstance(error, (ConnectionError, TimeoutError)):
                    self._end()
                raise _ForkServerAwayError from error
            return process

    def retire(self, process: subprocess.Popen[bytes], *, silent: bool = False) -> None:
        """End a server that is `silent`, or put away one that has ended; the next request starts another.

        One that closed a socket and lives has no room for another child: it goes on with those that it has.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            if not silent:
                process.wait(_END_SECONDS)
            with self._lock:
                if self._process is process:
                    _log.warning("fork server ended", code=self._end())

    def _running(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        if self._process is None or self._requests is None or self._engine != ENGINE:
            self._end()
            self._engine = ENGINE
            self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._requests.settimeout(_ANSWER_SECONDS)
            with theirs:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "services.jobs.fork_server", str(theirs.fileno())),
                        *self._engine.preloaded,
                    ],
                    cwd="/",
                    env=_environment(self._engine.folder, _REPOSITORY),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        return self._process, self._requests

    def end(self) -> None:
        """End it, if it runs, and all that it has forked."""
        with self._lock:
            self._end()

    def _end(self) -> int | None:
        code = None
        if self._requests is not None:
            self._requests.close()
        if self._process is not None:
            try:
                code = self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                code = self._process.wait()
        self._process = self._requests = None
        return code


_server = _ForkServer()
atexit.register(_server.end)


def _environment(*places: Path) -> dict[str, str]:
    """Nothing of the application's own environment: it may hold secrets. `places` is where modules are found."""
    threads = str(min(os.cpu_count() or 1, _MAX_THREADS))
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(map(str, places))),
        "PYTHONUTF8": "1",
        "POLARS_MAX_THREADS": threads,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # what threads have let go is used again, by all
    }
