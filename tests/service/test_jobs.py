"""The queue: acceptance, leases, fencing, cancellation, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from services import logs
from services.clock import FakeClock
from services.container import Container, build_container
from services.database.models import AuditEntry
from services.errors import Conflict, Invalid, NotAllowed, NotFound
from services.jobs.leases import Leases, Outcome
from services.jobs.worker import Worker
from services.leases import Lease
from services.permissions import Actor, Role
from services.settings import Settings
from tests.service.conftest import PASSWORD
from tests.work import PLAN, WrongClock, launch, upload_pair

DONE = Outcome("succeeded", 1, None, {"conserved": True}, "results/x/1")


@pytest.fixture
def leases(container: Container) -> Leases:
    """The workers' side of the queue."""
    return Leases(container)


def claimed(leases: Leases, owner: str = "w1") -> Lease:
    """The lease of the next job."""
    taken = leases.claim(owner)
    assert taken is not None
    return taken[0]


def noted(container: Container, action: str) -> int:
    """How often the audit trail notes the action."""
    with container.session() as session:
        return session.scalar(select(func.count()).where(AuditEntry.action == action)) or 0


def test_a_launched_job_waits_and_is_claimed_once(container: Container, admin: Actor, leases: Leases) -> None:
    """Two workers that ask at the same moment never get the same job; the older job goes first."""
    pair = upload_pair(container, admin)
    jobs = [launch(container, admin, pair).id for _ in range(6)]
    with ThreadPoolExecutor(4) as pool:
        taken = [t for t in pool.map(lambda n: leases.claim(f"w{n}"), range(12)) if t is not None]
    assert sorted(lease.id for lease, _ in taken) == sorted(jobs)
    assert {job.status for job in container.jobs.list(admin)} == {"running"}


def test_a_finished_job_ends_once(container: Container, admin: Actor, leases: Leases) -> None:
    """Finishing ends the job with its result and its audit entry; finishing again is refused and changes nothing."""
    job = launch(container, admin)
    lease = claimed(leases)
    assert leases.finish(lease, DONE) == "succeeded"
    assert leases.finish(lease, Outcome("failed", 3, "late")) is None
    now = container.jobs.get(admin, job.id)
    assert (now.status, now.error, now.result_prefix, now.owner) == ("succeeded", None, "results/x/1", None)
    assert noted(container, "job.succeeded") == 1
    assert noted(container, "job.failed") == 0


@pytest.mark.parametrize("owners", [("w1", "w2"), ("w1", "w1")], ids=["another worker", "the same worker"])
def test_a_late_finish_is_refused(
    container: Container, admin: Actor, leases: Leases, clock: FakeClock, owners: tuple[str, str]
) -> None:
    """A worker that slept past its lease cannot beat, finish, release or retry the job that another attempt holds."""
    pair = upload_pair(container, admin)
    for round_number in range(1, 11):
        job = launch(container, admin, pair)
        late = claimed(leases, owners[0])
        clock.advance(seconds=container.settings.job_lease_seconds + 1)
        assert leases.take_back_expired() == 1
        lease = claimed(leases, owners[1])
        assert leases.beat(late, {"stage": "match"}) is None
        assert leases.finish(late, DONE) is None
        assert not leases.retry(late, "late")
        leases.release(late)
        assert leases.status(lease) == "running"
        assert leases.finish(lease, DONE) == "succeeded"
        assert container.jobs.get(admin, job.id).attempts == 2
        assert noted(container, "job.succeeded") == round_number


def test_a_beat_keeps_the_lease(container: Container, admin: Actor, leases: Leases, clock: FakeClock) -> None:
    """A job whose worker beats is not taken back; the progress is recorded."""
    job = launch(container, admin)
    lease = claimed(leases)
    for _ in range(5):
        clock.advance(seconds=container.settings.job_lease_seconds - 1)
        assert leases.take_back_expired() == 0
        assert leases.beat(lease, {"stage": "match"}) == "running"
    assert container.jobs.get(admin, job.id).progress_json == {"stage": "match"}


