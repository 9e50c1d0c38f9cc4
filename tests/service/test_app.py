"""The whole product as people start it: `streamlit run app.py`."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.servers import free_port
from tests.service.conftest import PASSWORD

ROOT = Path(__file__).parents[2]
PERSON = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
REVIEWER = {"RECON_EMAIL": PERSON["email"], "RECON_PASSWORD": PASSWORD}
PLAN = {
    "name": "ledger-vs-bank",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank"},
    "fields": [
        {"name": "ref", "left": "ref", "right": "id", "type": "text"},
        {"name": "amount", "left": "amount", "right": "value", "type": "decimal", "scale": 2},
    ],
    "rules": [{"name": "exact", "on": ["ref", "amount"]}],
}
LEDGER = b"ref,amount\nA1,10.00\nA2,20.00\n=cmd|' /C calc'!A0,30.00\n"
BANK = b"id,value\nA1,10.00\nA2,20.05\n"


def start(data_dir: Path, **variables: str) -> tuple[subprocess.Popen[str], str]:
    """Start the app on a free port; gives its process and address."""
    port = free_port()
    environment = {**os.environ, "RECON_DATA_DIR": str(data_dir), "RECON_PASSWORD_HASH_ROUNDS": "4", **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return process, f"http://127.0.0.1:{port}"


def wait_for(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} seconds")


def answers(address: str) -> bool:
    """Whether the app is up."""
    try:
        return httpx.get(f"{address}/api/health/live").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The app with its worker, on an empty data folder."""
    process, address = start(tmp_path_factory.mktemp("app"))
    try:
        wait_for(lambda: answers(address))
        yield process, address
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def person(running: tuple[subprocess.Popen[str], str]) -> Iterator[httpx.Client]:
    """The first administrator's client."""
    with httpx.Client(base_url=running[1], timeout=60) as client:
        assert client.post("/api/auth/register", json=PERSON).status_code == 201
        yield client


def test_one_process_serves_screens_and_api(person: httpx.Client) -> None:
    """The same port answers with the screens, the API and its health, all with the security headers."""
    for path in ("/", "/map?r=1", "/api/health", "/api/docs"):
        answer = person.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert person.get("/api/health").json()["status"] == "ok"


def test_from_two_files_to_evidence(person: httpx.Client) -> None:
    """Two uploads and a plan become matches, breaks, CSV without formulas, and a zip with the manifest."""
    left, right = (
        person.post("/api/files/upload", params={"name": name}, content=content).json()
        for name, content in (("ledger.csv", LEDGER), ("bank.csv", BANK))
    )
    assert (left["status"], right["status"]) == ("profiled", "profiled"), (left, right)
    launched = person.post(
        "/api/reconciliation/jobs", json={"plan": PLAN, "left_file_id": left["id"], "right_file_id": right["id"]}
    )
    assert launched.status_code == 202, launched.text
    job = f"/api/reconciliation/jobs/{launched.json()['id']}"
    wait_for(lambda: person.get(job).json()["finished_at"])
    ended = person.get(job).json()
    assert ended["status"] == "succeeded", ended
    assert ended["summary"]["conserved"] is True
    matches = person.get(f"{job}/results/matches").json()
    assert [(r["side"], r["row"], r["rule"]) for r in matches["rows"]] == [("left", 1, "exact"), ("right", 1, "exact")]
    breaks = person.get(f"{job}/results/breaks", params={"side": "left", "limit": 1}).json()
    rest = person.get(f"{job}/results/breaks", params={"side": "left", "cursor": breaks["next"]}).json()
    assert (breaks["total"], len(breaks["rows"]), len(rest["rows"]), rest["next"]) == (2, 1, 1, None)
    assert breaks["rows"] != rest["rows"]
    exported = person.get(f"{job}/results/breaks", params={"format": "csv", "side": "left"})
    assert exported.status_code == 200, exported.text
    assert exported.headers["content-disposition"] == 'attachment; filename="breaks.csv"'
    references = [row["ref"] for row in csv.DictReader(io.StringIO(exported.text.lstrip("\ufeff")))]
    assert sorted(references) == ["'=cmd|' /C calc'!A0", "A2"]
    assert person.get(f"{job}/results/breaks", params={"format": "parquet"}).content.startswith(b"PAR1")
    assert person.get(f"{job}/workbook").content.startswith(b"PK")
    with zipfile.ZipFile(io.BytesIO(person.get(f"{job}/download").content)) as archive:
        assert {"manifest.json", "summary.json", "matches.parquet", "plan.yaml"} <= set(archive.namelist())
    assert person.get("/api/analytics/dashboard").json()["jobs"] == {"succeeded": 1}


