"""In production the product calls the addresses of its settings, and nothing that a person or a file names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.production import ROOT, production
from tests.service.test_app import BANK, LEDGER, PERSON, PLAN, answers, start, wait_for

# Python tells of each address before it is called or looked up, whichever library does it.
RECORDER = """
import json, os, sys

def heard(event, given):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = given[1] if event == "socket.connect" else given[:2]
        if isinstance(address, tuple):
            line = json.dumps([str(address[0]), str(address[1])]) + "\\n"
            file = os.open(os.environ["RECORDED"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
            os.write(file, line.encode())
            os.close(file)

sys.addaudithook(heard)
"""
FOREIGN = "http://203.0.113.9:8080/collect"


@pytest.mark.timeout(300)
def test_only_addresses_of_the_settings_are_called(postgresql_address: str, tmp_path: Path) -> None:
    """A run from upload to result, a mail, a backup: by app, worker and command line, with addresses in every input."""
    recorded, recorder = tmp_path / "recorded", tmp_path / "recorder"
    recorder.mkdir()
    (recorder / "sitecustomize.py").write_text(RECORDER)
    data = tmp_path / "data"
    recording = {"PYTHONPATH": str(recorder), "RECORDED": str(recorded), "RECON_EMBEDDED_WORKER": "false"}
    with production(postgresql_address, data, **recording) as house:
        app, address = start(data, **house.environment | {"RECON_PASSWORD_HASH_ROUNDS": "12"})
        worker = subprocess.Popen([sys.executable, "-m", "services.jobs"], cwd=ROOT, env=house.environment)
        try:
            wait_for(lambda: answers(address) or app.poll() is not None, 120)
            with httpx.Client(base_url=address, timeout=60) as client:
                wait_for(lambda: client.get("/api/health").status_code == 200)
                client.post("/api/auth/register", json={**PERSON, "name": FOREIGN})
                client.post("/api/auth/password/forgot", json={"email": PERSON["email"]})
                given = {name: PERSON[name] for name in ("email", "password")}
                client.headers["Authorization"] = f"Bearer {client.post('/api/auth/login', json=given).json()['token']}"
                left, right = (
                    client.post("/api/files/upload", params={"name": FOREIGN + "/x.csv"}, content=content).json()["id"]
                    for content in (LEDGER + f"{FOREIGN},1.00\n".encode(), BANK)
                )
                plan = {**PLAN, "name": FOREIGN, "left": {"label": FOREIGN}}
                launch = {"plan": plan, "left_file_id": left, "right_file_id": right}
                job = f"/api/reconciliation/jobs/{client.post('/api/reconciliation/jobs', json=launch).json()['id']}"
                wait_for(lambda: client.get(job).json()["finished_at"], 90)
                assert client.get(job).json()["status"] == "succeeded"
            assert house.run("ops", "backup", "now").returncode == 0
            secrets = house.aws.client("secretsmanager")
            url = secrets.get_secret_value(SecretId="production/smtp_url")["SecretString"]  # pragma: allowlist secret
            mail = urlsplit(url)
            known = {"redis": house.redis.port, "Amazon": house.proxy.port, "mail": mail.port}
            called = lambda: [tuple(json.loads(line)) for line in recorded.read_text().splitlines()]  # noqa: E731
            wait_for(lambda: ("127.0.0.1", str(mail.port)) in called(), 60)
        finally:
            for process in (worker, app):
                process.terminate()
                process.wait(40)
    assert {port for _, port in called()} >= {str(port) for port in known.values()}
    assert {one for one in called() if one not in {("127.0.0.1", str(port)) for port in known.values()}} == set()
