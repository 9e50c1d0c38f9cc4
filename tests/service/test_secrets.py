"""Secrets: checked at start, remembered while Secrets Manager is away, followed when they are rotated."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from services.container import build_container
from services.errors import ConfigurationError
from services.resilience import Breakers
from services.secrets import CATALOGUE, Secrets, build_secrets
from services.startup import start
from services.tokens import Tokens
from tests.aws_server import BACKUPS, REGION, UPLOADS, AwsServer, aws_server, behind
from tests.cutting_proxy import CuttingProxy
from tests.service.conftest import make_settings

KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
GOOD = {
    "production/jwt_secret": KEY,
    "production/database_url": "postgresql://app:correct-horse-battery@127.0.0.1/recon",  # pragma: allowlist secret
    "production/redis_url": "redis://127.0.0.1:6379/0",
    "production/backup_encryption_key": KEY.upper(),
    "production/smtp_url": "smtp://127.0.0.1:2525",
}
PRODUCTION = {
    "APP_ENV": "production",
    "AWS_REGION": REGION,
    "UPLOADS_S3_BUCKET": UPLOADS,
    "BACKUP_S3_BUCKET": BACKUPS,
    "RECON_PUBLIC_URL": "https://recon.example.org",
    "RECON_PLAIN_TEXT_HOSTS": "127.0.0.1",
    "RECON_RETRY_FIRST_WAIT_SECONDS": "0.05",
}


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    """A running Secrets Manager."""
    with aws_server() as running:
        yield running


@pytest.fixture
def proxy(server: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    """A production environment whose Secrets Manager, behind a proxy, holds good secrets."""
    server.reset()
    server.put_secrets(GOOD)
    monkeypatch.setattr("services.aws.READ_SECONDS", 0.5)
    with CuttingProxy(server.port) as between:
        behind(monkeypatch, server, between.port)
        for name, value in {**PRODUCTION, "RECON_DATA_DIR": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        yield between


def refused() -> list[str]:
    """The lines with which the start is refused."""
    with pytest.raises(ConfigurationError) as caught:
        start(_env_file=None)
    assert caught.value.__cause__ is None or "horse" not in repr(caught.value.__cause__)
    return caught.value.message.splitlines()


def test_production_starts_with_its_secrets(proxy: CuttingProxy) -> None:
    """The settings hold what Secrets Manager holds, and show none of it."""
    settings, secrets, _ = start(_env_file=None)
    assert settings.database_address == GOOD["production/database_url"].replace("postgresql", "postgresql+psycopg")
    assert settings.redis_url.get_secret_value() == GOOD["production/redis_url"]
    assert secrets.get("jwt_secret").get_secret_value() == KEY
    for shown in (repr(settings), str(settings), repr(secrets.get("jwt_secret")), f"{secrets.accepted('jwt_secret')}"):
        assert KEY not in shown
        assert "horse" not in shown
    assert "***" in repr(secrets.get("jwt_secret"))


def test_every_fault_of_settings_and_secrets_is_told_at_once(
    proxy: CuttingProxy, server: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each setting, and one line that names each secret at fault, why, and the permission that is needed."""
    manager = server.client("secretsmanager")
    manager.delete_secret(SecretId="production/jwt_secret", ForceDeleteWithoutRecovery=True)
    server.put_secrets(
        {
            "production/redis_url": " ",
            "production/backup_encryption_key": "short",
            "production/database_url": "mysql://app:correct-horse-battery@h/x",  # pragma: allowlist secret
            "production/smtp_url": "smtp://me:horse@h",  # pragma: allowlist secret
        }
    )
    monkeypatch.setenv("RECON_JOB_SLOTS", "0")
    monkeypatch.setenv("UPLOADS_S3_BUCKET", "")
    monkeypatch.setenv("REDIS_URL", "redis://somewhere")
    monkeypatch.delenv("RECON_PUBLIC_URL")
    lines = refused()
    assert len(lines) == 5
    assert lines[0].startswith("settings: RECON_JOB_SLOTS: ")
    assert lines[1] == "settings: UPLOADS_S3_BUCKET is missing; it is needed when APP_ENV=production"
    assert lines[2].startswith("settings: REDIS_URL must not be in the environment when APP_ENV=production")
    assert lines[3].startswith("settings: RECON_PUBLIC_URL is missing")
    assert lines[4] == (
        "secrets: production/jwt_secret is missing; "
        "production/database_url is no postgresql:// address; "
        "production/redis_url is empty; "
        "production/backup_encryption_key is too weak (at least 32 random characters); "
        "production/smtp_url is too weak (a password of at least 12 characters). "
        "They must be in AWS Secrets Manager in eu-west-1, and the application's role must have the IAM permission "
        "secretsmanager:GetSecretValue for them (ops/deploy/iam-policy.json)."
    )
    assert "horse" not in "".join(lines)


