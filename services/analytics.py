"""The dashboard's numbers: what the workspace runs, how much of it matches, how long it takes, and what stays open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import func, select

from services.database.models import Account, Job, Reconciliation
from services.limits import Limited
from services.permissions import Action, Actor, check
from services.result_figures import AGE_LABELS
from services.storage.base import StorageAway

if TYPE_CHECKING:
    from services.container import Container

RUNS = 200  # the newest; older ones no longer say how things are
RECENT = 20
AGED = 20  # plans of which the open records' ages are added up
FRESH_SECONDS = 30

Run = dict[str, Any]


class AnalyticsService:
    """Use cases on numbers. Every method takes the person who asks and sees only that person's workspace."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def dashboard(self, actor: Actor) -> dict[str, Any]:
        """The workspace's newest 200 runs in numbers, at most half a minute old.

        `jobs` by status, of all runs; `recent` runs; `volumes` by day; `breaks` by category; `whole`, `plans` and
        `people`: runs, match rate and cycle time of all, by plan and by whoever started them; `ageing`: the records
        that the newest result of each plan leaves open, by their age.
        """
        check(actor, Action.ANALYTICS_READ)
        self._container.limits.hit(Limited.ANALYTICS, actor)
        key = ("dashboard", actor.workspace_id)
        found = self._container.cache.get_json(key, FRESH_SECONDS, lambda: self._read(actor))
        return cast("dict[str, Any]", found)

    def _read(self, actor: Actor) -> dict[str, Any]:
        mine = Job.workspace_id == actor.workspace_id
        newest = (
            select(
                Job.id.label("job_id"),
                Reconciliation.name.label("reconciliation"),
                Job.plan_json["name"].as_string().label("plan"),
                Account.name.label("person"),
                Job.status,
                Job.created_at,
                Job.started_at,
                Job.finished_at,
                Job.summary_json,
            )
            .outerjoin(Reconciliation, Reconciliation.id == Job.reconciliation_id)
            .join(Account, Account.id == Job.created_by)
            .where(mine)
            .order_by(Job.created_at.desc(), Job.id)
            .limit(RUNS)
        )  # fmt: skip
        counted = select(Job.status, func.count()).where(mine).group_by(Job.status)
        with self._container.session() as session:
            runs = [_run(**row) for row in session.execute(newest).mappings()]
            jobs = {status: count for status, count in session.execute(counted)}  # noqa: C416 - rows are no pairs
        days: dict[str, Counter[str]] = {}
        breaks: Counter[str] = Counter()
        for run in runs:
            day = days.setdefault(run["created_at"][:10], Counter(runs=0, rows=0, breaks=0))
            day.update(runs=1, rows=run["rows"] or 0, breaks=run["breaks"] or 0)
            breaks.update(run.pop("categories"))
        plans = _grouped(runs, "plan")
        latest = [next((run for run in group if run["rows"] is not None), None) for group in plans.values()]
        ageing = self._ageing(actor, [run["job_id"] for run in latest if run is not None][:AGED])
        return {
            "jobs": jobs,
            "recent": [{name: run[name] for name in SHOWN} for run in runs[:RECENT]],
            "volumes": [{"day": day, **days[day]} for day in sorted(days)],
            "breaks": dict(breaks.most_common()),
            "whole": {**_together(runs), "open": sum(run["breaks"] for run in latest if run is not None)},
            "plans": [
                {"plan": name, **_together(group), "open": None if run is None else run["breaks"]}
                for (name, group), run in zip(plans.items(), latest, strict=True)
            ],
            "people": [{"person": name, **_together(group)} for name, group in _grouped(runs, "person").items()],
            "ageing": [{"age": age, "rows": ageing[age]} for age in AGE_LABELS if ageing[age]],
        }

    def _ageing(self, actor: Actor, job_ids: Sequence[str]) -> Counter[str]:
        """Rows that are open in these results, by age; of one that cannot be read just now, or has no dates, none."""
        rows: Counter[str] = Counter()
        for job_id in job_ids:
            try:
                lines = self._container.results.figures(actor, job_id)["ages"]
            except (StorageAway, FileNotFoundError):
                continue
            for line in lines:
                rows[line["age"]] += sum(side["rows"] for side in line["sides"].values())
        return rows


SHOWN = ("job_id", "reconciliation", "status", "created_at", "seconds", "rows", "breaks", "match_rate")


def _run(
    *, created_at: datetime, started_at: datetime | None, finished_at: datetime | None,
    summary_json: dict[str, Any] | None, **known: Any,
) -> Run:  # fmt: skip
    """One run in a line. `match_rate` is the share of all rows read that were matched, None without a result; `seconds`
    are those of the work, `cycle_seconds` those from being asked for to the end.
    """
    sides = list(summary_json["rows"].values()) if summary_json else []
    read, matched = (sum(side[part] for side in sides) for part in ("read", "matched"))
    return {
        **known,
        "created_at": created_at.isoformat(),
        "seconds": round((finished_at - started_at).total_seconds(), 1) if started_at and finished_at else None,
        "cycle_seconds": (finished_at - created_at).total_seconds() if finished_at else None,
        "rows": read if summary_json else None,
        "matched": matched,
        "breaks": sum(side["breaks"] for side in sides) if summary_json else None,
        "match_rate": round(matched / read, 4) if read else None,
        "categories": summary_json["breaks"] if summary_json else {},
    }


def _grouped(runs: Sequence[Run], by: str) -> dict[str, list[Run]]:
    """The runs of each plan, or person; the newest first, as they are given."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run[by], []).append(run)
    return groups


def _together(runs: Sequence[Run]) -> dict[str, Any]:
    """Some runs in one line: how many and how many failed, rows, the share matched, and the median cycle time."""
    done = [run for run in runs if run["rows"] is not None]
    rows, matched = (sum(run[part] for run in done) for part in ("rows", "matched"))
    return {
        "runs": len(runs),
        "failed": sum(run["status"] == "failed" for run in runs),
        "rows": rows,
        "matched": matched,
        "match_rate": round(matched / rows, 4) if rows else None,
        "cycle_seconds": round(median(run["cycle_seconds"] for run in done), 1) if done else None,
        "last_run": runs[0]["created_at"] if runs else None,
    }
