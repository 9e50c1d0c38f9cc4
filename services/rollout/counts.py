"""What a process of the application has counted of its answers: sums, differences, and the rates that they give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from services.metrics import PROBES, TRANSFERS

SERIES = (
    "http_requests_total",
    "http_request_duration_seconds_bucket",
    "ui_sessions_total",
    "ui_sessions_crashed_total",
)

Sample = tuple[str, Mapping[str, str], float]
"""Name, labels and value of a series."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and sessions, how many of each went wrong, and requests by the time within which they were answered."""

    requests: float = 0
    errors: float = 0
    sessions: float = 0
    crashed: float = 0
    within: Mapping[float, float] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Self:
        """Add up the series of a process."""
        requests = errors = sessions = crashed = 0.0
        within: dict[float, float] = defaultdict(float)
        for name, labels, value in samples:
            endpoint = labels.get("endpoint", "")
            if endpoint in PROBES:
                continue
            if name == "http_requests_total":
                requests += value
                errors += value * labels.get("status_code", "").startswith("5")
            elif name == "http_request_duration_seconds_bucket" and not endpoint.endswith(TRANSFERS):
                within[float(labels["le"])] += value
            elif name == "ui_sessions_total":
                sessions += value
            elif name == "ui_sessions_crashed_total":
                crashed += value
        return cls(requests, errors, sessions, crashed, dict(within))

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Self:
        """As `as_json` wrote them."""
        return cls(**{**held, "within": {float(edge): count for edge, count in held["within"].items()}})

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        within = {str(edge): count for edge, count in self.within.items()}
        return {
            "requests": self.requests, "errors": self.errors, "sessions": self.sessions, "crashed": self.crashed,
            "within": within,
        }  # fmt: skip

    def __add__(self, other: Counts) -> Counts:
        return self._with(other, 1)

    def since(self, earlier: Counts) -> Counts:
        """What was counted after `earlier`; all of it when the process has begun anew in between."""
        began_anew = self.requests < earlier.requests or self.sessions < earlier.sessions
        return self if began_anew else self._with(earlier, -1)

    def _with(self, other: Counts, sign: int) -> Counts:
        edges = self.within.keys() | other.within.keys()
        return Counts(
            self.requests + sign * other.requests,
            self.errors + sign * other.errors,
            self.sessions + sign * other.sessions,
            self.crashed + sign * other.crashed,
            {edge: self.within.get(edge, 0) + sign * other.within.get(edge, 0) for edge in edges},
        )

    @property
    def error_rate(self) -> float | None:
        """The share of requests that ended in a failure of ours; None without requests."""
        return self.errors / self.requests if self.requests else None

    @property
    def crash_free(self) -> float | None:
        """The worse of two shares: requests without a failure of ours, sessions without an uncaught error."""
        shares = [1 - bad / all_ for bad, all_ in ((self.errors, self.requests), (self.crashed, self.sessions)) if all_]
        return min(shares, default=None)

    @property
    def timed(self) -> float:
        """The requests that the P95 is of."""
        return max(self.within.values(), default=0.0)

    @property
    def p95_seconds(self) -> float | None:
        """The time within which 95 of 100 requests were answered, between the edges of the histogram as Prometheus
        does it; beyond the last edge, that edge.
        """
        edges, total = sorted(self.within), self.timed
        if not total:
            return None
        rank, below, before = 0.95 * total, 0.0, 0.0
        for edge in edges:
            count = self.within[edge]
            if count >= rank:
                if edge == float("inf"):
                    return below
                return below + (edge - below) * (rank - before) / (count - before)
            below, before = edge, count
        return below
