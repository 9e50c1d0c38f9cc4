"""Reconciliations in preparation (what the wizard remembers) and saved plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from recon_engine.errors import PlanError
from recon_engine.plan import Plan
from recon_engine.plan_changes import changed
from services.database.models import Job, PlanTemplate, Reconciliation, new_id
from services.errors import Conflict, Invalid, NotFound
from services.files import find_file
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

Step = Literal["upload", "map", "run", "results"]
PlanLike = Plan | dict[str, Any]


class PlanService:
    """Use cases on reconciliations and saved plans. Each change is a row before the method returns."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def start(self, actor: Actor, name: str) -> Reconciliation:
        """Begin a reconciliation."""
        check(actor, Action.PLAN_EDIT)
        now = self._container.clock.now()
        reconciliation = Reconciliation(
            id=new_id(),
            workspace_id=actor.workspace_id,
            name=_named(name),
            created_by=actor.account_id,
            created_at=now,
            updated_at=now,
            step="upload",
        )
        with self._container.transaction() as session:
            session.add(reconciliation)
            session.flush()
            self._record(session, actor, "reconciliation.start", reconciliation.id, name=reconciliation.name)
        return reconciliation

    def get(self, actor: Actor, reconciliation_id: str) -> Reconciliation:
        """One reconciliation. Raises NotFound."""
        check(actor, Action.PLAN_READ)
        with self._container.session() as session:
            return find_reconciliation(session, actor.workspace_id, reconciliation_id)

    def list(self, actor: Actor, limit: int = 50) -> Sequence[Reconciliation]:
        """The reconciliations of the workspace, the last touched first."""
        check(actor, Action.PLAN_READ)
        mine = select(Reconciliation).where(Reconciliation.workspace_id == actor.workspace_id)
        with self._container.session() as session:
            return session.scalars(mine.order_by(Reconciliation.updated_at.desc()).limit(limit)).all()

    def rename(self, actor: Actor, reconciliation_id: str, name: str) -> Reconciliation:
        """Give it another name."""
        return self._change(actor, reconciliation_id, "reconciliation.rename", {"name": _named(name)})

    def set_files(
        self,
        actor: Actor,
        reconciliation_id: str,
        left_file_id: str | None = None,
        right_file_id: str | None = None,
    ) -> Reconciliation:
        """Choose the files (None keeps the present one). What was suggested for other files is forgotten."""
        given = {"left_file_id": left_file_id, "right_file_id": right_file_id}
        chosen = {side: file_id for side, file_id in given.items() if file_id is not None}
        with self._container.session() as session:
            for file_id in chosen.values():
                find_file(session, actor.workspace_id, file_id)
        return self._change(actor, reconciliation_id, "reconciliation.files", {**chosen, "suggestion_json": None})

    def set_suggestion(self, actor: Actor, reconciliation_id: str, suggestion: dict[str, Any]) -> Reconciliation:
        """Keep what was suggested for the two files."""
        return self._change(actor, reconciliation_id, "reconciliation.suggestion", {"suggestion_json": suggestion})

    def set_plan(self, actor: Actor, reconciliation_id: str, plan: PlanLike) -> Reconciliation:
        """Keep the plan. Raises Invalid naming every mistake in it."""
        data = valid_plan(plan).to_data()
        return self._change(actor, reconciliation_id, "reconciliation.plan", {"plan_json": data})

    def try_cause(self, actor: Actor, job_id: str, number: int) -> Reconciliation:
        """Take the change that cause `number` (from 1) of a run proposes into the plan, for the Map step to show.

        The plan as it is prepared now is changed, so that nothing edited since the run is lost; a run without a
        reconciliation gets one. Raises NotFound, and Conflict when the plan has it already or it no longer fits.
        """
        check(actor, Action.PLAN_EDIT)
        with self._container.session() as session:
            job = session.get(Job, job_id)
            if job is None or job.workspace_id != actor.workspace_id:
                raise NotFound("There is no such run.")
            causes = (job.summary_json or {}).get("causes", [])
            if not 1 <= number <= len(causes):
                raise NotFound(f"This run has no cause {number}; it has {len(causes)}.")
            kept = None if job.reconciliation_id is None else session.get(Reconciliation, job.reconciliation_id)
        plan = Plan.build((kept.plan_json if kept else None) or job.plan_json)
        try:
            mended = changed(plan, causes[number - 1]["change"])
        except PlanError as error:
            raise Conflict(
                f"The plan has this change already, or was edited so that it no longer fits: {error}."
            ) from error
        if kept is None:
            kept = self.set_files(actor, self.start(actor, plan.name).id, job.left_file_id, job.right_file_id)
        values = {"plan_json": mended.to_data(), "step": "map"}
        return self._change(actor, kept.id, "reconciliation.cause", values, job=job_id, cause=number)

    def set_step(self, actor: Actor, reconciliation_id: str, step: Step) -> Reconciliation:
        """Remember where in the wizard the reconciliation is."""
        return self._change(actor, reconciliation_id, "reconciliation.step", {"step": step})

    def save_template(self, actor: Actor, name: str, plan: PlanLike) -> PlanTemplate:
        """Save a plan for later files; a plan of the same name is replaced."""
        check(actor, Action.PLAN_EDIT)
        now, name = self._container.clock.now(), _named(name)
        text = valid_plan(plan).with_files(left=[], right=[]).to_yaml()
        same = select(PlanTemplate).where(
            PlanTemplate.workspace_id == actor.workspace_id, PlanTemplate.name == name, ~PlanTemplate.archived
        )
        with self._container.transaction() as session:
            template = session.scalars(same).first()
            if template is None:
                template = PlanTemplate(
                    id=new_id(),
                    workspace_id=actor.workspace_id,
                    name=name,
                    created_by=actor.account_id,
                    created_at=now,
                    archived=False,
                )
                session.add(template)
            template.yaml, template.updated_at = text, now
            session.flush()
            self._container.audit.record(session, actor, "plan.save", "plan", template.id, name=name)
        return template

    def templates(self, actor: Actor) -> Sequence[PlanTemplate]:
        """The saved plans of the workspace, by name."""
        check(actor, Action.PLAN_READ)
        mine = select(PlanTemplate).where(PlanTemplate.workspace_id == actor.workspace_id, ~PlanTemplate.archived)
        with self._container.session() as session:
            return session.scalars(mine.order_by(PlanTemplate.name)).all()

    def apply_template(self, actor: Actor, template_id: str, reconciliation_id: str) -> Reconciliation:
        """Make a saved plan the plan of a reconciliation."""
        check(actor, Action.PLAN_EDIT)
        with self._container.session() as session:
            text = self._template(session, actor, template_id).yaml
        return self.set_plan(actor, reconciliation_id, Plan.parse(text))

    def archive_template(self, actor: Actor, template_id: str) -> None:
        """Take a saved plan off the list."""
        check(actor, Action.PLAN_EDIT)
        with self._container.transaction() as session:
            self._template(session, actor, template_id).archived = True
            self._container.audit.record(session, actor, "plan.archive", "plan", template_id)

    def _template(self, session: Session, actor: Actor, template_id: str) -> PlanTemplate:
        template = session.get(PlanTemplate, template_id)
        if template is None or template.workspace_id != actor.workspace_id or template.archived:
            raise NotFound("There is no such saved plan.")
        return template

    def _change(
        self, actor: Actor, reconciliation_id: str, action: str, values: dict[str, Any], **detail: Any
    ) -> Reconciliation:
        check(actor, Action.PLAN_EDIT)
        with self._container.transaction() as session:
            reconciliation = find_reconciliation(session, actor.workspace_id, reconciliation_id)
            for name, value in values.items():
                setattr(reconciliation, name, value)
            reconciliation.updated_at = self._container.clock.now()
            short = {name: value for name, value in values.items() if isinstance(value, str)}
            self._record(session, actor, action, reconciliation_id, **short, **detail)
        return reconciliation

    def _record(self, session: Session, actor: Actor, action: str, target_id: str, **detail: Any) -> None:
        self._container.audit.record(session, actor, action, "reconciliation", target_id, **detail)


def find_reconciliation(session: Session, workspace_id: str, reconciliation_id: str) -> Reconciliation:
    """The workspace's reconciliation. Raises NotFound."""
    reconciliation = session.get(Reconciliation, reconciliation_id)
    if reconciliation is None or reconciliation.workspace_id != workspace_id:
        raise NotFound("There is no such reconciliation; start a new one.")
    return reconciliation


def valid_plan(plan: PlanLike) -> Plan:
    """The plan as a model. Raises Invalid naming every mistake."""
    if isinstance(plan, Plan):
        return plan
    try:
        return Plan.build(plan)
    except PlanError as error:
        raise Invalid(str(error)) from error


def _named(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise Invalid("Please give it a name.")
    return name[:200]
