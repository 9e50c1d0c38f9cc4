"""Alerts, Alertmanager and dashboards: judged by the real programs, and every metric they name is really served."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import httpx
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from prometheus_client.parser import text_string_to_metric_families

from ops.monitoring.dashboards import DASHBOARDS, FOLDER, dashboard, text
from services import metrics
from services.container import build_container
from services.settings import Settings
from tests.monitoring_servers import exported, names_of
from tests.work import WrongClock

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "ops" / "monitoring"
RUNBOOKS = ROOT / "docs" / "runbooks"
CASES = [MONITORING / "alerts_test.yaml", MONITORING / "slow_alerts_test.yaml"]
WORDS = frozenset({"and", "or", "unless", "by", "on", "without", "group_left", "ignoring"})
OF_PROMETHEUS = frozenset({"up"})


def run(*command: str | Path) -> str:
    """Run a program in the folder of the configuration; gives what it printed, also when it failed."""
    if shutil.which(str(command[0])) is None:
        pytest.fail(f"{command[0]} is missing: install Debian's prometheus and prometheus-alertmanager")
    ended = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False, timeout=110)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def rules() -> list[dict[str, Any]]:
    """Every rule: alerts and recordings."""
    read = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for rule in rules() if "alert" in rule]


def named(query: str) -> set[str]:
    """The metrics that a query names."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"\b[a-z_][a-z0-9_:]*\b(?!\s*\()", bare, re.IGNORECASE)) - WORDS


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the rules and of the dashboards, and where it stands."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for _, panels in DASHBOARDS.values():
        for panel in panels:
            for query in panel.queries.values():
                yield panel.title, query


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_keep_silent(cases: Path) -> None:
    """promtool: every case of firing and of silence."""
    assert "SUCCESS" in run("promtool", "test", "rules", cases.name)


def test_configurations_are_valid() -> None:
    """The real programs accept what they are given."""
    assert "SUCCESS" in run("promtool", "check", "config", "prometheus.yml")
    assert "SUCCESS" in run("amtool", "check-config", "alertmanager.yml")


def test_every_alert_has_both_cases_and_a_runbook() -> None:
    """A firing case, a silent one (the watchdog is never silent), a page, a severity that somebody is told of."""
    cases = [case["name"] for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]
    for alert in alerts():
        name = alert["alert"]
        assert any(case.startswith(f"{name} fires:") for case in cases), name
        assert name == "Watchdog" or any(case.startswith(f"{name} is silent:") for case in cases), name
        assert alert["annotations"]["runbook_url"].endswith(f"/runbooks/{name}.md")
        assert (RUNBOOKS / f"{name}.md").is_file(), f"docs/runbooks/{name}.md is missing"
        assert alert["labels"]["severity"] in {"critical", "warning", "none"}


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("severity=critical alertname=HighErrorRate", "pagerduty,slack"),
        ("severity=warning alertname=CacheMissRate", "slack"),
        ("severity=none alertname=Watchdog", "heartbeat"),
    ],
)
def test_routes(labels: str, receivers: str) -> None:
    """Everybody is told of everything on Slack, somebody is woken for what is critical only."""
    told = run("amtool", "config", "routes", "test", "--config.file=alertmanager.yml", *labels.split())
    assert told.strip() == receivers


def test_people_are_told_at_the_promised_pace() -> None:
    """Half a minute to gather, five minutes between changes of a group, twelve hours until it is said again."""
    route = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())["route"]
    paces = [route[name] for name in ("group_wait", "group_interval", "repeat_interval")]
    assert paces == ["30s", "5m", "12h"]
    own = [child for child in route["routes"] if child["receiver"] != "heartbeat"]
    assert not {"group_wait", "group_interval", "repeat_interval"} & {name for child in own for name in child}


def test_every_metric_is_served(api: httpx.Client, tmp_path: Path, postgresql_address: str) -> None:
    """What alerts and dashboards name is in a scrape of the running product, or of the exporter that they name."""
    served = {"recon": names_of(api.get("/api/metrics").text)}
    served |= exported(tmp_path, postgresql_address)
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = set().union(*served.values(), recorded, OF_PROMETHEUS)
    unknown = {name: where for where, query in queries() for name in named(query) if name not in known}
    assert unknown == {}
    assert {job: len(names) > 30 for job, names in served.items()} == {"recon": True, "node": True, "postgres": True}
    for where, query in queries():
        for name, job in re.findall(r'\b([a-z_]+)\{[^}]*job="(\w+)"', query):
            assert name in served[job] | OF_PROMETHEUS, f"{where}: {job} has no {name}"


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_ages_are_by_the_clock_that_all_share(settings: Settings) -> None:
    """A process whose own clock is wrong tells the same ages, and the same workers that live, as every other."""
    container = build_container(settings, WrongClock(2))
    container.workers.beat("one", 2, 0)
    with container.transaction() as session:
        container.mail.enqueue(session, key="test:1", recipient="a@example.org", subject="s", body="b")
    told = {metric.name: metric.samples[0].value for metric in container.observed.collect() if metric.samples}
    container.observed.close()
    container.close()
    assert (told["observed_ok"], told["workers_alive"], told["email_queue_depth"]) == (1, 1, 1)
    assert told["email_oldest_seconds"] < 3600