def test_a_job_whose_workers_keep_dying_fails(
    container: Container, admin: Actor, leases: Leases, clock: FakeClock
) -> None:
    """After the last attempt the job is failed, with a sentence that says why."""
    job = launch(container, admin)
    for _ in range(container.settings.job_max_attempts):
        claimed(leases)
        clock.advance(seconds=container.settings.job_lease_seconds + 1)
        leases.take_back_expired()
    now = container.jobs.get(admin, job.id)
    assert now.status == "failed"
    assert "given up after 3 attempts: its worker stopped answering" in str(now.error)
    assert leases.claim("w1") is None


def test_stopping_a_worker_costs_no_attempt(container: Container, admin: Actor, leases: Leases) -> None:
    """A job given back because its worker stops is claimed at once by another, however often that happens."""
    launch(container, admin)
    for _ in range(container.settings.job_max_attempts + 2):
        leases.release(claimed(leases))
    assert leases.status(claimed(leases)) == "running"


def test_a_retry_waits_a_moment(container: Container, admin: Actor, leases: Leases, clock: FakeClock) -> None:
    """A job whose process died is tried again, a little later."""
    launch(container, admin)
    leases.retry(claimed(leases), "its process was ended by signal 9")
    assert leases.claim("w1") is None
    clock.advance(seconds=2)
    assert claimed(leases).attempt == 2


def test_cancelling(container: Container, admin: Actor, leases: Leases) -> None:
    """A waiting job is cancelled at once; a running one ends cancelled even when its run was successful."""
    waiting = launch(container, admin)
    assert container.jobs.cancel(admin, waiting.id).status == "cancelled"
    with pytest.raises(Conflict, match="cancelled"):
        container.jobs.cancel(admin, waiting.id)
    running = launch(container, admin)
    lease = claimed(leases)
    assert container.jobs.cancel(admin, running.id).status == "cancelling"
    assert leases.beat(lease, None) == "cancelling"
    assert leases.finish(lease, DONE) == "cancelled"
    assert container.jobs.get(admin, running.id).result_prefix is None


def test_a_cancelled_job_of_a_dead_worker_ends(
    container: Container, admin: Actor, leases: Leases, clock: FakeClock
) -> None:
    """A job that is being cancelled when its worker dies ends cancelled, not run again."""
    job = launch(container, admin)
    claimed(leases)
    container.jobs.cancel(admin, job.id)
    clock.advance(seconds=container.settings.job_lease_seconds + 1)
    leases.take_back_expired()
    assert container.jobs.get(admin, job.id).status == "cancelled"


def test_one_run_at_a_time_for_a_reconciliation(container: Container, admin: Actor, leases: Leases) -> None:
    """A reconciliation that is running cannot be launched again; once it has ended it can, and shows its results."""
    started = container.plans.start(admin, "March")
    pair = upload_pair(container, admin)
    container.jobs.launch(admin, started.id, PLAN, *pair)
    with pytest.raises(Conflict, match="running already"):
        container.jobs.launch(admin, started.id, PLAN, *pair)
    leases.finish(claimed(leases), DONE)
    assert container.plans.get(admin, started.id).step == "results"
    again = container.jobs.launch(admin, started.id, PLAN, *pair)
    assert container.plans.get(admin, started.id).current_job_id == again.id


def test_what_cannot_run_is_not_accepted(container: Container, admin: Actor) -> None:
    """A wrong plan and an unknown file are refused with a sentence, and leave no job."""
    pair = upload_pair(container, admin)
    with pytest.raises(Invalid, match="rules"):
        container.jobs.launch(admin, None, {**PLAN, "rules": []}, *pair)
    with pytest.raises(NotFound, match="no such file"):
        container.jobs.launch(admin, None, PLAN, pair[0], "0" * 32)
    assert container.jobs.counts(admin) == {}


