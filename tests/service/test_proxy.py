"""The product's proxy on the real HAProxy with HTTPS: who is sent there, who is refused, and which TLS is spoken."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ops.__main__ import main
from services.container import build_container
from tests.haproxy import RunningProxy, haproxy
from tests.servers import http_server
from tests.service.conftest import make_settings

HSTS = "max-age=31536000; includeSubDomains"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x" * 24,
}


async def told(request: Request) -> JSONResponse:
    """What reaches the application."""
    return JSONResponse({"path": request.url.path, **request.headers})


@dataclass(frozen=True)
class Front:
    """The proxy, and the certificate that it shows."""

    proxy: RunningProxy
    certificate: Path

    @property
    def secure(self) -> str:
        """Its address by HTTPS."""
        return f"https://localhost:{self.proxy.tls_port}"

    def context(self) -> ssl.SSLContext:
        """A client that trusts this certificate, and for the rest speaks whatever it is told to."""
        made = ssl.create_default_context(cafile=str(self.certificate))
        made.set_ciphers("ALL:@SECLEVEL=0")
        return made

    def shaken(self, context: ssl.SSLContext) -> tuple[str | None, str]:
        """The version and the cipher suite that both sides agree on."""
        with (
            socket.create_connection(("127.0.0.1", self.proxy.tls_port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            return secured.version(), (secured.cipher() or ("",))[0]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The proxy before an application that says what it was sent."""
    folder = tmp_path_factory.mktemp("proxy")
    pem, key = folder / "tls.pem", folder / "key"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "30"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*make, *names, "-keyout", key, "-out", pem], check=True, capture_output=True)
    certificate = folder / "crt"
    certificate.write_bytes(pem.read_bytes())
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
    with http_server(Starlette(routes=[Route("/{path:path}", told, methods=["GET", "POST"])])) as application:
        port = int(application.base_url.port or 0)
        with haproxy(port, port, pem) as proxy:
            yield Front(proxy, certificate)


def test_pages_are_sent_to_https(front: Front) -> None:
    """What people type into a browser leads to the same page by HTTPS."""
    for path in ("/", "/results?job=1", "/try?key=x"):
        answer = httpx.get(f"{front.proxy.address}{path}", headers={"Host": "recon.example.org"})
        assert (answer.status_code, answer.headers["location"]) == (301, f"https://recon.example.org{path}")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/api/users", {"Authorization": "Bearer r378_secret"}),
        ("POST", "/api/auth/login", {}),
        ("GET", "/api/health", {}),
        ("GET", "/_stcore/stream", UPGRADE),
        ("GET", "/media/file.csv", {}),
        ("POST", "/", {}),
    ],
)
def test_programs_are_refused_in_the_clear(front: Front, method: str, path: str, headers: dict[str, str]) -> None:
    """A call without TLS is no quiet success: it is refused, sent nowhere else, and does not reach the application."""
    forged = {**headers, "X-Forwarded-Proto": "https"}
    answer = httpx.request(method, f"{front.proxy.address}{path}", headers=forged)
    assert answer.status_code == 403
    assert "location" not in answer.headers
    assert answer.text == "This address is reached by HTTPS only."


def test_everything_passes_by_https(front: Front) -> None:
    """Pages, the API and the WebSocket's first request reach the application, which is told of HTTPS; HSTS is sent."""
    with httpx.Client(base_url=front.secure, verify=front.context()) as client:
        for path, headers in (("/", {}), ("/api/users", {}), ("/_stcore/stream", UPGRADE)):
            answer = client.get(path, headers=headers)
            reached: dict[str, Any] = json.loads(answer.text)
            assert (reached["path"], reached["x-forwarded-proto"]) == (path, "https")
            assert answer.headers.get_list("strict-transport-security") == [HSTS]
            assert ("upgrade" in reached) is bool(headers)
        refused = client.get("/api/metrics")
        assert (refused.status_code, refused.headers["strict-transport-security"]) == (404, HSTS)


def test_the_newest_version_and_the_strongest_suite_are_chosen(front: Front) -> None:
    """TLS 1.3 where the client can; else 1.2, with the strongest suite however the client orders them."""
    assert front.shaken(front.context()) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    older = front.context()
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    older.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384")
    assert front.shaken(older) == ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_old_versions_are_refused(front: Front, version: str) -> None:
    """The server itself says that it does not speak TLS 1.0 and 1.1."""
    old = front.context()
    old.minimum_version = old.maximum_version = ssl.TLSVersion[version]
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        front.shaken(old)


@pytest.mark.parametrize(
    "suite",
    ["AES128-SHA", "AES256-GCM-SHA384", "DHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA"],
)
def test_weak_suites_are_refused(front: Front, suite: str) -> None:
    """Without forward secrecy or authenticated encryption there is no connection."""
    weak = front.context()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers(f"{suite}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        front.shaken(weak)


def test_the_certificate_is_judged_as_browsers_do(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ops certificate`: 1 while no known authority vouches for it or it ends too soon, 0 when all is well."""
    services = build_container(make_settings(tmp_path, public_url=front.secure))
    assert main(["certificate"], services) == 1
    assert "localhost: not trusted: self" in capsys.readouterr().out
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))
    assert main(["certificate"], services) == 0
    assert "localhost: TLSv1.3, trusted, valid until" in capsys.readouterr().out
    monkeypatch.setattr("ops.commands.certificate.LEAST_DAYS", 31)
    assert main(["certificate"], services) == 1
    services.close()
    elsewhere = build_container(make_settings(tmp_path, public_url=front.secure.replace("localhost", "127.0.0.2")))
    assert main(["certificate"], elsewhere) == 2
    elsewhere.close()
