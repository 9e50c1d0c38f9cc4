"""The last 24 hours in numbers, without Prometheus: what the health page and the go/no-go board draw from.

Each instance counts in steps of half a minute what its own metrics gained, and writes every finished step as a row: a
restart keeps them, and every instance shows the sum of all. While the database is away the steps wait in memory.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Histogram
from sqlalchemy import delete, func, select

from services import metrics
from services.database.models import Job, RollingSample, new_id
from services.errors import ServiceError
from services.permissions import Action, Actor, check

if TYPE_CHECKING:
    from services.container import Container

STEP = timedelta(seconds=30)
KEPT = timedelta(hours=24)
LOOK_SECONDS = 5.0
LATE = timedelta(minutes=5)  # another instance's step may be written this much later
EDGES = (*metrics.LATENCY_SECONDS, float("inf"))
DEPTHS = ("jobs", "mails", "spool")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in a span of time. Rates and times are None where nothing happened."""

    counts: Counter[str]

    @property
    def requests(self) -> int:
        """Requests answered to people; what monitors ask is not counted."""
        return self.counts["requests"]

    @property
    def error_rate(self) -> float | None:
        """The share of requests that ended in 5xx."""
        return _share(self.counts["errors"], self.requests)

    @property
    def crash_free(self) -> float | None:
        """CFUR: the smaller of the shares of requests without 5xx, and of browser sessions without an error of ours."""
        failed = [self.error_rate, _share(self.counts["crashes"], self.counts["sessions"])]
        known = [1 - share for share in failed if share is not None]
        return min(known, default=None)

    @property
    def failures(self) -> int:
        """Requests that ended in 5xx, and browser sessions that met an error of ours."""
        return self.counts["errors"] + self.counts["crashes"]

    @property
    def api_calls(self) -> int:
        """The calls that the P95 of the API is of."""
        return sum(self._within("api"))

    @property
    def page_runs(self) -> int:
        """The drawings that the P95 of the pages is of."""
        return sum(self._within("page"))

    @property
    def api_p95_seconds(self) -> float | None:
        """The time within which 95 of 100 calls of the API are answered, transfers of files aside."""
        return self._quantile("api")

    @property
    def page_p95_seconds(self) -> float | None:
        """The time within which 95 of 100 pages are drawn."""
        return self._quantile("page")

    @property
    def refused(self) -> dict[str, int]:
        """Calls refused by a limit, by action, most first."""
        found = [(name[8:], count) for name, count in self.counts.items() if name.startswith("refused:")]
        return dict(sorted(found, key=lambda pair: -pair[1]))

    def _quantile(self, kind: str, share: float = 0.95) -> float | None:
        """As Prometheus does it: linear inside the bucket; the last edge for what lies beyond."""
        within = self._within(kind)
        wanted, below = share * sum(within), 0.0
        for place, count in enumerate(within):
            if count and below + count >= wanted:
                low = EDGES[place - 1] if place else 0.0
                high = EDGES[place]
                return low if high == float("inf") else low + (high - low) * (wanted - below) / count
            below += count
        return None

    def _within(self, kind: str) -> list[int]:
        return [self.counts[f"{kind}:{place}"] for place in range(len(EDGES))]


@dataclass(frozen=True, slots=True)
class Window:
    """The figures of a span up to now, and of equal parts of it, oldest first."""

    whole: Figures
    parts: Sequence[tuple[datetime, Figures]] = field(default_factory=list)


