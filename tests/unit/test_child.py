"""Limited child processes. The engine is replaced by a few lines of Python, to show each way of ending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from services.jobs import child, processes
from services.jobs.child import Child, Ended, Limits
from services.jobs.processes import Engine

ROOMY = Limits(memory_mb=1024, cpu_seconds=30)


@pytest.fixture(params=["forked", "executed"])
def program(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file whose code the children run; they are started in each way that there is."""
    if request.param == "executed":
        monkeypatch.setattr(processes, "_CAN_FORK", False)
    monkeypatch.setattr(processes, "ENGINE", Engine(tmp_path / "code", ()))
    (tmp_path / "code").mkdir()
    return tmp_path / "code" / "recon_engine.py"


def ended(program: Path, code: str, limits: Limits = ROOMY) -> Ended:
    """Run the code as a child to its end."""
    program.write_text(textwrap.dedent(code), encoding="utf-8")
    return child.run([], limits, lambda folder: None)


def test_memory_beyond_the_limit_is_named(program: Path) -> None:
    """A child that asks for more memory than allowed ends, and the limit is told."""
    end = ended(program, "x = bytearray(2 << 30)")
    assert end.code != 0
    assert end.out_of_memory
    assert "more memory than the 1024 MB" in str(end.exceeded(ROOMY))


def test_a_file_that_is_mapped_is_no_memory(program: Path, tmp_path: Path) -> None:
    """Files are larger than the limit: they are looked at through a map."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(3 << 30)
    code = f"""
        import mmap
        with open({str(tmp_path / "large")!r}, "rb") as file:
            print(len(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) >> 30)
        """
    assert ended(program, code).stdout.strip() == "3"


def test_an_abort_is_told_as_memory(program: Path) -> None:
    """A native library that aborts, as readers do when an allocation fails, is told as memory."""
    assert ended(program, "import os; os.abort()").out_of_memory


@pytest.mark.parametrize(
    "said", ["RuntimeError: can't start new thread", "OpenBLAS error: Memory allocation still failed after 10 retries"]
)
def test_no_room_for_a_stack_or_a_library_is_told_as_memory(program: Path, said: str) -> None:
    """So a very low limit ends a run before the first row is read."""
    assert ended(program, f"import sys; sys.exit({said!r})").out_of_memory


@pytest.mark.slow
def test_processor_time_beyond_the_limit_is_named(program: Path) -> None:
    """A child that computes for longer than allowed is ended by the kernel."""
    limits = Limits(memory_mb=1024, cpu_seconds=1)
    end = ended(program, "while True: pass", limits)
    assert end.code == -signal.SIGXCPU
    assert "longer than the 1 seconds" in str(end.exceeded(limits))


def test_wall_time_beyond_the_limit_is_named(program: Path) -> None:
    """A child that sleeps for longer than allowed is ended."""
    limits = Limits(memory_mb=1024, cpu_seconds=5, wall_seconds=0.3)
    end = ended(program, "import time; time.sleep(60)", limits)
    assert end.timed_out
    assert "longer than the 0.3 seconds" in str(end.exceeded(limits))


def test_the_environment_holds_no_secrets(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's own variables do not reach a child; stdin is closed, the folder is its own."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:canary@host/db")  # pragma: allowlist secret
    end = ended(program, "import os, sys; print(dict(os.environ), repr(sys.stdin.read()), os.getcwd())")
    assert end.code == 0
    assert "canary" not in end.stdout
    assert "''" in end.stdout


def test_the_last_line_on_stderr_is_the_sentence(program: Path) -> None:
    """What the engine says last is what people are told; its exit code is kept."""
    end = ended(program, "import sys; print('a\\nplan: no rule', file=sys.stderr); sys.exit(2)")
    assert (end.code, end.sentence, end.exceeded(ROOMY)) == (2, "plan: no rule", None)


def test_a_child_that_ignores_sigterm_is_killed_with_its_children(program: Path, tmp_path: Path) -> None:
    """Ending a child kills its whole process group after the grace time."""
    program.write_text(
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(p.pid, flush=True); p.wait()\n",
        encoding="utf-8",
    )
    running = Child([], tmp_path, ROOMY)
    lines: list[str] = []
    while not lines:
        assert not running.wait(0.02)
        lines = running.new_lines()
    running.end(grace_seconds=0.1)
    assert running.result().code == -signal.SIGKILL
    deadline = time.monotonic() + 5  # the kernel takes a moment to bury a grandchild
    while psutil.pid_exists(int(lines[0])) and psutil.Process(int(lines[0])).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ties children to parents on Linux only")
def test_a_child_dies_with_its_parent(program: Path, tmp_path: Path) -> None:
    """When the process that started a child is killed, the child does not live on."""
    program.write_text("import time; time.sleep(60)", encoding="utf-8")
    root = Path(__file__).parents[2]
    starter = (
        "import time; from pathlib import Path; from services.jobs import child, processes\n"
        f"processes.ENGINE = processes.Engine(Path({str(tmp_path / 'code')!r}), ())\n"
        f"running = child.Child([], Path({str(tmp_path)!r}), child.Limits(1024, 30)); print(running.pid, flush=True); "
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
