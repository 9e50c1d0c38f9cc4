"""The image and the compose file: linted, without secrets, in agreement with the settings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.settings import Settings, variable
from services.startup import start
from tests.haproxy import CONFIG

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
KNOWN = {variable(name) for name in Settings.model_fields}
ASKED = re.compile(r"\$\{([A-Z_]+)(?::-([^}]*))?\}")


def test_the_dockerfile_is_clean() -> None:
    """Hadolint has nothing to say."""
    found = subprocess.run(
        [Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_holds_what_is_needed_and_nothing_else() -> None:
    """Every package of the product is copied, each is let through to the build, and the image ends as a plain user."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"^COPY (?!--)(\S+)", dockerfile, re.MULTILINE))
    assert copied == {"requirements.txt", "app.py", ".streamlit", "recon_engine", "services", "ops", "pages"}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_through == copied
    assert all((ROOT / name).exists() for name in copied)
    *_, user = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)
    assert user.partition(":")[0] not in {"0", "root"}
    assert "HEALTHCHECK" in dockerfile
    client = re.search(r"postgresql-client-(\d+)", dockerfile)
    assert client is not None
    assert SERVICES["postgres"]["image"] == f"postgres:{client[1]}"


def test_every_promised_service_is_there() -> None:
    """Application, worker, database, cache, monitoring and proxy."""
    promised = {
        "app-blue",
        "app-green",
        "worker",
        "postgres",
        "redis",
        "prometheus",
        "alertmanager",
        "grafana",
        "proxy",
    }
    assert promised <= set(SERVICES)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_bounded(name: str) -> None:
    """A health check, limits, a root file system that is not written to, no privileges, a fixed version."""
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["healthcheck"].get("interval")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    assert service["restart"] == "unless-stopped"
    assert "privileged" not in service
    if name not in OURS:
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", service["image"]), "name a version"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_stands_in_the_file(name: str) -> None:
    """What is secret is a mounted file, declared once; no variable and no command line holds one."""
    service = SERVICES[name]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    for key, value in service.get("environment", {}).items():
        if re.search(r"PASS|SECRET|TOKEN|_KEY|DATABASE_URL|REDIS_URL|SMTP_URL", key):
            assert str(value).startswith("/run/secrets/"), key
            assert str(value).removeprefix("/run/secrets/") in service["secrets"]
    everything = json.dumps(service)
    assert not re.search(r"://[^/\s:@]+:[^/\s@]+@", everything)
    assert not re.search(r"(?i)(requirepass|--password)", everything)


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_settings_exist(name: str) -> None:
    """Each variable of our services is a setting, and each mounted path of ours is in the checkout."""
    assert set(OURS[name]["environment"]) <= KNOWN


def test_mounted_files_are_in_the_checkout() -> None:
    """Every file that is mounted from beside the compose file is there, but for the secrets, which git ignores."""
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    missing = [path for path in mounted if path.startswith("./") and not (ROOT / path).exists()]
    assert missing == []
    assert all(secret["file"].startswith("./ops/deploy/secrets/") for secret in COMPOSE["secrets"].values())
    assert "/ops/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_running_work_may_end() -> None:
    """The time before SIGKILL is longer than jobs, uploads and requests have to end."""
    for service in OURS.values():
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace > int(service["environment"]["RECON_JOB_DRAIN_SECONDS"]) + 15


def test_the_proxy_knows_its_variables() -> None:
    """What the proxy's configuration asks of the environment is given; its admin socket has a network of its own."""
    asked = set(re.findall(r"\$\{([A-Z_]+)\}|defined\(([A-Z_]+)\)", CONFIG.read_text()))
    assert {first or second for first, second in asked} == set(SERVICES["proxy"]["environment"])
    on_control = {name for name, service in SERVICES.items() if "control" in service.get("networks", [])}
    assert on_control == {"proxy", "rollout"}
    assert COMPOSE["networks"]["control"]["internal"] is True