def test_production_says_nothing_in_the_clear(
    proxy: CuttingProxy, server: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an exception for its host every service must be called by TLS: each that is not is told at once."""
    monkeypatch.setenv("RECON_PLAIN_TEXT_HOSTS", "localhost")
    monkeypatch.setenv("RECON_PUBLIC_URL", "http://recon.example.org")
    server.put_secrets({"production/smtp_url": "smtp+plain://relay"})
    lines = refused()
    assert [line.split()[1] for line in lines] == ["RECON_PUBLIC_URL", "AWS_ENDPOINT_URL", "production/database_url"]
    assert lines[2].count("does not insist on TLS") == 3
    assert "production/redis_url does not insist on TLS (write rediss://" in lines[2]
    assert "or name relay in RECON_PLAIN_TEXT_HOSTS" in lines[2]
    encrypted = {
        "production/database_url": GOOD["production/database_url"] + "?sslmode=verify-full",
        "production/redis_url": GOOD["production/redis_url"].replace("redis:", "rediss:"),
        "production/smtp_url": GOOD["production/smtp_url"],
    }
    server.put_secrets(encrypted)
    monkeypatch.setenv("RECON_PUBLIC_URL", "https://recon.example.org")
    assert [line.split()[1] for line in refused()] == ["AWS_ENDPOINT_URL"]


@pytest.mark.parametrize("fault", ["refuse", "black_hole", "reset"])
def test_an_unreachable_secrets_manager_stops_the_start(proxy: CuttingProxy, fault: str) -> None:
    """There is no fallback: every secret is named as unreachable, within seconds."""
    getattr(proxy, fault)()
    started = time.monotonic()
    (line,) = refused()
    assert time.monotonic() - started < 10
    assert all(f"{name} is unreachable" in line for name in GOOD)
    assert "secretsmanager:GetSecretValue" in line


def test_mounted_files_take_the_place_of_secrets_manager(
    proxy: CuttingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With NAME_FILE for each secret nobody else is asked; a file that is not there stops the start by its variable."""
    proxy.refuse()
    for name, value in GOOD.items():
        short = name.removeprefix("production/")
        (tmp_path / short).write_text(value + "\n")
        monkeypatch.setenv(f"{short.upper()}_FILE", str(tmp_path / short))
    settings, secrets, _ = start(_env_file=None)
    assert settings.smtp_url.get_secret_value() == GOOD["production/smtp_url"]
    (tmp_path / "jwt_secret").rename(tmp_path / "jwt_secret.previous")
    (tmp_path / "jwt_secret").write_text(KEY[::-1])
    time.sleep(2.05)  # a secret is not asked for twice at once
    secrets.refresh("jwt_secret")
    assert [key.get_secret_value() for key in secrets.accepted("jwt_secret")] == [KEY[::-1], KEY]
    (tmp_path / "redis_url").unlink()
    assert refused() == [
        "secrets: redis_url (REDIS_URL_FILE) cannot be read from its mounted file (No such file or directory)."
    ]


def test_an_installation_in_development_makes_its_own(tmp_path: Path) -> None:
    """Keys are random, made once even by many at once, and readable by their user only."""
    settings = make_settings(tmp_path)

    def key(_: int) -> str:
        return build_secrets(settings, Breakers(settings)).get("jwt_secret").get_secret_value()

    with ThreadPoolExecutor(8) as pool:
        (made,) = set(pool.map(key, range(16)))
    assert CATALOGUE["jwt_secret"].flaw(made) is None
    other = make_settings(tmp_path / "other")
    assert build_secrets(other, Breakers(other)).get("jwt_secret").get_secret_value() != made
    assert stat.S_IMODE((tmp_path / "secrets" / "jwt_secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["jwt_secret"]


class Fake:
    """A source that a test turns off."""

    def __init__(self, *values: str) -> None:
        self.values, self.asked, self.gate = values, 0, threading.Event()
        self.gate.set()

    def fetch(self) -> tuple[str, ...]:
        """The values, when the gate is open."""
        self.asked += 1
        self.gate.wait(5)
        return self.values


def wait_for(condition: Callable[[], Any]) -> None:
    """Until it is true."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_renewal_never_makes_anybody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old value is given at once while one thread asks for a new one, even when that hangs."""
    monkeypatch.setattr("services.secrets.store.REFRESH_SECONDS", 0.0)
    source = Fake("old")
    secrets = Secrets({"jwt_secret": source}, cache_seconds=0.05)
    assert secrets.get("jwt_secret").get_secret_value() == "old"
    time.sleep(0.06)
    source.gate.clear()
    source.values = ("new", "old")
    started = time.monotonic()
    assert {secrets.get("jwt_secret").get_secret_value() for _ in range(1000)} == {"old"}
    assert time.monotonic() - started < 1
    assert source.asked == 2
    source.gate.set()
    wait_for(lambda: secrets.get("jwt_secret").get_secret_value() == "new")


@pytest.mark.parametrize("fault", ["refuse", "black_hole"])
def test_the_last_known_values_serve_on(proxy: CuttingProxy, server: AwsServer, fault: str) -> None:
    """While Secrets Manager is away after the start nothing changes; when it is back, rotations are seen."""
    settings, _, breakers = start(_env_file=None)
    secrets = build_secrets(settings, breakers)
    quick = Secrets(secrets._sources, cache_seconds=0.05)
    assert quick.get("jwt_secret").get_secret_value() == KEY
    getattr(proxy, fault)()
    for _ in range(20):
        assert quick.get("jwt_secret").get_secret_value() == KEY
        time.sleep(0.02)
    server.put_secrets({"production/jwt_secret": KEY[::-1]})
    proxy.heal()
    wait_for(lambda: not quick._held["jwt_secret"].renewing)
    breakers.of("secrets")._until = 0.0
    wait_for(lambda: quick.get("jwt_secret").get_secret_value() == KEY[::-1])
    assert [key.get_secret_value() for key in quick.accepted("jwt_secret")] == [KEY[::-1], KEY]


def test_tokens_outlive_one_rotation_and_cross_machines(
    proxy: CuttingProxy, server: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token signed before a rotation is good after it; one signed by a machine that knows more makes another ask."""
    monkeypatch.setattr("services.secrets.store.REFRESH_SECONDS", 0.0)
    settings, keys, breakers = start(_env_file=None)
    here, there = Tokens(keys), Tokens(build_secrets(settings, breakers))
    before = here.issue()
    assert here.digest(before) == there.digest(before) != ""
    server.put_secrets({"production/jwt_secret": KEY[::-1]})
    keys.refresh("jwt_secret")
    after = here.issue()
    assert here.digest(before) == there.digest(before) != ""
    assert here.digest(after) == there.digest(after) != ""
    server.put_secrets({"production/jwt_secret": "another key of thirty-two characters"})
    keys.refresh("jwt_secret")
    assert (here.digest(before), bool(here.digest(after))) == ("", True)


@pytest.mark.parametrize("token", ["", "x", "x.y", ".", "é.ü", "a" * 10_000])
def test_only_our_own_tokens_count(tmp_path: Path, token: str) -> None:
    """A token without our signature has no digest, whatever it is."""
    container = build_container(make_settings(tmp_path))
    good = container.tokens.issue()
    assert container.tokens.digest(good)
    for foreign in (token, good[:-1], good + "x", good.split(".")[0], token + good):
        assert container.tokens.digest(foreign) == "" or foreign == good
    container.close()
