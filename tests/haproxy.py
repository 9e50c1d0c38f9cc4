"""The product's own proxy configuration on Debian's HAProxy, in front of processes of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers import free_port

CONFIG = Path(__file__).parents[1] / "ops/deploy/haproxy.cfg"


@dataclass(frozen=True)
class RunningProxy:
    """Where it listens, and where it takes orders."""

    address: str
    admin: str
    tls_port: int = 0
    """Where it listens for HTTPS, when it was given a certificate."""


@contextmanager
def haproxy(blue: int, green: int, certificate: Path | None = None) -> Iterator[RunningProxy]:
    """HAProxy with two slots, at these ports of this machine; with HTTPS if there is a file of certificate and key."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    folder = Path(tempfile.mkdtemp(prefix="recon-hap-"))
    (folder / "invitations.map").touch()
    port = free_port()
    tls_port = free_port() if certificate else 0
    secure = {"RECON_TLS_BIND": f"127.0.0.1:{tls_port}", "RECON_TLS_PEM": str(certificate)} if certificate else {}
    environment = {
        **os.environ,
        "RECON_BIND": f"127.0.0.1:{port}",
        "RECON_ADMIN": str(folder / "admin.sock"),
        "RECON_BLUE": f"127.0.0.1:{blue}",
        "RECON_GREEN": f"127.0.0.1:{green}",
        "RECON_INVITATIONS": str(folder / "invitations.map"),
        **secure,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-db", "-f", CONFIG], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/api/health/live", timeout=1)
                break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
        yield RunningProxy(f"http://127.0.0.1:{port}", str(folder / "admin.sock"), tls_port)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
