"""How a run ends, by how its process ended. The engine is replaced by a few lines of Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.clock import FakeClock
from services.container import Container
from services.database.models import Job
from services.jobs import processes
from services.jobs.leases import Leases
from services.jobs.processes import Engine
from services.jobs.run import Run
from services.permissions import Actor
from tests.work import launch

WRITES_RESULT = """
import pathlib
pathlib.Path("result").mkdir(); pathlib.Path("result/summary.json").write_text('{"conserved": true}')
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file whose code stands for the engine."""
    monkeypatch.setattr(processes, "ENGINE", Engine(tmp_path / "code", ()))
    (tmp_path / "code").mkdir()
    return tmp_path / "code" / "recon_engine.py"


def ran(container: Container, actor: Actor, folder: Path) -> Job:
    """Launch a job, carry it out once, and give it as it then stands."""
    job = launch(container, actor)
    leases = Leases(container)
    claimed = leases.claim("w1")
    assert claimed is not None
    Run(container, leases, *claimed, folder / "job").execute()
    assert not (folder / "job").exists()
    return container.jobs.get(actor, job.id)


@pytest.mark.parametrize(
    ("code", "status", "exit_code", "error"),
    [
        (WRITES_RESULT, "succeeded", 0, None),
        (WRITES_RESULT + "raise SystemExit(1)", "succeeded", 1, None),
        (
            "import sys; sys.exit('plan: no rule' and print('plan: no rule', file=sys.stderr) or 2)",
            "failed",
            2,
            "plan: no rule",
        ),
        ("raise ZeroDivisionError('secret value')", "failed", 1, "inside the product"),
        ("import os; os._exit(3)", "failed", 3, "inside the product"),
        ("x = bytearray(1 << 40)", "failed", 1, "more memory than the 4096 MB"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "failed", -24, "longer than the 3600 seconds"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "queued", None, None),
    ],
)
def test_each_way_of_ending(
    container: Container, admin: Actor, program: Path, tmp_path: Path,
    code: str, status: str, exit_code: int | None, error: str | None,
) -> None:  # fmt: skip
    """A result is stored, a mistake is told in a sentence, a limit by its name; a killed process is tried again."""
    program.write_text(code, encoding="utf-8")
    job = ran(container, admin, tmp_path)
    assert (job.status, job.exit_code) == (status, exit_code)
    assert (job.error is None) if error is None else (error in str(job.error))
    assert "secret" not in str(job.error)
    assert ("number" in str(job.error)) == (job.id in str(job.error)), "what an administrator is to be told is told"
    assert len(list(container.storage.list(f"results/{job.id}"))) == (status == "succeeded")


def test_what_does_not_fit_whole_runs_in_partitions(
    container: Container, admin: Actor, program: Path, tmp_path: Path
) -> None:
    """A run that asked for too much memory is run again in partitions, without a trace of the first try."""
    program.write_text(
        "import os, pathlib, sys\n"
        "if '--partitions' not in sys.argv:\n"
        "    pathlib.Path('result.partial').mkdir(); os.abort()\n"
        "assert not pathlib.Path('result.partial').exists()\n" + WRITES_RESULT,
        encoding="utf-8",
    )
    job = ran(container, admin, tmp_path)
    assert (job.status, job.attempts) == ("succeeded", 1)


def test_an_interrupted_run_stores_nothing(container: Container, admin: Actor, program: Path, tmp_path: Path) -> None:
    """A run that is cancelled ends its process and the job; nothing is stored."""
    program.write_text("import time; time.sleep(60)", encoding="utf-8")
    job = launch(container, admin)
    leases = Leases(container)
    claimed = leases.claim("w1")
    assert claimed is not None
    run = Run(container, leases, *claimed, tmp_path / "job")
    container.jobs.cancel(admin, job.id)
    run.interrupt("cancel")
    run.execute()
    assert container.jobs.get(admin, job.id).status == "cancelled"
    assert list(container.storage.list("results")) == []


def test_a_late_attempt_leaves_the_result_of_a_later_one(
    container: Container, admin: Actor, program: Path, tmp_path: Path, clock: FakeClock
) -> None:
    """An attempt that wakes up after another has ended the job is refused, and removes only what it stored itself."""
    program.write_text(WRITES_RESULT, encoding="utf-8")
    job = launch(container, admin)
    leases = Leases(container)
    runs = []
    for owner in ("w1", "w2"):
        claimed = leases.claim(owner)
        assert claimed is not None
        runs.append(Run(container, leases, *claimed, tmp_path / owner))
        clock.advance(seconds=container.settings.job_lease_seconds + 1)
        if owner == "w1":
            assert leases.take_back_expired() == 1
    for run in reversed(runs):
        run.execute()
    assert container.jobs.get(admin, job.id).result_prefix == f"results/{job.id}/2"
    assert list(container.storage.list(f"results/{job.id}")) == [f"results/{job.id}/2/summary.json"]
