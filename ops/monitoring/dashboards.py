"""The Grafana dashboards as one table; `python -m ops.monitoring.dashboards` writes the files that Grafana is given.

They are in Grafana's classic model, which every version reads: 13 migrates it when it loads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
PEOPLE = 'job="recon",endpoint!~"/api/health.*|/api/metrics|/_stcore/health"'
JOB = '{job="recon"}'
ACROSS, HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """One panel: a title, a unit of Grafana, queries with their legends, and from where on the value is bad."""

    title: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"
    bad: float | None = None
    bad_below: bool = False


def p95(metric: str, by: str = "", chosen: str = 'job="recon"') -> str:
    """The 95th percentile of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile(0.95, sum by ({labels}) (rate({metric}_bucket{{{chosen}}}[$__rate_interval])))"


def per_second(metric: str, by: str = "", chosen: str = 'job="recon"') -> str:
    """How often, over all instances."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{chosen}}}[$__rate_interval]))"


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "recon-service": ("Reconciliation: service", (
        Panel("Crash-free rate, 1 h", "percentunit", {"{{surface}}": "1 - recon:errors:ratio_rate1h"}, "stat", 0.998, True),
        Panel("Allowance burnt, 1 h (1 = lasts a month)", "none", {"{{surface}}": "recon:errors:ratio_rate1h / 0.002"}, "stat", 6),
        Panel("Requests by status", "reqps", {"{{status_code}}": per_second("http_requests_total", "status_code", PEOPLE)}),
        Panel("Crash-free rate", "percentunit", {"{{surface}}": "1 - recon:errors:ratio_rate5m"}, bad=0.998, bad_below=True),
        Panel("API, P95 by route", "s", {"{{endpoint}}": p95("http_request_duration_seconds", "endpoint", 'job="recon",endpoint=~"/api/.+",endpoint!~"/api/health.*|/api/metrics"')}, bad=0.5),
        Panel("Pages, P95", "s", {"{{page}}": p95("ui_rerun_seconds", "page")}, bad=2),
        Panel("Browser sessions", "short", {"opened": per_second("ui_sessions_total"), "met an error": per_second("ui_sessions_crashed_total")}),
        Panel("Calls refused by limits", "reqps", {"{{action}}": per_second("rate_limit_rejections_total", "action"), "decided without Redis": per_second("rate_limit_fallbacks_total")}),
        Panel("Cache hit rate", "percentunit", {"hits": f"sum(rate(cache_hits_total{JOB}[$__rate_interval])) / (sum(rate(cache_hits_total{JOB}[$__rate_interval])) + sum(rate(cache_misses_total{JOB}[$__rate_interval])))"}),
        Panel("Uploads that arrived", "percentunit", {
            "stored": f"1 - sum(rate(file_uploads_failed_total{JOB}[$__rate_interval])) / sum(rate(file_uploads_total{JOB}[$__rate_interval]))",
            "straight to S3": f"1 - sum(rate(storage_fallbacks_total{JOB}[$__rate_interval])) / sum(rate(file_uploads_total{JOB}[$__rate_interval]))",
        }, bad=0.95, bad_below=True),
    )),
    "recon-platform": ("Reconciliation: platform", (
        Panel("Health (1 = down)", "none", {"{{dependency}}": f"max by (dependency) (health_check_failing{JOB})"}, "stat", 1),
        Panel("Age of the newest backup", "s", {"backup": f"time() - max(backup_last_success_timestamp_seconds{JOB})", "drill": f"time() - max(backup_last_drill_timestamp_seconds{JOB})"}, "stat", 7200),
        Panel("Database connections in use", "percentunit", {"{{instance}}": f"database_connections_active{JOB} / database_connections_max{JOB}"}, bad=0.9),
        Panel("Database host, CPU", "percentunit", {"{{instance}}": '1 - avg by (instance) (rate(node_cpu_seconds_total{job="node",role="database",mode="idle"}[$__rate_interval]))'}, bad=0.8),
        Panel("PostgreSQL sessions", "short", {"{{state}}": 'sum by (state) (pg_stat_activity_count{job="postgres"})'}),
        Panel("PostgreSQL transactions", "ops", {"committed": 'sum(rate(pg_stat_database_xact_commit{job="postgres"}[$__rate_interval]))', "rolled back": 'sum(rate(pg_stat_database_xact_rollback{job="postgres"}[$__rate_interval]))'}),
        Panel("Jobs", "short", {"waiting": f"max(job_queued{JOB})", "running": f"max(job_running{JOB})", "workers": f"max(workers_alive{JOB})"}),
        Panel("Jobs ended", "short", {"{{status}}": f"max by (status) (increase(job_finished_total{JOB}[1h]))", "input rows": f"max(increase(job_rows_total{JOB}[1h]))"}),
        Panel("Job time, P95, and the oldest that waits", "s", {"P95": f"max(histogram_quantile(0.95, sum by (le, instance) (rate(job_seconds_bucket{JOB}[1h]))))", "oldest waiting": f"max(job_oldest_queued_seconds{JOB})"}, bad=900),
        Panel("E-mail queue", "short", {"waiting": f"max(email_queue_depth{JOB})", "given up": f"max(email_parked{JOB})", "sent in an hour": f"max(increase(emails_sent_total{JOB}[1h]))"}, bad=1000),
        Panel("Files waiting for S3", "short", {"{{instance}}": f"storage_spool_objects{JOB}"}),
        Panel("Circuits (2 = open) and retries", "none", {"{{service}}": f"max by (service) (circuit_breaker_state{JOB})", "{{service}} retries": per_second("retries_total", "service")}, bad=2),
        Panel("Backups that failed, 24 h", "short", {"failed": f"max(increase(backup_failures_total{JOB}[24h]))"}, "stat", 1),
        Panel("Disk free", "percentunit", {"{{instance}} {{mountpoint}}": 'min by (instance, mountpoint) (node_filesystem_avail_bytes{job="node",fstype!~"tmpfs|ramfs|overlay"} / node_filesystem_size_bytes{job="node",fstype!~"tmpfs|ramfs|overlay"})'}, bad=0.1, bad_below=True),
    )),
}  # fmt: skip


def dashboard(uid: str) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    title, panels = DASHBOARDS[uid]
    return {
        "uid": uid,
        "title": title,
        "tags": ["recon"],
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 42,
        "version": 1,
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": [_panel(place, panel) for place, panel in enumerate(panels)],
    }


def _panel(place: int, panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad is not None:
        good, bad = ("red", "green") if panel.bad_below else ("green", "red")
        steps = [{"color": good, "value": None}, {"color": bad, "value": panel.bad}]
    return {
        "id": place + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"x": place % 2 * ACROSS // 2, "y": place // 2 * HEIGHT, "w": ACROSS // 2, "h": HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def text(uid: str) -> str:
    """The file's content."""
    return json.dumps(dashboard(uid), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")