class Rolling:
    """Counts in a thread between `start` and `stop`."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._instance = new_id()
        self._lock = threading.Lock()
        self._last = _gained()
        self._mine: dict[datetime, Counter[str]] = {}
        self._unwritten: set[datetime] = set()
        self._others: dict[tuple[datetime, str], Counter[str]] = {}
        self._read_at: datetime | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rolling", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def stop(self) -> None:
        """Write down what has been counted, and end."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
            self._look(last=True)

    def figures(self, actor: Actor, span: timedelta, part: timedelta) -> Window:
        """The window of a person."""
        check(actor, Action.HEALTH_READ)
        return self.window(span, part)

    def window(self, span: timedelta, part: timedelta | None = None) -> Window:
        """The last `span`, of all instances, in parts of a multiple of half a minute."""
        self.count()
        now = self._container.clock.now()
        part = part or span
        end = _floor(now, part) + part
        parts = {end - part * number: Counter[str]() for number in range(-(-span // part), 0, -1)}
        with self._lock:
            taken = [*self._mine.items(), *((at, counts) for (at, _), counts in self._others.items())]
        whole: Counter[str] = Counter()
        for at, counts in taken:
            place = _floor(at, part)
            if place in parts:
                _add(parts[place], counts)
            if at > now - span - STEP:
                _add(whole, counts)
        return Window(Figures(whole), [(at, Figures(counts)) for at, counts in parts.items()])

    def count(self) -> None:
        """Put what the metrics gained since the last time into the present step."""
        with self._lock:
            gained = _gained()
            at = _floor(self._container.clock.now(), STEP)
            self._mine.setdefault(at, Counter()).update(gained - self._last)
            self._unwritten.add(at)
            self._last = gained

    def exchange(self, *, last: bool = False) -> None:
        """Write the finished steps (the present one too when it is the `last` time), and read the other instances'."""
        now = self._container.clock.now()
        with self._lock:
            present = _floor(now, STEP)
            ready = sorted(at for at in self._unwritten if last or at < present)
        if not ready and self._read_at is not None:
            return
        since = now - KEPT if self._read_at is None else self._read_at - LATE
        if ready:
            self._mine[ready[-1]].update(self._depths())
        with self._container.transaction() as session:
            for at in ready:
                session.merge(RollingSample(at=at, instance=self._instance, counts_json=dict(self._mine[at])))
            session.execute(delete(RollingSample).where(RollingSample.at < now - KEPT - STEP))
            others = session.execute(
                select(RollingSample.at, RollingSample.instance, RollingSample.counts_json).where(
                    RollingSample.at >= since, RollingSample.instance != self._instance
                )
            ).all()
        with self._lock:
            self._read_at = now
            self._unwritten.difference_update(ready)
            self._others |= {(at, instance): Counter(counts) for at, instance, counts in others}
            old = now - KEPT - STEP
            self._others = {key: counts for key, counts in self._others.items() if key[0] >= old}
            self._mine = {at: counts for at, counts in self._mine.items() if at >= old}
            self._unwritten &= self._mine.keys()

    def depths(self, actor: Actor) -> dict[str, int]:
        """How much waits just now: `jobs`, `mails`, objects in the `spool`."""
        check(actor, Action.HEALTH_READ)
        return self._depths()

    def _depths(self) -> dict[str, int]:
        with self._container.session() as session:
            jobs = session.scalar(select(func.count()).where(Job.status == "queued")) or 0
        mails = self._container.mail.backlog().waiting
        return {"jobs": jobs, "mails": mails, "spool": self._container.spool.count()}

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self._look()

    def _look(self, *, last: bool = False) -> None:
        self.count()
        try:
            self.exchange(last=last)
        except ServiceError as error:  # the database is away: what is counted waits for it
            _log.info("figures not written", reason=error.message)
        except Exception as error:  # noqa: BLE001  # the tables are not there yet: the product starts before its database
            _log.info("figures not written", reason=type(error).__name__)


def _gained() -> Counter[str]:
    """What this process has counted since it began, in the words of `Figures`."""
    gained: Counter[str] = Counter()
    for sample in _samples(metrics.http_requests):
        if sample.labels["endpoint"] not in metrics.PROBES:
            gained["requests"] += int(sample.value)
            gained["errors"] += int(sample.value) if sample.labels["status_code"].startswith("5") else 0
    gained["sessions"] = _total(metrics.ui_sessions)
    gained["crashes"] = _total(metrics.ui_sessions_crashed)
    for sample in _samples(metrics.rate_limit_rejections):
        gained[f"refused:{sample.labels['action']}"] = int(sample.value)
    _buckets(gained, "api", metrics.http_request_seconds)
    _buckets(gained, "page", metrics.ui_rerun_seconds)
    return gained


def _buckets(gained: Counter[str], kind: str, histogram: Histogram) -> None:
    below: Counter[tuple[str, ...]] = Counter()  # Prometheus counts up to an edge; we count between two
    for sample in _samples(histogram, "_bucket"):
        endpoint = sample.labels.get("endpoint", "/api/")
        if endpoint in metrics.PROBES or endpoint.endswith(metrics.TRANSFERS) or not endpoint.startswith("/api/"):
            continue
        series = tuple(value for name, value in sorted(sample.labels.items()) if name != "le")
        gained[f"{kind}:{EDGES.index(float(sample.labels['le']))}"] += int(sample.value) - below[series]
        below[series] = int(sample.value)


def _samples(metric: metrics.Metric, ending: str = "_total") -> Iterable[metrics.Sample]:
    return (sample for family in metric.collect() for sample in family.samples if sample.name.endswith(ending))


def _total(metric: metrics.Metric) -> int:
    return int(sum(sample.value for sample in _samples(metric)))


def _add(into: Counter[str], counts: Counter[str]) -> None:
    """Counts are added; depths of queues are the same from every instance, and over time the deepest counts."""
    for name, count in counts.items():
        into[name] = max(into[name], count) if name in DEPTHS else into[name] + count


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - timedelta(seconds=at.timestamp() % step.total_seconds())


def _share(part: int, whole: int) -> float | None:
    return min(1.0, part / whole) if whole else None