def test_roles_and_workspaces(container: Container, admin: Actor, actor_of: Callable[[Role], Actor]) -> None:
    """An auditor sees jobs and cannot launch or cancel them; another workspace sees nothing."""
    job = launch(container, admin)
    auditor = actor_of(Role.AUDITOR)
    assert container.jobs.get(auditor, job.id).id == job.id
    with pytest.raises(NotAllowed):
        launch(container, auditor)
    with pytest.raises(NotAllowed):
        container.jobs.cancel(auditor, job.id)
    stranger = Actor(admin.account_id, "0" * 32, "x@example.org", "X", Role.ADMIN, "s", "127.0.0.1")
    with pytest.raises(NotFound):
        container.jobs.get(stranger, job.id)
    assert list(container.jobs.list(stranger)) == []


def test_a_signal_may_stop_a_worker_at_any_moment(container: Container) -> None:
    """Asking a worker to stop waits for no lock: the interrupted thread may be holding it."""
    worker = Worker(container)
    asking = threading.Thread(target=worker.stop, daemon=True)
    with worker._stopping._cond:
        asking.start()
        asking.join(5)
        assert not asking.is_alive()
    worker.run()


def test_a_worker_runs_jobs_to_their_end(container: Container, admin: Actor) -> None:
    """A worker carries a job through: result stored, progress kept, nothing left in its work folder."""
    job = launch(container, admin)
    worker = Worker(container, poll_seconds=0.02)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        while (now := container.jobs.get(admin, job.id)).status in ("queued", "running"):
            thread.join(0.05)
    finally:
        worker.stop()
        thread.join()
    assert (now.status, now.error, now.exit_code) == ("succeeded", None, 1)
    assert now.summary_json is not None
    assert now.summary_json["conserved"] is True
    keys = list(container.storage.list(f"results/{job.id}"))
    assert f"{now.result_prefix}/matches.parquet" in keys
    assert list((container.settings.data_dir / "work").iterdir()) == []


@pytest.mark.parametrize("hours", [-1, 1])
def test_workers_whose_clocks_do_not_agree(settings: Settings, hours: float) -> None:
    """A machine whose clock is an hour wrong takes no job from a living worker, and takes those of a dead one in time.

    On SQLite there is one machine: its clock was set. The job is taken back, and the late worker is refused.
    """
    short = settings.model_copy(update={"job_lease_seconds": 2, "job_heartbeat_seconds": 1})
    right, wrong = build_container(short), build_container(short, WrongClock(hours))
    try:
        right.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
        token, _ = right.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")
        launch(right, right.sessions.resolve(token))
        first, second = Leases(right), Leases(wrong)
        lease = claimed(first)
        if settings.database_address.startswith("postgresql"):
            assert second.take_back_expired() == 0
            assert first.beat(lease, None) == "running"
            time.sleep(2.1)
        assert second.take_back_expired() == 1
        again = claimed(second, "w2")
        assert first.finish(lease, DONE) is None
        assert second.finish(again, DONE) == "succeeded"
    finally:
        right.close()
        wrong.close()


def test_workers_show_that_they_live(container: Container, clock: FakeClock) -> None:
    """A worker that beats is alive, one that is silent for a minute is not, and after an hour it is forgotten."""
    container.workers.beat("w1", slots=2, busy=1)
    clock.advance(seconds=50)
    container.workers.beat("w2", slots=2, busy=0)
    assert [(w.id, w.busy) for w in container.workers.all()] == [("w2", 0), ("w1", 1)]
    clock.advance(seconds=15)
    assert [w.id for w in container.workers.alive()] == ["w2"]
    clock.advance(minutes=60)
    container.workers.beat("w2", slots=2, busy=0)
    assert [w.id for w in container.workers.all()] == ["w2"]
    container.workers.leave("w2")
    assert container.workers.all() == []


def test_a_job_keeps_the_request_that_caused_it(container: Container, admin: Actor) -> None:
    """A run launched by a click or a call names it, so that the logs of both can be put together."""
    with logs.request() as request:
        job = launch(container, admin)
    assert container.jobs.get(admin, job.id).request_id == request
    assert launch(container, admin).request_id is None
