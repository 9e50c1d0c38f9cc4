"""The fork server: what it holds when it forks, what it leaves behind, and what happens when it is killed."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from services.jobs import child, processes
from services.jobs.child import Child, Limits
from services.jobs.processes import Engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="engine processes are forked on Linux only"),
]
ROOMY = Limits(memory_mb=1024, cpu_seconds=30)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file whose code stands for the engine."""
    monkeypatch.setattr(processes, "ENGINE", Engine(tmp_path / "code", ()))
    (tmp_path / "code").mkdir()
    return tmp_path / "code" / "recon_engine.py"


def server_of(running: Child) -> psutil.Process:
    """The process that has forked it."""
    return psutil.Process(psutil.Process(running.pid).ppid())


def test_it_has_one_thread_no_polars_and_nothing_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forking is safe only while no other thread may hold a lock; the children get what it holds."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:canary@host/db")  # pragma: allowlist secret
    monkeypatch.setattr(processes, "_server", processes._ForkServer())  # one that starts now
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    running = Child(["profile", "a.csv", "--json"], tmp_path, ROOMY)
    server = server_of(running)
    maps = Path(f"/proc/{server.pid}/maps").read_text(encoding="utf-8")
    assert server.num_threads() == 1
    assert "scipy" in maps  # it has done its imports
    assert "polars" not in maps
    assert not [v for v in Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0") if b"canary" in v]
    assert running.wait(30)
    assert (running.result().code, running.result().stderr) == (0, "")


def test_many_at_once_leave_nothing_open(program: Path) -> None:
    """Each gets its own answer; afterwards the server has neither files of them nor children."""
    program.write_text("import os, sys; print(sys.argv[1], len(os.listdir('/proc/self/fd')))", encoding="utf-8")

    def answer(number: int) -> str:
        return child.run([str(number)], ROOMY, lambda folder: None).stdout

    answer(0)
    assert processes._server._process is not None
    server = psutil.Process(processes._server._process.pid)
    before = server.num_fds()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(answer, range(200)))
    assert [text.split()[0] for text in answers] == [str(number) for number in range(200)]
    assert {text.split()[1] for text in answers} == {"4"}  # its input, two outputs, and the look itself
    deadline = time.monotonic() + 5
    while server.num_fds() != before or server.children():
        assert time.monotonic() < deadline, (before, server.num_fds(), server.children())
        time.sleep(0.02)


def test_what_an_ended_child_leaves_running_is_killed(program: Path) -> None:
    """Its whole group goes with it, also when it ends well."""
    program.write_text(
        "import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)\n",
        encoding="utf-8",
    )
    left = int(child.run([], ROOMY, lambda folder: None).stdout)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(left) and psutil.Process(left).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_child_that_nobody_waits_for_is_killed(program: Path, tmp_path: Path) -> None:
    """Whoever began it has lost it: it does not go on by itself."""
    program.write_text("import time; time.sleep(60)", encoding="utf-8")
    running = Child([], tmp_path, ROOMY)
    process = psutil.Process(running.pid)
    del running
    assert process.wait(5) is None  # of another parent: how it ended is not told


def test_a_killed_server_takes_its_children_along_and_another_takes_its_place(program: Path, tmp_path: Path) -> None:
    """They end as if killed themselves, which is what a run is taken up again for."""
    program.write_text("import sys, time; time.sleep(float(sys.argv[1]))", encoding="utf-8")
    running = [Child(["60"], tmp_path, ROOMY) for _ in range(3)]
    assert not running[0].wait(0.05)
    os.kill(server_of(running[0]).pid, signal.SIGKILL)
    assert all(one.wait(5) for one in running)
    assert {one.result().code for one in running} == {-signal.SIGKILL}
    assert child.run(["0"], ROOMY, lambda folder: None).code == 0
    assert processes._server._process is not None


def test_no_room_for_one_more_costs_the_others_nothing(program: Path, tmp_path: Path) -> None:
    """A request that the system refuses is carried out in another way; those that run go on."""
    program.write_text("import sys, time; time.sleep(float(sys.argv[1])); print(sys.argv[1])", encoding="utf-8")
    running = Child(["3"], tmp_path, ROOMY)
    server = server_of(running)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.num_fds() + 1, server.num_fds() + 1))
    assert child.run(["0"], ROOMY, lambda folder: None).stdout == "0\n"
    assert running.wait(10)
    assert (running.result().code, running.result().stdout) == (0, "3\n")


def test_a_request_that_cannot_be_sent_ends_nobody_else(program: Path, tmp_path: Path) -> None:
    """What is wrong with one request is no reason to begin anew."""
    program.write_text("import sys, time; time.sleep(float(sys.argv[1]))", encoding="utf-8")
    running = Child(["2"], tmp_path, ROOMY)
    with pytest.raises(processes._ForkServerAwayError):
        processes._server.ask({}, [10_000])
    assert running.wait(10)
    assert running.result().code == 0


def test_a_server_that_does_not_answer_is_replaced(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it for longer than it takes to start."""
    program.write_text("import sys, time; time.sleep(float(sys.argv[1]))", encoding="utf-8")
    running = Child(["60"], tmp_path, ROOMY)
    server_of(running).suspend()
    monkeypatch.setattr(processes, "_ANSWER_SECONDS", 2.0)
    assert child.run(["0"], ROOMY, lambda folder: None).code == 0
    assert running.wait(5)
    assert running.result().code == -signal.SIGKILL


def test_the_exit_code_stands_when_the_end_was_asked_for_too_late(program: Path, tmp_path: Path) -> None:
    """A child that ends by itself just before it is told to has ended by itself."""
    program.write_text("import time; time.sleep(0.5); raise SystemExit(7)", encoding="utf-8")
    running = Child([], tmp_path, ROOMY)
    process, server = psutil.Process(running.pid), server_of(running)
    server.suspend()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    running._process.terminate()
    server.resume()
    assert running.wait(5)
    assert running.result().code == 7


def test_a_folder_that_is_gone_is_no_answer(program: Path, tmp_path: Path) -> None:
    """The child says that it could not begin, by a code that stands for nothing else."""
    program.write_text("", encoding="utf-8")
    gone = Child([], tmp_path / "gone", ROOMY)
    assert gone.wait(10)
    assert gone.result().code == 3


@pytest.mark.parametrize("preloaded", [("no_such_module",), ()])
def test_without_a_server_or_with_too_long_a_request_it_is_started_alone(
    program: Path, monkeypatch: pytest.MonkeyPatch, preloaded: tuple[str, ...]
) -> None:
    """Forking is only faster: what cannot be forked runs as well."""
    monkeypatch.setattr(processes, "ENGINE", Engine(program.parent, preloaded))
    program.write_text("import os, sys; print(len(sys.argv), os.getcwd(), os.environ['HOME'])", encoding="utf-8")
    given = ["x" * 100_000] * (1 if preloaded else 2)
    count, folder, home = child.run(given, ROOMY, lambda folder: None).stdout.split()
    assert (int(count), folder) == (len(given) + 1, home)
