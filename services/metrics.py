"""Every metric that a process counts itself, declared once; services/observed.py has those of the database.

Labels are bounded: route templates, service and action names.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase as Metric
from prometheus_client.samples import Sample

__all__ = ["Metric", "Sample"]

disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the series, for nothing that we ask

REGISTRY = CollectorRegistry()
"""The one registry, served at /api/metrics."""

PROBES = frozenset({"/api/health", "/api/health/live", "/api/health/session", "/api/metrics", "/_stcore/health"})
"""What monitors and open pages ask by the clock: that is no use, and a health check that answers 503 does its duty."""
TRANSFERS = ("/api/files/upload", "/_stcore/upload_file", "/download", "/workbook")
"""Ends of routes that take as long as the file is: their time says nothing about how fast we answer."""

LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

http_requests = Counter(
    "http_requests_total", "Requests answered.", ("method", "endpoint", "status_code"), registry=REGISTRY
)
http_request_seconds = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request.",
    ("method", "endpoint"),
    buckets=LATENCY_SECONDS,
    registry=REGISTRY,
)
ui_sessions = Counter("ui_sessions_total", "Browser sessions opened.", registry=REGISTRY)
ui_sessions_crashed = Counter(
    "ui_sessions_crashed_total", "Browser sessions that met an uncaught error.", registry=REGISTRY
)
ui_rerun_seconds = Histogram(
    "ui_rerun_seconds",
    "Time of one run of a page, or of a part of it that a press draws alone.",
    ("page",),
    buckets=LATENCY_SECONDS,
    registry=REGISTRY,
)

database_connections_active = Gauge(
    "database_connections_active", "Database connections in use by this process.", registry=REGISTRY
)
database_connections_max = Gauge(
    "database_connections_max", "Database connections this process may open.", registry=REGISTRY
)
cache_hits = Counter("cache_hits_total", "Values found in the cache.", ("level",), registry=REGISTRY)
cache_misses = Counter("cache_misses_total", "Values that had to be computed.", registry=REGISTRY)
circuit_breaker_state = Gauge(
    "circuit_breaker_state", "0 closed, 1 half-open, 2 open.", ("service",), registry=REGISTRY
)
retries = Counter("retries_total", "Calls to a service that were tried again.", ("service",), registry=REGISTRY)

rate_limit_decisions = Counter(
    "rate_limit_decisions_total",
    "Calls that a limit let through or refused.",
    ("action", "decision"),
    registry=REGISTRY,
)
rate_limit_rejections = Counter(
    "rate_limit_rejections_total", "Calls refused by a limit.", ("action",), registry=REGISTRY
)

rate_limit_fallbacks = Counter(
    "rate_limit_fallbacks_total", "Decisions taken in process because Redis was away.", registry=REGISTRY
)

file_uploads = Counter("file_uploads_total", "Uploads begun.", registry=REGISTRY)
file_uploads_failed = Counter("file_uploads_failed_total", "Uploads that were not stored.", registry=REGISTRY)
storage_fallbacks = Counter(
    "storage_fallbacks_total", "Objects kept locally because the object storage was away.", registry=REGISTRY
)
storage_spool_objects = Gauge(
    "storage_spool_objects", "Objects waiting to be moved to the object storage.", registry=REGISTRY
)

backup_last_success_timestamp_seconds = Gauge(
    "backup_last_success_timestamp_seconds", "Start of the newest verified backup.", registry=REGISTRY
)
backup_last_drill_timestamp_seconds = Gauge(
    "backup_last_drill_timestamp_seconds", "End of the last restore drill that passed.", registry=REGISTRY
)
health_check_failing = Gauge(
    "health_check_failing", "1 while a dependency is down, by dependency.", ("dependency",), registry=REGISTRY
)
app_version = Gauge("app_version_info", "Always 1; the label says which version runs.", ("version",), registry=REGISTRY)
