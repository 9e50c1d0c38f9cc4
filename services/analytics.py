"""The dashboard's numbers: what the workspace runs, how much of it matches, and why the rest does not."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import func, select

from services.database.models import Job, Reconciliation
from services.limits import Limited
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

RUNS = 200  # the newest; older ones no longer say how things are
RECENT = 20
FRESH_SECONDS = 30


class AnalyticsService:
    """Use cases on numbers. Every method takes the person who asks and sees only that person's workspace."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def dashboard(self, actor: Actor) -> dict[str, Any]:
        """`jobs` by status; `recent` runs; `volumes` by day; `breaks` by category, over the newest 200 runs.

        At most half a minute old.
        """
        check(actor, Action.ANALYTICS_READ)
        self._container.limits.hit(Limited.ANALYTICS, actor)
        key = ("dashboard", actor.workspace_id)
        found = self._container.cache.get_json(key, FRESH_SECONDS, lambda: self._read(actor.workspace_id))
        return cast("dict[str, Any]", found)

    def _read(self, workspace_id: str) -> dict[str, Any]:
        newest = (
            select(
                Job.id,
                Reconciliation.name,
                Job.status,
                Job.created_at,
                Job.started_at,
                Job.finished_at,
                Job.summary_json,
            )
            .outerjoin(Reconciliation, Reconciliation.id == Job.reconciliation_id)
            .where(Job.workspace_id == workspace_id)
            .order_by(Job.created_at.desc())
            .limit(RUNS)
        )  # fmt: skip
        counted = select(Job.status, func.count()).where(Job.workspace_id == workspace_id).group_by(Job.status)
        with self._container.session() as session:
            runs = [_run(*row) for row in session.execute(newest)]
            jobs = {status: count for status, count in session.execute(counted)}  # noqa: C416 - rows are no pairs
        days: dict[str, Counter[str]] = {}
        breaks: Counter[str] = Counter()
        for run in runs:
            day = days.setdefault(run["created_at"][:10], Counter(runs=0, rows=0, breaks=0))
            day.update(runs=1, rows=run["rows"] or 0, breaks=run["breaks"] or 0)
            breaks.update(run.pop("categories"))
        volumes = [{"day": day, **days[day]} for day in sorted(days)]
        return {"jobs": jobs, "recent": runs[:RECENT], "volumes": volumes, "breaks": dict(breaks.most_common())}


def _run(
    job_id: str, name: str | None, status: str, created: datetime, started: datetime | None, finished: datetime | None,
    summary: dict[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """One run in a line. `match_rate` is the share of all rows read that were matched, None without a result."""
    sides = list(summary["rows"].values()) if summary else []
    read = sum(side["read"] for side in sides)
    matched = sum(side["matched"] for side in sides)
    return {
        "job_id": job_id,
        "reconciliation": name,
        "status": status,
        "created_at": created.isoformat(),
        "seconds": round((finished - started).total_seconds(), 1) if started and finished else None,
        "rows": read if summary else None,
        "breaks": sum(side["breaks"] for side in sides) if summary else None,
        "match_rate": round(matched / read, 4) if read else None,
        "categories": summary["breaks"] if summary else {},
    }
