"""Where a rollout's numbers come from: Prometheus, or the processes themselves."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client.parser import text_string_to_metric_families

from ops.errors import Refused
from services.container import Container
from services.rollout.counts import SERIES, Counts, Sample
from services.rollout.history import Reading
from services.rollout.service import SLOTS
from services.settings import Settings

TIMEOUT_SECONDS = 5.0
DATABASE_CPU = 'max(1 - avg by (instance) (rate(node_cpu_seconds_total{role="database",mode="idle"}[5m])))'
"""As in the alert HighDatabaseCPU: from the exporter on the database's machine."""

_log = structlog.get_logger(__name__)


def processes(settings: Settings) -> dict[str, list[str]]:
    """The addresses of each slot's processes."""
    return {
        slot: [part.strip().rstrip("/") for part in getattr(settings, f"rollout_{slot}").split(",") if part.strip()]
        for slot in SLOTS
    }


def read(container: Container) -> Reading:
    """The numbers now. Raises Refused when Prometheus does not answer; a process that does not is left out."""
    settings = container.settings
    slots = processes(settings)
    if not any(slots.values()):
        raise Refused("No process is known: name them in RECON_ROLLOUT_BLUE and RECON_ROLLOUT_GREEN.")
    if settings.prometheus_url:
        return _from_prometheus(container, slots)
    return Reading(container.clock.now(), {slot: _from_processes(settings, held) for slot, held in slots.items()})


def _from_processes(settings: Settings, addresses: list[str]) -> dict[str, Counts]:
    token = settings.metrics_token.get_secret_value()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    found: dict[str, Counts] = {}
    for address in addresses:
        try:
            text = _get(f"{address}/api/metrics", headers).decode()
        except (OSError, HTTPException) as error:
            _log.warning("rollout.unread", process=address, reason=type(error).__name__)
            continue
        families = text_string_to_metric_families(text)
        found[_name(address)] = Counts.of(
            (sample.name, sample.labels, sample.value) for family in families for sample in family.samples
        )
    return found


def _from_prometheus(container: Container, slots: Mapping[str, list[str]]) -> Reading:
    by_process: dict[str, list[Sample]] = defaultdict(list)
    for labels, value in _query(container.settings, f'{{__name__=~"{"|".join(SERIES)}"}}'):
        by_process[labels.get("instance", "")].append((labels["__name__"], labels, value))
    cpu = [value for _, value in _query(container.settings, DATABASE_CPU)]
    return Reading(
        container.clock.now(),
        {
            slot: {name: Counts.of(by_process[name]) for name in map(_name, held) if name in by_process}
            for slot, held in slots.items()
        },
        cpu[0] if cpu else None,
    )


def _query(settings: Settings, query: str) -> list[tuple[Mapping[str, str], float]]:
    address = f"{settings.prometheus_url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        answer: Any = json.loads(_get(address, {}))
        return [(line["metric"], float(line["value"][1])) for line in answer["data"]["result"]]
    except (OSError, HTTPException, ValueError, KeyError) as error:
        raise Refused(f"Prometheus (PROMETHEUS_URL) does not answer: {type(error).__name__}.") from error


def _get(address: str, headers: Mapping[str, str]) -> bytes:
    if urlsplit(address).scheme not in {"http", "https"}:
        raise Refused(f"{address} is no http:// or https:// address.")
    opener: Callable[..., Any] = urllib.request.urlopen
    with opener(urllib.request.Request(address, headers=dict(headers)), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # the scheme is checked
        return bytes(answer.read())


def _name(address: str) -> str:
    """The process as Prometheus names it: host and port."""
    return urlsplit(address).netloc