def test_the_judge_of_names_sees_names() -> None:
    """The reader of queries itself: names inside functions and groupings, none inside labels."""
    query = 'max by (le) (rate(a_total{b="c_d"}[5m])) > 0.5 and on () clamp_max(recon:e:rate5m, 1)'
    assert named(query) == {"a_total", "recon:e:rate5m"}


def test_every_metric_is_documented(api: httpx.Client) -> None:
    """docs/reference/metrics.md lists exactly the metrics that are served, with their kinds and labels."""
    page = (ROOT / "docs/reference/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE)
    documented = {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    own = [family for family in metrics.REGISTRY.collect() if family.type != "info"]
    labels = {
        metric._name: frozenset(metric._labelnames)
        for metric in vars(metrics).values()
        if isinstance(metric, metrics.Metric)
    }
    expected = {_sample(family): (family.type, labels[family.name]) for family in own}
    observed = [f for f in text_string_to_metric_families(api.get("/api/metrics").text) if f.name not in labels]
    for family in observed:
        found = {label for sample in family.samples for label in sample.labels} - {"le"}
        expected[_sample(family)] = (family.type, frozenset(found))
    assert documented == expected


def _sample(family: Any) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


@pytest.mark.parametrize("uid", list(DASHBOARDS))
def test_dashboards_are_as_the_table_says(uid: str) -> None:
    """The files that Grafana is given are written from the table, and their panels neither overlap nor share an id."""
    written = (FOLDER / f"{uid}.json").read_text(encoding="utf-8")
    assert written == text(uid), "run: python -m ops.monitoring.dashboards"
    panels = json.loads(written)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels)
    assert all(panel["targets"] and panel["datasource"]["uid"] == "prometheus" for panel in panels)


with warnings.catch_warnings():
    # The classic model is deprecated in favour of v2, which the Grafana of compose.yaml does not read from files yet.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models.dashboard import Dashboard


def disagreements(given: object, kind: Any, path: str = "") -> list[str]:
    """Where plain data or an object of Grafana's own model is not of the kind that the model says."""
    if kind is Any or kind is object:  # such as the options of a panel, whose model depends on the panel's type
        kind = type(given)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return min((disagreements(given, one, path) for one in inner), key=len)
    if origin is Literal:
        return [] if given in inner else [f"{path}: {given!r}"]
    if isinstance(given, list) and origin is list:
        return [found for one in given for found in disagreements(one, inner[0], path)]
    if isinstance(given, dict) and origin is dict:
        return [found for key, one in given.items() for found in disagreements(one, inner[1], f"{path}.{key}")]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [] if given in {member.value for member in kind} | set(kind) else [f"{path}: {given!r}"]
    if kind is float:
        kind = int | float
    if not isinstance(given, origin or kind) or (isinstance(given, bool) and kind is not bool):
        return [f"{path}: {given!r}"]
    hints = get_type_hints(type(given)) if hasattr(given, "to_json") else {}
    return [
        found for name, hint in hints.items() for found in disagreements(getattr(given, name), hint, f"{path}.{name}")
    ]


def lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """What Grafana's model does not know of what it was given."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [found for key, one in given.items() for found in lost(one, kept.get(key), f"{path}.{key}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [found for one, other in zip(given, kept, strict=True) for found in lost(one, other, path)]
    return [] if given == kept else [path]


def wrong(made: dict[str, Any]) -> list[str]:
    """What in a dashboard is not as Grafana's schema has it, panels, their options and queries included."""
    register_default_plugins()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        read = Dashboard.from_json(made)
    kept = json.loads(json.dumps(read, cls=JSONEncoder))
    return disagreements(read, Dashboard) + lost(made, kept)


@pytest.mark.parametrize("uid", list(DASHBOARDS))
def test_dashboards_keep_to_grafana_s_schema(uid: str) -> None:
    """Every key is known to the schema, and every value is of its kind."""
    assert wrong(dashboard(uid)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made.update(refreshes="5s"),
        lambda made: made.update(editable="no"),
        lambda made: made.update(graphTooltip=7),
        lambda made: made["panels"][3].update(gridPos={"x": "left", "y": 0, "w": 12, "h": 8}),
        lambda made: made["panels"][2]["targets"][0].update(query="up"),
        lambda made: made["panels"][2]["options"].update(legend={"placement": "below"}),
        lambda made: made["panels"][0]["fieldConfig"]["defaults"]["thresholds"].update(mode="relative"),
    ],
)
def test_the_schema_is_really_asked(spoil: Callable[[dict[str, Any]], None]) -> None:
    """One wrong key or value anywhere is found."""
    made = dashboard(next(iter(DASHBOARDS)))
    spoil(made)
    assert len(wrong(made)) >= 1


def test_dashboards_find_their_source() -> None:
    """The provisioned source has the name that the panels ask for, and the provider the folder of the files."""
    folder = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/recon.yaml").read_text())["providers"]
    assert (source["uid"], source["type"]) == ("prometheus", "prometheus")
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