def test_monitoring_reads_what_is_there() -> None:
    """Each machine that Prometheus and Alertmanager name is a service of the compose file."""
    prometheus = yaml.safe_load((ROOT / "ops/monitoring/prometheus.yml").read_text())
    groups = [group for job in prometheus["scrape_configs"] for group in job.get("static_configs", [])]
    groups += [group for one in prometheus["alerting"]["alertmanagers"] for group in one["static_configs"]]
    hosts = {target.partition(":")[0] for group in groups for target in group["targets"]}
    assert hosts - {"localhost"} <= set(SERVICES)
    for slot in ("blue", "green"):
        address = OURS["rollout"]["environment"][f"RECON_ROLLOUT_{slot.upper()}"]
        assert any(address.removeprefix("http://") in group["targets"] for group in groups)


@pytest.mark.slow
def test_production_starts_with_these_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With secrets as ops/deploy/make-secrets.sh makes them, the start has nothing to say against the settings."""
    made = subprocess.run(
        [ROOT / "ops/deploy/make-secrets.sh", tmp_path], capture_output=True, text=True, check=True
    ).stdout
    missing = {line.rpartition("/")[2] for line in made.splitlines()}
    assert missing == {"smtp_url", "tls_pem", "slack_webhook_url", "pagerduty_routing_key"}
    (tmp_path / "smtp_url").write_text("smtp://me:a-long-password-of-mail@mail.example.org:587")
    for name in missing - {"smtp_url"}:
        (tmp_path / name).write_text("brought by people")
    assert {path.name for path in tmp_path.iterdir()} - {"redis_password"} == set(COMPOSE["secrets"])
    before = (tmp_path / "jwt_secret").read_text()
    subprocess.run([ROOT / "ops/deploy/make-secrets.sh", tmp_path], check=True, capture_output=True)
    assert (tmp_path / "jwt_secret").read_text() == before  # what is there stays
    given = {"AWS_REGION": "eu-west-1", "UPLOADS_S3_BUCKET": "uploads", "BACKUP_S3_BUCKET": "backups"}
    for name, value in OURS["app-blue"]["environment"].items():
        text = ASKED.sub(lambda found: given.get(found[1], found[2] or ""), str(value))
        monkeypatch.setenv(name, text.replace("/run/secrets", str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    settings, _, _ = start()
    assert settings.is_production
    assert settings.database_address.startswith("postgresql+psycopg://recon:")
    assert settings.rollout_blue == "http://app-blue:2000"


def test_the_proxy_accepts_its_configuration(tmp_path: Path) -> None:
    """HAProxy itself finds no fault with the file, with HTTPS and without."""
    (tmp_path / "invitations.map").touch()
    key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*key, "-keyout", tmp_path / "key", "-out", tmp_path / "crt"], check=True, capture_output=True)
    (tmp_path / "tls.pem").write_text((tmp_path / "crt").read_text() + (tmp_path / "key").read_text())
    plain = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "RECON_BIND": "127.0.0.1:8080",
        "RECON_ADMIN": "ipv4@127.0.0.1:9999",
        "RECON_BLUE": "127.0.0.1:1",
        "RECON_GREEN": "127.0.0.1:2",
        "RECON_INVITATIONS": str(tmp_path / "invitations.map"),
    }
    secure = {**plain, "RECON_TLS_BIND": "127.0.0.1:8443", "RECON_TLS_PEM": str(tmp_path / "tls.pem")}
    for environment in (plain, secure):
        told = subprocess.run(
            ["haproxy", "-c", "-f", CONFIG], env=environment, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr


def test_the_bill_of_materials_names_every_locked_package() -> None:
    """`make sbom` lists what is locked, each with its hashes."""
    subprocess.run([sys.executable, ROOT / ".ci/sbom", "1.2.3"], check=True, capture_output=True)
    bom = json.loads((ROOT / "build/sbom.json").read_text())
    locked = set(re.findall(r"^([\w.-]+)==([^ \\]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert {(part["name"], part["version"]) for part in bom["components"]} == locked
    assert all(part["hashes"] for part in bom["components"])
    assert bom["metadata"]["component"]["version"] == "1.2.3"
