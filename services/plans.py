"""Reconciliations in preparation: what the wizard remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from recon_engine.errors import PlanError
from recon_engine.nway.any_plan import build_plan, parse_plan
from recon_engine.nway.plan_changes import with_cause
from recon_engine.plan import SIDES, Plan
from services.database.models import Job, PlanTemplate, Reconciliation, StoredFile, new_id
from services.errors import Conflict, Invalid, NotFound
from services.files import FileIds, find_file, listed
from services.fit import Drift, drift
from services.paging import Part, part_of
from services.permissions import Action, Actor, check
from services.reconciliations import PlanLike, find_reconciliation, named, valid_plan
from services.sides import EVERY, MOST_SIDES
from services.templates import SavedPlans

Step = Literal["upload", "map", "run", "results"]
MOST_FILES = 200


class PlanService(SavedPlans):
    """Use cases on reconciliations and saved plans. Each change is a row before the method returns."""

    def start(self, actor: Actor, name: str) -> Reconciliation:
        """Begin a reconciliation."""
        check(actor, Action.PLAN_EDIT)
        now = self._container.clock.now()
        reconciliation = Reconciliation(
            id=new_id(),
            workspace_id=actor.workspace_id,
            name=named(name),
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

    def list(self, actor: Actor, limit: int = 50, cursor: str | None = None) -> Part[Reconciliation]:
        """The reconciliations of the workspace, the last touched first."""
        check(actor, Action.PLAN_READ)
        mine = select(Reconciliation).where(Reconciliation.workspace_id == actor.workspace_id)
        with self._container.session() as session:
            return part_of(session, mine, (Reconciliation.updated_at, Reconciliation.id), limit, cursor)

    def rename(self, actor: Actor, reconciliation_id: str, name: str) -> Reconciliation:
        """Give it another name."""
        return self._change(actor, reconciliation_id, "reconciliation.rename", {"name": named(name)})

    def set_files(
        self,
        actor: Actor,
        reconciliation_id: str,
        left_file_id: FileIds | None = None,
        right_file_id: FileIds | None = None,
        **further: FileIds,
    ) -> Reconciliation:
        """Choose each side's file or files (None keeps the present ones, an empty list takes them away). Sides after
        the right one are `further` ones by their key, such as side_3.

        What was suggested for other files is forgotten.
        """
        given = {"left": left_file_id, "right": right_file_id, **further}
        chosen = {side: list(dict.fromkeys(listed(ids))) for side, ids in given.items() if ids is not None}
        with self._container.session() as session:
            for file_id in (one for ids in chosen.values() for one in ids):
                find_file(session, actor.workspace_id, file_id)

        def values(_session: Session, now: Reconciliation) -> dict[str, Any]:
            for side in chosen:
                _files_of(now, side)
            return _files_values(_files(now) | chosen)

        return self._change(actor, reconciliation_id, "reconciliation.files", values)

    def add_side(self, actor: Actor, reconciliation_id: str) -> Reconciliation:
        """Make room for the files of another side. Raises Invalid when there are as many as there can be."""

        def values(_session: Session, now: Reconciliation) -> dict[str, Any]:
            if len(now.sides) == MOST_SIDES:
                raise Invalid(f"A reconciliation has at most {MOST_SIDES} sides.")
            return _files_values({**_files(now), EVERY[len(now.sides)]: []})

        return self._change(actor, reconciliation_id, "reconciliation.side", values)

    def remove_side(self, actor: Actor, reconciliation_id: str, side: str) -> Reconciliation:
        """Take a further side off, with its files; those after it move up. Raises Invalid for the first two."""

        def values(_session: Session, now: Reconciliation) -> dict[str, Any]:
            if side in SIDES or side not in now.sides:
                raise Invalid("Only a side that was added can be taken off.")
            files = _files(now)
            del files[side]
            return _files_values(dict(zip(EVERY, files.values(), strict=False)))

        return self._change(actor, reconciliation_id, "reconciliation.side", values)

    def expect_file(self, actor: Actor, reconciliation_id: str, side: str) -> None:
        """Refuse before a file is taken in what `add_file` would refuse of any: raises NotFound, Invalid."""
        check(actor, Action.PLAN_EDIT)
        with self._container.session() as session:
            kept = find_reconciliation(session, actor.workspace_id, reconciliation_id)
        _files_values({side: [*_files_of(kept, side), "one more"]})

    def add_file(self, actor: Actor, reconciliation_id: str, side: str, file_id: str) -> Reconciliation:
        """Add a file to those of one side. One with the same content as one of them is left out: its rows would count
        twice.
        """
        check(actor, Action.PLAN_EDIT)
        with self._container.session() as session:
            file = find_file(session, actor.workspace_id, file_id)

        def values(session: Session, now: Reconciliation) -> dict[str, Any] | None:
            files, own = _files(now), _files_of(now, side)
            same = select(StoredFile.id).where(StoredFile.id.in_(own), StoredFile.sha256 == file.sha256)
            there = session.scalars(same).first()
            return None if there else _files_values(files | {side: [*own, file_id]})

        return self._change(actor, reconciliation_id, "reconciliation.files", values)

    def set_suggestion(self, actor: Actor, reconciliation_id: str, suggestion: dict[str, Any]) -> Reconciliation:
        """Keep what was suggested for the two files."""
        return self._change(actor, reconciliation_id, "reconciliation.suggestion", {"suggestion_json": suggestion})

    def set_plan(self, actor: Actor, reconciliation_id: str, plan: PlanLike) -> Reconciliation:
        """Keep the plan. Raises Invalid naming every mistake in it, and when it is of more or fewer sides."""
        model = valid_plan(plan)

        def values(_session: Session, now: Reconciliation) -> dict[str, Any]:
            if len(model.labels) != len(now.sides):
                raise Invalid(
                    f"The plan has {len(model.labels)} sides, this reconciliation has {len(now.sides)}: add or remove "
                    "sides on the Upload step."
                )
            return {"plan_json": model.to_data()}

        return self._change(actor, reconciliation_id, "reconciliation.plan", values)

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
        plan = build_plan((kept.plan_json if kept else None) or job.plan_json)
        try:
            mended = with_cause(plan, causes[number - 1])
        except PlanError as error:
            raise Conflict(
                f"The plan has this change already, or was edited so that it no longer fits: {error}."
            ) from error
        if kept is None:
            kept = self.start(actor, plan.name)
            for _ in job.sides[len(kept.sides) :]:
                self.add_side(actor, kept.id)
            kept = self.set_files(actor, kept.id, **{side: job.file_ids(side) for side in job.sides})
        values = {"plan_json": mended.to_data(), "step": "map"}
        return self._change(actor, kept.id, "reconciliation.cause", values, job=job_id, cause=number)

    def set_step(self, actor: Actor, reconciliation_id: str, step: Step) -> Reconciliation:
        """Remember where in the wizard the reconciliation is."""
        return self._change(actor, reconciliation_id, "reconciliation.step", {"step": step})

    def drift(self, actor: Actor, reconciliation_id: str) -> Sequence[Drift]:
        """How this reconciliation's files differ from those that its saved plan was made for."""
        kept = self.get(actor, reconciliation_id)
        plan = build_plan(kept.plan_json) if kept.template_id and kept.plan_json else None
        if not isinstance(plan, Plan):  # of more than two sides nothing is remembered
            return []
        with self._container.session() as session:
            template = session.get(PlanTemplate, kept.template_id)
        seen = (template.seen_json if template and template.workspace_id == actor.workspace_id else None) or {}
        return drift(plan, seen, self._files(actor, reconciliation_id))

    def apply_template(self, actor: Actor, template_id: str, reconciliation_id: str) -> Reconciliation:
        """Make a saved plan the plan of a reconciliation."""
        check(actor, Action.PLAN_EDIT)
        with self._container.session() as session:
            text = self._template(session, actor, template_id).yaml
        plan = parse_plan(text)

        def values(_session: Session, now: Reconciliation) -> dict[str, Any]:
            taken = {"plan_json": plan.to_data(), "template_id": template_id}
            if len(now.sides) == len(plan.labels):
                return taken
            # As many sides as the plan has, for files to come.
            return {**_files_values({side: now.file_ids(side) for side in EVERY[: len(plan.labels)]}), **taken}

        return self._change(actor, reconciliation_id, "reconciliation.plan", values)

    def _change(
        self,
        actor: Actor,
        reconciliation_id: str,
        action: str,
        given: dict[str, Any] | Callable[[Session, Reconciliation], dict[str, Any] | None],
        **detail: Any,
    ) -> Reconciliation:
        """Set these values; where they depend on what is there they may be None: nothing changes, nothing is noted."""
        check(actor, Action.PLAN_EDIT)
        with self._container.transaction() as session:
            reconciliation = find_reconciliation(session, actor.workspace_id, reconciliation_id)
            if callable(given):  # depends on what is there: two uploads may end at the same moment
                session.refresh(reconciliation, with_for_update=True)
            values = given(session, reconciliation) if callable(given) else given
            if values is None:
                return reconciliation
            for name, value in values.items():
                setattr(reconciliation, name, value)
            reconciliation.updated_at = self._container.clock.now()
            short = {name: value for name, value in values.items() if isinstance(value, str)}
            self._record(session, actor, action, reconciliation_id, **short, **detail)
        return reconciliation

    def _record(self, session: Session, actor: Actor, action: str, target_id: str, **detail: Any) -> None:
        self._container.audit.record(session, actor, action, "reconciliation", target_id, **detail)


def _files(kept: Reconciliation) -> dict[str, list[str]]:
    return {side: kept.file_ids(side) for side in kept.sides}


def _files_of(kept: Reconciliation, side: str) -> list[str]:
    """The files of one side. Raises NotFound."""
    if side not in kept.sides:
        raise NotFound(f"This reconciliation has no such side; it has {', '.join(kept.sides)}.")
    return kept.file_ids(side)


def _files_values(files: dict[str, list[str]]) -> dict[str, Any]:
    if any(len(ids) > MOST_FILES for ids in files.values()):
        raise Invalid(f"A side may have {MOST_FILES} files; join some of them before uploading.")
    first = {f"{side}_file_id": ids[0] if ids else None for side, ids in files.items() if side in SIDES}
    more = {side: ids[1:] if side in SIDES else ids for side, ids in files.items() if ids[1:] or side not in SIDES}
    return {**first, "more_files_json": more or None, "suggestion_json": None}
