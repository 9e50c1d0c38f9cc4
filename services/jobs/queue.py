"""The queue as people see it: launch, watch, cancel. A job is a row, committed before the person is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import structlog
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from recon_engine.execution.estimate import Estimate, estimate_of
from recon_engine.nway.any_plan import AnyPlan
from recon_engine.nway.plan import SidesPlan
from services import logs
from services.crash_points import reach
from services.database.models import Job, StoredFile, new_id
from services.errors import Conflict, Invalid, NotFound
from services.files import FileIds, find_file, listed
from services.limits import Limited
from services.paging import Part, part_of
from services.permissions import Action, Actor, check
from services.reconciliations import PlanLike, find_reconciliation, valid_plan
from services.sides import EVERY, by_name

if TYPE_CHECKING:
    from services.container import Container

_log = structlog.get_logger(__name__)
Status = Literal["queued", "running", "cancelling", "paused", "succeeded", "failed", "cancelled"]
UNDER_WAY = ("queued", "running", "cancelling", "paused")
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class JobQueue:
    """Use cases on jobs. Every method takes the person who asks and sees only that person's workspace."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def launch(
        self,
        actor: Actor,
        reconciliation_id: str | None,
        plan: PlanLike,
        left_file_id: FileIds,
        right_file_id: FileIds,
        job_id: str | None = None,
        further: Sequence[FileIds] = (),
    ) -> Job:
        """Accept a run of the plan on the file or files of each side, under the id that was chosen for it, if any.

        `further`: those of the sides after the first two, in the order of the plan.

        Once this returns, the job will end, whatever is restarted.

        Raises Invalid for a wrong plan or a refused file, Conflict when the reconciliation has a run under way.
        """
        check(actor, Action.JOB_LAUNCH)
        self._container.limits.hit(Limited.JOB_START, actor)
        model = valid_plan(plan)
        now = self._container.clock.now()
        with self._container.transaction() as session:
            sides = [
                [_readable(session, actor, one) for one in listed(given)]
                for given in (left_file_id, right_file_id, *further)
            ]
            files = _of_sides(model, sides)
            if not all(sides):
                raise Invalid("Each side needs a file.")
            left, right, *others = [[file.id for file in side] for side in sides]
            more = {side: ids[1:] for side, ids in (("left", left), ("right", right)) if ids[1:]}
            more |= dict(zip(EVERY[2:], others, strict=False))
            job = Job(
                id=job_id or new_id(),
                workspace_id=actor.workspace_id,
                reconciliation_id=reconciliation_id,
                plan_json=as_read(model, files).to_data(),
                left_file_id=left[0],
                right_file_id=right[0],
                more_files_json=more or None,
                status="queued",
                priority=0,
                attempts=0,
                max_attempts=self._container.settings.job_max_attempts,
                created_by=actor.account_id,
                request_id=logs.current("request"),
                created_at=now,
            )
            if reconciliation_id is not None:
                reconciliation = find_reconciliation(session, actor.workspace_id, reconciliation_id)
                session.refresh(reconciliation, with_for_update=True)
                current = session.get(Job, reconciliation.current_job_id) if reconciliation.current_job_id else None
                if current is not None and current.status not in ENDED:
                    raise Conflict("This reconciliation is running already; wait for it or cancel it first.")
                reconciliation.current_job_id, reconciliation.step, reconciliation.updated_at = job.id, "run", now
            session.add(job)
            session.flush()
            hashes = {f"{side}_sha256": ",".join(f.sha256 for f in own) for side, own in files.items()}
            self._container.audit.record(
                session, actor, Action.JOB_LAUNCH, "job", job.id, reconciliation_id=reconciliation_id, files=hashes
            )
        reach("job accepted")
        _log.info("job accepted", job=job.id)
        return job

    def estimate(
        self,
        actor: Actor,
        plan: PlanLike,
        left_file_id: FileIds,
        right_file_id: FileIds,
        further: Sequence[FileIds] = (),
    ) -> Estimate | None:
        """What a run would need, by the rows that the files' profiles counted; None while a file has no profile.

        Of several sides, rows are those of the first one and of all others.
        """
        check(actor, Action.JOB_READ)
        model = valid_plan(plan)
        with self._container.session() as session:
            sides = [
                [find_file(session, actor.workspace_id, one) for one in listed(given)]
                for given in (left_file_id, right_file_id, *further)
            ]
        if not all(file.profile_json for files in sides for file in files):
            return None
        first, *others = (sum(int((file.profile_json or {})["rows"]) for file in files) for files in sides)
        memory = self._container.settings.job_memory_mb << 20
        # All sides are held at once; the one that most rules look at says how much a row takes.
        plans = [model.side_plan(name) for name in model.labels] if isinstance(model, SidesPlan) else [model]
        found = [estimate_of(plan, {"left": first, "right": sum(others)}, memory) for plan in plans]
        return max(found, key=lambda one: one.memory_bytes)

    def get(self, actor: Actor, job_id: str) -> Job:
        """One job, as it stands now. Raises NotFound."""
        check(actor, Action.JOB_READ)
        with self._container.session() as session:
            return find_job(session, actor.workspace_id, job_id)

    def list(
        self, actor: Actor, limit: int = 50, reconciliation_id: str | None = None, cursor: str | None = None
    ) -> Part[Job]:
        """The newest jobs of the workspace, or of one reconciliation."""
        check(actor, Action.JOB_READ)
        chosen = select(Job).where(Job.workspace_id == actor.workspace_id)
        if reconciliation_id is not None:
            chosen = chosen.where(Job.reconciliation_id == reconciliation_id)
        with self._container.session() as session:
            return part_of(session, chosen, (Job.created_at, Job.id), limit, cursor)

    def counts(self, actor: Actor) -> dict[str, int]:
        """How many jobs the workspace has in each status."""
        check(actor, Action.JOB_READ)
        grouped = select(Job.status, func.count()).where(Job.workspace_id == actor.workspace_id).group_by(Job.status)
        with self._container.session() as session:
            return dict(session.execute(grouped).all())

    def cancel(self, actor: Actor, job_id: str) -> Job:
        """End the job: at once when it waits, within a moment when it runs. Raises Conflict when it has ended."""
        check(actor, Action.JOB_CANCEL)
        with self._container.transaction() as session:
            job = find_job(session, actor.workspace_id, job_id)
            session.refresh(job, with_for_update=True)
            if job.status in ENDED:
                raise Conflict(f"The run has ended already: {job.status}.")
            if job.status in ("queued", "paused"):
                job.status, job.finished_at = "cancelled", self._container.clock.now()
            else:
                job.status = "cancelling"
            self._container.audit.record(session, actor, Action.JOB_CANCEL, "job", job.id)
        return job

    def under_way(self, actor: Actor, limit: int = 20) -> Sequence[Job]:
        """The jobs that have not ended, the oldest first."""
        check(actor, Action.JOB_READ)
        mine = select(Job).where(Job.workspace_id == actor.workspace_id, Job.status.in_(UNDER_WAY))
        with self._container.session() as session:
            return session.scalars(mine.order_by(Job.created_at).limit(limit)).all()

    def pause(self, actor: Actor, job_id: str) -> Job:
        """Hold the job until it is resumed; one that runs is taken from its worker, and begins anew then.

        The worker learns of it as of a lost lease: it ends the child at its next heartbeat. Raises Conflict.
        """
        check(actor, Action.JOB_PAUSE)
        with self._container.transaction() as session:
            job = find_job(session, actor.workspace_id, job_id)
            session.refresh(job, with_for_update=True)
            if job.status not in ("queued", "running"):
                raise Conflict(f"Only a run that waits or runs can be paused; this one is {job.status}.")
            if job.status == "running":
                job.max_attempts += 1  # this attempt does not count
            job.status, job.owner, job.lease_until, job.progress_json = "paused", None, None, None
            self._container.audit.record(session, actor, Action.JOB_PAUSE, "job", job.id)
        return job

    def resume(self, actor: Actor, job_id: str) -> Job:
        """Put a paused job back into the queue, at its old place. Raises Conflict."""
        check(actor, Action.JOB_PAUSE)
        with self._container.transaction() as session:
            job = find_job(session, actor.workspace_id, job_id)
            session.refresh(job, with_for_update=True)
            if job.status != "paused":
                raise Conflict(f"Only a paused run can be resumed; this one is {job.status}.")
            job.status = "queued"
            self._container.audit.record(session, actor, "job.resume", "job", job.id)
        return job


