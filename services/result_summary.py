"""What a result's summary tells: gathered here, printed by services/result_pdf.py and result_workbook.py."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from recon_engine.nway.any_plan import AnyPlan, build_plan
from recon_engine.nway.plan import SidesPlan
from services.database.models import Account, Job, Reconciliation

if TYPE_CHECKING:
    from services.container import Container
    from services.reviews import Standing


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that went into the run."""

    side: str
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is printed. Nothing of it changes once the run has ended, but the names of people and, where they
    are told, their decisions.
    """

    title: str
    job_id: str
    plan: AnyPlan
    plan_hash: str
    summary: dict[str, Any]
    figures: dict[str, Any]
    files: list[InputFile]
    ran_by: str
    ran_at: datetime
    engine: str
    manifest_hash: str
    review: Standing | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What the plan calls the sides."""
        return self.plan.labels

    @property
    def several(self) -> bool:
        """Whether there are more than two sides, by names of their own."""
        return isinstance(self.plan, SidesPlan)


def gather(container: Container, job: Job, figures: dict[str, Any]) -> Facts:
    """The facts of a run with a result, from its row, its manifest and the people's names."""
    with container.storage.open(f"{job.result_prefix}/manifest.json") as file:
        text = file.read()
    manifest = json.loads(text)
    plan = build_plan(job.plan_json)
    with container.session() as session:
        person = session.get(Account, job.created_by)
        reconciliation = session.get(Reconciliation, job.reconciliation_id) if job.reconciliation_id else None
    return Facts(
        title=reconciliation.name if reconciliation else str(job.plan_json["name"]),
        job_id=job.id,
        plan=plan,
        plan_hash=manifest["plan"]["sha256"],
        summary=dict(job.summary_json or {}),
        figures=figures,
        files=[
            InputFile(side, PurePath(one["file"]).name, int(one["bytes"]), one["sha256"])
            for side in plan.labels
            for one in manifest["inputs"][side]
        ],
        ran_by=f"{person.name}, {person.email}" if person else "a person who has no account any more",
        ran_at=job.finished_at or job.created_at,
        engine=manifest["engine"]["version"],
        manifest_hash=hashlib.sha256(text).hexdigest(),
    )
