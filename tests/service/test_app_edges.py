"""The running product at its edges: who counts as one caller, and who may read the metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from services.container import build_container
from services.observed import Observed
from tests.service.conftest import make_settings
from tests.service.test_app import answers, start, wait_for

WRONG = {"email": "test@example.com", "password": "wrong"}
TOKEN = "monitoring-token-of-a-test"
pytestmark = pytest.mark.timeout(300)


@contextmanager
def running(data_dir: Path, **variables: str) -> Iterator[str]:
    """The app with the variables given; gives its address."""
    process, address = start(data_dir, RECON_EMBEDDED_WORKER="false", **variables)
    try:
        wait_for(lambda: answers(address), 150)
        yield address
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app as it comes, with a token for the metrics."""
    with running(tmp_path_factory.mktemp("plain"), RECON_METRICS_TOKEN=TOKEN) as address:
        yield address


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app behind a declared proxy on this machine, where one may try to sign in once."""
    proxies = {"RECON_TRUSTED_PROXIES": "127.0.0.1,10.9.0.0/16", "RECON_LIMIT_SIGN_IN": "1/hour"}
    with running(tmp_path_factory.mktemp("proxied"), **proxies) as address:
        yield address


def attempt(address: str, forwarded: str = "") -> int:
    """The status of one wrong sign-in, said to be forwarded for somebody."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return httpx.post(f"{address}/api/auth/login", json=WRONG, headers=headers, timeout=60).status_code


def test_the_eleventh_wrong_sign_in_is_refused_whatever_it_claims(plain: str) -> None:
    """Ten answer 401 and the next 429, also when each says it was forwarded for another address."""
    address = plain
    assert [attempt(address, f"203.0.113.{n}") for n in range(11)] == [401] * 10 + [429]
    again = httpx.post(f"{address}/api/auth/login", json=WRONG)
    assert again.headers["cache-control"] == "no-store"
    assert 0 < int(again.headers["retry-after"]) <= 3600
    assert attempt(address.replace("127.0.0.1", "localhost")) == 429  # the same machine by its other name
    scraped = httpx.get(f"{address}/api/metrics").text
    assert 'rate_limit_rejections_total{action="sign_in"} 3.0' in scraped
    assert 'http_requests_total{endpoint="/api/auth/login",method="POST",status_code="429"} 3.0' in scraped


def test_a_declared_proxy_is_believed(proxied: str) -> None:
    """Behind a proxy that is declared each caller has a window: the nearest address it did not make up."""
    address = proxied
    assert [attempt(address, "203.0.113.1") for _ in range(2)] == [401, 429]
    assert attempt(address, "203.0.113.2") == 401
    assert (
        attempt(address, "198.51.100.7, 203.0.113.1, 10.9.1.1") == 429
    )  # what the caller wrote itself counts for nothing
    assert attempt(address, "2001:db8:1:2::1") == 401
    assert attempt(address, "2001:db8:1:2:ffff::2") == 429


def test_metrics_are_for_the_monitoring_network_or_the_token(plain: str) -> None:
    """This machine may read them; through an unknown proxy or from a far address nobody may, but for the token."""
    read = lambda **headers: httpx.get(f"{plain}/api/metrics", headers=headers).status_code  # noqa: E731
    assert read() == 200
    forwarded = {"X-Forwarded-For": "127.0.0.1"}
    assert read(**forwarded) == 403
    assert read(**forwarded, Authorization="Bearer wrong") == 403
    assert read(**forwarded, Authorization=f"Bearer {TOKEN}") == 200


def test_far_addresses_read_no_metrics(proxied: str) -> None:
    """Behind a declared proxy the caller's own address decides."""
    codes = {
        far: httpx.get(f"{proxied}/api/metrics", headers={"X-Forwarded-For": far}).status_code
        for far in ("203.0.113.1", "10.1.2.3", "127.0.0.1, 203.0.113.1", "203.0.113.1, 10.1.2.3", "nonsense")
    }
    assert codes == {
        "203.0.113.1": 403,
        "10.1.2.3": 200,
        "127.0.0.1, 203.0.113.1": 403,
        "203.0.113.1, 10.1.2.3": 200,
        "nonsense": 403,
    }


def test_labels_are_route_templates(plain: str) -> None:
    """However many addresses are called, the series stay few, and no id becomes a label."""
    with httpx.Client(base_url=plain) as client:
        for n in range(30):
            client.get(f"/api/files/{n:032x}")
            client.get(f"/api/made/up/{n}")
            client.get(f"/page-{n}")
            client.request("BREW", f"/api/pot/{n}")
        scraped = client.get("/api/metrics").text
    endpoints = set(re.findall(r'^http_requests_total{endpoint="([^"]+)"', scraped, re.MULTILINE))
    assert {"/api/files/{file_id}", "/api/unknown", "/screens"} <= endpoints
    assert len(endpoints) < 12
    assert 'method="BREW"' not in scraped


def test_shared_numbers_come_from_the_database_and_never_hang(tmp_path: Path) -> None:
    """Without its tables, the database's numbers are left out and the gauge says so; the rest is served."""
    container = build_container(make_settings(tmp_path))
    observed = Observed(container)
    assert [metric.name for metric in observed.collect()] == ["observed_ok"]
    assert next(iter(next(iter(observed.collect())).samples)).value == 0.0
    observed.close()
    container.close()


def test_production_insists_on_https(tmp_path: Path) -> None:
    """In production every answer says that this site is reached by HTTPS only."""
    from starlette.applications import Starlette

    from services.api.headers import SecurityHeaders, content_policy
    from tests.servers import http_server

    for strict in (True, False):
        with http_server(SecurityHeaders(Starlette(), https_only=strict)) as client:
            headers = client.get("/").headers
            assert ("strict-transport-security" in headers) is strict
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "same-origin"
            assert "camera=()" in headers["permissions-policy"]
    policy = content_policy("<script>one()</script><script src=x></script>")
    assert policy.count("sha256-") == 1
    for part in ("frame-ancestors 'none'", "object-src 'none'", "base-uri 'none'", "default-src 'self'"):
        assert part in policy