def find_job(session: Session, workspace_id: str, job_id: str) -> Job:
    """The workspace's job. Raises NotFound."""
    job = session.get(Job, job_id)
    if job is None or job.workspace_id != workspace_id:
        raise NotFound("There is no such run.")
    return job


def _readable(session: Session, actor: Actor, file_id: str) -> StoredFile:
    file = find_file(session, actor.workspace_id, file_id)
    if file.status == "refused":
        raise Invalid(f"{file.name} cannot be read: {file.refusal}")
    return file


def _of_sides(plan: AnyPlan, files: Sequence[Sequence[StoredFile]]) -> dict[str, Sequence[StoredFile]]:
    """The files of each side by its name. Raises Invalid when the plan has more or fewer sides."""
    if len(files) != len(plan.labels):
        told = ", ".join(plan.labels.values())
        raise Invalid(
            f"The plan has {len(plan.labels)} sides ({told}), the files are of {len(files)}: open the Map step."
        )
    return by_name(plan, files)


def as_read(plan: AnyPlan, files: Mapping[str, Sequence[StoredFile]]) -> AnyPlan:
    """The plan with the files' names, and their reading options wherever the plan itself says nothing.

    Raises Invalid when the files of one side are read in different ways.
    """
    sides: dict[str, Any] = {}
    for name, own in files.items():
        side: Any = plan.side(name)  # type: ignore[arg-type]
        said, options = side.model_dump(exclude_defaults=True), own[0].options_json
        other = next((file for file in own if file.options_json != options), None)
        if other is not None:
            raise Invalid(
                f"{own[0].name} and {other.name} are read in different ways, but one side is read in one way; "
                "choose the same under 'Read it differently' for both."
            )
        made = {"combined": {**options.get("combined", {}), **said.get("combined", {})}}
        try:
            sides[name] = type(side).model_validate({**options, **said, **made, "files": tuple(f.name for f in own)})
        except ValidationError as error:  # each may be right alone: together they make too many columns
            raise Invalid(f"{plan.labels[name]}: {error.errors()[0]['msg']}.") from error
    return plan.model_copy(update={"sides": tuple(sides.values())} if isinstance(plan, SidesPlan) else sides)