@pytest.mark.parametrize("language", ["sh", "python"])
def test_the_documented_programs_run(
    running: tuple[subprocess.Popen[str], str], person: httpx.Client, tmp_path: Path, language: str
) -> None:
    """What the how-to shows goes from two files to the breaks, with a token that may just do that."""
    wanted = {"name": f"the {language} program", "scopes": ["read", "upload", "run"], "password": PASSWORD}
    token = person.post("/api/tokens", json=wanted).json()["token"]
    page = (ROOT / "docs/how-to/use-the-api.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL))
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    done = subprocess.run(
        ["bash", "-c", program] if language == "sh" else [sys.executable, "-c", program],
        cwd=tmp_path, env={**os.environ, "RECON_URL": running[1], "RECON_TOKEN": token, **REVIEWER},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    if language == "sh":
        assert (tmp_path / "summary.pdf").read_bytes().startswith(b"%PDF")
        assert "manifest.json" in zipfile.ZipFile(tmp_path / "result.zip").namelist()
        assert "reason" in (tmp_path / "breaks.csv").read_text(encoding="utf-8-sig")
        assert ",confirmed,as agreed by phone," in (tmp_path / "decisions.csv").read_text()
    else:
        assert done.stdout.startswith("succeeded {")
        assert len(done.stdout.splitlines()) > 1


def test_wrong_plan_is_one_sentence(person: httpx.Client) -> None:
    """A plan with a mistake is refused with the place of the mistake, before anything runs."""
    answer = person.post(
        "/api/reconciliation/jobs",
        json={
            "plan": {**PLAN, "rules": [{"name": "x", "on": ["nope"]}]},
            "left_file_id": "1" * 32,
            "right_file_id": "2" * 32,
        },
    )
    assert (answer.status_code, answer.json()["title"]) == (422, "Invalid input")
    assert "nope" in answer.json()["detail"]


def test_sigterm_leaves_nobody_behind(tmp_path: Path) -> None:
    """On SIGTERM the app and its worker end within seconds."""
    process, address = start(tmp_path)
    wait_for(lambda: answers(address))
    children = wait_for(lambda: psutil.Process(process.pid).children(recursive=True))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert not [child for child in children if child.is_running()]


def test_wrong_settings_stop_the_start(tmp_path: Path) -> None:
    """Wrong settings and secrets end the start with status 1, a line for each setting and one for all secrets."""
    process, _ = start(tmp_path, APP_ENV="production", DATABASE_URL="sqlite://", AWS_EC2_METADATA_DISABLED="true")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    settings = ("AWS_REGION", "UPLOADS_S3_BUCKET", "BACKUP_S3_BUCKET", "RECON_PUBLIC_URL", "RECON_PASSWORD_HASH_ROUNDS")
    for name in (*settings, "DATABASE_URL"):
        assert f"settings: {name} must" in output or f"settings: {name} is missing" in output
    (line,) = (line for line in output.splitlines() if line.startswith("secrets: "))
    assert "production/jwt_secret" in line
    assert "secretsmanager:GetSecretValue" in line
    assert "Traceback" not in output


def test_production_on_postgresql(postgresql_address: str, tmp_path: Path) -> None:
    """In production the app runs on PostgreSQL and gives its cookie to HTTPS only."""
    secrets = {
        "JWT_SECRET": "0123456789abcdefghijklmnopqrstuvwxyz",
        "DATABASE_URL": f"{postgresql_address}/postgres",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "BACKUP_ENCRYPTION_KEY": "zyxwvutsrqponmlkjihgfedcba9876543210",
        "SMTP_URL": "smtp://127.0.0.1:9",
    }
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
    process, address = start(
        tmp_path,
        APP_ENV="production",
        AWS_REGION="eu-west-1",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_EC2_METADATA_DISABLED="true",
        UPLOADS_S3_BUCKET="nowhere",
        BACKUP_S3_BUCKET="nowhere",
        RECON_PUBLIC_URL="https://recon.example.org",
        RECON_PLAIN_TEXT_HOSTS="127.0.0.1",
        RECON_PASSWORD_HASH_ROUNDS="12",
        **{f"{name}_FILE": str(tmp_path / name) for name in secrets},
    )
    try:
        wait_for(lambda: answers(address))
        answer = httpx.post(f"{address}/api/auth/register", json=PERSON)
        assert answer.status_code == 201
        assert "Secure" in answer.headers["set-cookie"]
        assert "max-age" in answer.headers["strict-transport-security"]
        wait_for(lambda: httpx.get(f"{address}/api/health").json()["parts"]["database"]["detail"] == "postgresql")
        assert not (tmp_path / "recon.db").exists()
    finally:
        process.terminate()
        process.communicate(timeout=20)
