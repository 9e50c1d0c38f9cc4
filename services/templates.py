"""Saved plans and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from recon_engine.nway.any_plan import AnyPlan, parse_plan
from recon_engine.plan import SIDES, SideName
from services.database.engine import serialise
from services.database.models import PlanTemplate, StoredFile, new_id
from services.errors import Conflict, NotFound
from services.files import find_file
from services.fit import seen_in
from services.paging import Part, part_of
from services.permissions import Action, Actor, check
from services.reconciliations import PlanLike, find_reconciliation, named, valid_plan
from services.sides import with_files

if TYPE_CHECKING:
    from services.container import Container

MOST_VERSIONS = 50


class SavedPlans:
    """Use cases on saved plans. Each change is a row before the method returns."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def templates(self, actor: Actor, limit: int | None = None, cursor: str | None = None) -> Part[PlanTemplate]:
        """The saved plans of the workspace by name, all of them if there is no limit."""
        check(actor, Action.PLAN_READ)
        mine = select(PlanTemplate).where(PlanTemplate.workspace_id == actor.workspace_id, ~PlanTemplate.archived)
        with self._container.session() as session:
            return part_of(session, mine, (PlanTemplate.name, PlanTemplate.id), limit, cursor, newest_first=False)

    def save_template(
        self, actor: Actor, name: str, plan: PlanLike, reconciliation_id: str | None = None
    ) -> PlanTemplate:
        """Save a plan for later files; under the name of a saved one it becomes that plan's next version.

        With a reconciliation, how its files look now is remembered: later files are compared with them.
        """
        check(actor, Action.PLAN_EDIT)
        now, name = self._container.clock.now(), named(name)
        model = valid_plan(plan)
        text = with_files(model, {side: [] for side in model.labels}).to_yaml()
        seen = seen_in(self._files(actor, reconciliation_id)) if reconciliation_id else None
        same = select(PlanTemplate).where(
            PlanTemplate.workspace_id == actor.workspace_id, PlanTemplate.name == name, ~PlanTemplate.archived
        )
        with self._container.transaction() as session:
            serialise(session, f"plans of {actor.workspace_id}")  # two of one name would be two plans
            template = session.scalars(same).first()
            if template is None:
                template = PlanTemplate(
                    id=new_id(),
                    workspace_id=actor.workspace_id,
                    name=name,
                    version=1,
                    created_by=actor.account_id,
                    created_at=now,
                    archived=False,
                )
                session.add(template)
            elif template.yaml != text:
                template.earlier_json = {"versions": _with_version(template)}
                template.version += 1
            template.yaml, template.updated_at = text, now
            template.seen_json = seen or template.seen_json
            session.flush()
            self._container.audit.record(
                session, actor, "plan.save", "plan", template.id, name=name, version=template.version
            )
        return template

    def clone_template(self, actor: Actor, template_id: str, name: str) -> PlanTemplate:
        """Save a copy under another name. Raises Conflict when a plan is called so already."""
        check(actor, Action.PLAN_EDIT)
        with self._container.session() as session:
            template = self._template(session, actor, template_id)
        if any(other.name == named(name) for other in self.templates(actor)):
            raise Conflict(f"A plan called '{named(name)}' exists already; choose another name.")
        return self.save_template(actor, name, parse_plan(template.yaml))

    def template_version(self, actor: Actor, template_id: str, version: int) -> AnyPlan:
        """A saved plan as it was in one of its versions. Raises NotFound."""
        check(actor, Action.PLAN_READ)
        with self._container.session() as session:
            template = self._template(session, actor, template_id)
        texts = {one["version"]: one["yaml"] for one in versions(template)}
        if version not in texts:
            raise NotFound(f"'{template.name}' has no version {version}; it has {', '.join(map(str, texts))}.")
        return parse_plan(texts[version])

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

    def _files(self, actor: Actor, reconciliation_id: str) -> dict[SideName, Sequence[StoredFile]]:
        check(actor, Action.PLAN_READ)
        with self._container.session() as session:
            kept = find_reconciliation(session, actor.workspace_id, reconciliation_id)
            return {
                side: [find_file(session, actor.workspace_id, one) for one in kept.file_ids(side)] for side in SIDES
            }


def versions(template: PlanTemplate) -> list[dict[str, Any]]:
    """Every version of a saved plan with its text and moment, the newest first."""
    now = {"version": template.version, "yaml": template.yaml, "saved_at": template.updated_at.isoformat()}
    return [now, *reversed((template.earlier_json or {}).get("versions", []))]


def _with_version(template: PlanTemplate) -> list[dict[str, Any]]:
    """The earlier versions and the present one, oldest first; the last ones of many."""
    return versions(template)[MOST_VERSIONS - 1 :: -1]
