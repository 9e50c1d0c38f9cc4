"""Prometheus, Alertmanager and what stands for Slack and PagerDuty, on free ports of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.servers import free_port

MONITORING = Path(__file__).parents[1] / "ops" / "monitoring"
SLACK, PAGERDUTY = "/slack", "/pagerduty"


@dataclass
class Notification:
    """What arrived at a receiver."""

    at: float
    receiver: str
    body: dict[str, Any]

    def tells(self, alert: str, *, resolved: bool) -> bool:
        """Whether it tells of the alert's beginning, or of its end."""
        text = json.dumps(self.body)
        if self.receiver == PAGERDUTY:
            return alert in text and self.body["event_action"] == ("resolve" if resolved else "trigger")
        return alert in text and ("RESOLVED" in text) is resolved


@dataclass
class Monitoring:
    """A running Prometheus and Alertmanager, and what they have told."""

    prometheus: str
    alertmanager: str
    notifications: list[Notification] = field(default_factory=list)

    def wait_for(self, receiver: str, alert: str, *, resolved: bool = False, seconds: float = 60) -> Notification:
        """The first notification of this kind."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for told in list(self.notifications):
                if told.receiver == receiver and told.tells(alert, resolved=resolved):
                    return told
            time.sleep(0.05)
        heard = [(told.receiver, told.body) for told in self.notifications]
        raise AssertionError(f"{receiver} was not told of {alert} (resolved: {resolved}); it heard {heard}")

    def firing(self) -> set[str]:
        """The alerts that fire in Prometheus."""
        found = httpx.get(f"{self.prometheus}/api/v1/alerts").json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}

    def value(self, query: str) -> float | None:
        """A query's first value."""
        found = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": query}).json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None


@contextmanager
def monitoring(folder: Path, target: str) -> Iterator[Monitoring]:
    """Both servers with the product's own rules and routes; only addresses and intervals are those of a test."""
    with ExitStack() as stack:
        made = Monitoring(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
        receivers = stack.enter_context(_receivers(made.notifications))
        _write(folder, made, target, receivers)
        for name in ("prometheus", "prometheus-alertmanager"):
            assert shutil.which(name), f"{name} is missing: install Debian's prometheus and prometheus-alertmanager"
        stack.enter_context(_running(folder, made.alertmanager, [
            "prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager",
            "--cluster.listen-address=", f"--web.listen-address={made.alertmanager[7:]}",
        ]))  # fmt: skip
        stack.enter_context(_running(folder, made.prometheus, [
            "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
            f"--web.listen-address={made.prometheus[7:]}", "--rules.alert.resend-delay=1s",
        ]))  # fmt: skip
        yield made


def _write(folder: Path, made: Monitoring, target: str, receivers: str) -> None:
    """The product's files, with short intervals. The rules are untouched: their durations are what is promised."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(MONITORING / "alerts.yaml", folder)
    read = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    read["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    read["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [made.alertmanager[7:]]
    (watched,) = [one for one in read["scrape_configs"] if one["job_name"] == "recon"]
    watched["static_configs"][0]["targets"] = [target.removeprefix("http://")]
    read["scrape_configs"] = [watched]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(read))

    (folder / "slack").write_text(f"{receivers}{SLACK}")
    (folder / "pagerduty").write_text("a-routing-key")
    told = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    told["global"] |= {"slack_api_url_file": str(folder / "slack"), "pagerduty_url": f"{receivers}{PAGERDUTY}"}
    told["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in told["receivers"]:
        for config in receiver.get("pagerduty_configs", ()):
            config["routing_key_file"] = str(folder / "pagerduty")
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(told))


@contextmanager
def _running(
    folder: Path, address: str, command: list[str], ready: str = "/-/ready", given: Mapping[str, str] | None = None
) -> Iterator[None]:
    with (folder / f"{command[0]}.log").open("wb") as log:
        environment = {**os.environ, **(given or {})}
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if httpx.get(f"{address}{ready}", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert process.poll() is None, (folder / f"{command[0]}.log").read_text()
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def names_of(text: str) -> set[str]:
    """The series of a scrape, as queries name them; also those that nothing has been counted in yet."""
    endings = {"histogram": ("_bucket", "_sum", "_count")}
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    return {name + ending for name, kind in kinds for ending in endings.get(kind, ("",))}


def exported(folder: Path, database: str) -> dict[str, set[str]]:
    """The series of node_exporter on this machine and of postgres_exporter beside a database, as just scraped."""
    found: dict[str, set[str]] = {}
    for name, given in (
        ("prometheus-node-exporter", {}),
        ("prometheus-postgres-exporter", {"DATA_SOURCE_NAME": f"{database}/postgres?sslmode=disable"}),
    ):
        assert shutil.which(name), f"{name} is missing: install Debian's package of that name"
        address = f"http://127.0.0.1:{free_port()}"
        command = [name, f"--web.listen-address={address[7:]}"]
        with _running(folder, address, command, ready="/metrics", given=given):
            found[name.split("-")[1]] = names_of(httpx.get(f"{address}/metrics", timeout=20).text)
    return found


@contextmanager
def _receivers(heard: list[Notification]) -> Iterator[str]:
    """A server that keeps whatever is posted to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append(Notification(time.monotonic(), self.path, body))
            self.send_response(202)
            self.end_headers()
            self.wfile.write(b'{"status": "success"}')

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
