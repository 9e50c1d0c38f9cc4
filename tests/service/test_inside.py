"""PostgreSQL and Redis as compose.yaml runs them, with the secrets that ops/deploy/make-secrets.sh makes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import yaml
from sqlalchemy import text

from services.container import Container, build_container
from services.errors import TooMany, Unavailable
from services.limits import Limited
from services.redis_link import RedisAway
from tests.postgresql_cluster import Server
from tests.servers import free_port, postgresql_programs
from tests.service.conftest import make_settings

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
MAKE = ROOT / "ops/deploy/make-secrets.sh"


def made(folder: Path) -> Path:
    """The secrets of one installation."""
    subprocess.run([MAKE, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The secrets of this installation."""
    return made(tmp_path_factory.mktemp("secrets"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of another: its authority vouches for nothing here."""
    return made(tmp_path_factory.mktemp("others"))


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The containers' names lead to this machine."""
    plain = socket.getaddrinfo

    def found(host: Any, *given: Any, **named: Any) -> Any:
        return plain("127.0.0.1" if host in {"redis", "elsewhere"} else host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until somebody listens there."""
    for _ in range(400):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        assert process.poll() is None, "it did not start"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cache(secrets: Path) -> Iterator[str]:
    """Redis with the command of compose.yaml, on a port of its own; gives the address that the app is given."""
    port = free_port()
    command = [part.replace("/run/secrets", str(secrets)) for part in SERVICES["redis"]["command"]]
    command[command.index("6379")] = str(port)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=secrets)
    try:
        listening(process, port)
        yield (secrets / "redis_url").read_text().replace("/run/secrets", str(secrets)).replace("6379", str(port))
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def database(secrets: Path) -> Iterator[str]:
    """PostgreSQL with the TLS of compose.yaml, after its script of the first start; gives the app's address."""
    server = Server(postgresql_programs())
    key = server._folder / "tls.pem"
    shutil.copy(secrets / "postgres_tls", key)
    key.chmod(0o600)
    shutil.chown(key, server._folder.owner(), server._folder.group())
    given = re.findall(r"-c (ssl\S*=\S+)", SERVICES["postgres"]["command"][-1])
    server._options += tuple(option.replace("/var/run/postgresql/tls.pem", str(key)) for option in given)
    try:
        server.start()
        server.execute("CREATE ROLE postgres SUPERUSER LOGIN")
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{server.port}/postgres", autocommit=True) as superuser:
            superuser.execute("ALTER ROLE recon RENAME TO nobody")  # the image's superuser is postgres
            # As the image leaves it, but for the script's own way in.
            rules = "host all postgres 127.0.0.1/32 trust\nhost all all all scram-sha-256\n"
            (server._data / "pg_hba.conf").write_text(rules)
            script = (ROOT / "ops/deploy/postgres-init.sh").read_text().replace("/run/secrets", str(secrets))
            reached = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGDATA": str(server._data)}
            subprocess.run(["sh", "-c", script], check=True, capture_output=True, env={**os.environ, **reached})
            superuser.execute("SELECT pg_reload_conf()")
        address = (secrets / "database_url").read_text().replace("/run/secrets", str(secrets))
        yield address.replace("5432", str(server.port)) + "&hostaddr=127.0.0.1"
    finally:
        server.remove()


def services(folder: Path, **given: str) -> Container:
    """The services of the product over these addresses."""
    return build_container(make_settings(folder, database_retry_seconds=0.1, redis_timeout_seconds=2, **given))


def test_the_database_is_reached_by_tls(database: str, tmp_path: Path) -> None:
    """The app's own role makes the tables, over TLS 1.3."""
    container = services(tmp_path, database_url=database)
    container.migrate()
    with container.session() as session:
        spoken = session.execute(text("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).one()
        assert tuple(spoken) == (True, "TLSv1.3")
        rights = session.execute(text("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user"))
        assert tuple(rights.one()) == (False, False)
    container.close()


def test_the_database_takes_and_gives_nothing_else(database: str, secrets: Path, others: Path, tmp_path: Path) -> None:
    """No plain text, no other authority, no other name: each is refused, by the server or by us."""
    wrong = {
        "plain": database.replace("sslmode=verify-full", "sslmode=disable"),
        "authority": database.replace(f"{secrets}/internal_ca", f"{others}/internal_ca"),
        "name": database.replace("@postgres:", "@elsewhere:"),
    }
    for address in wrong.values():
        container = services(tmp_path, database_url=address)
        with pytest.raises(Unavailable):
            container.accounts.first_run()
        container.close()


def test_monitoring_only_looks(database: str, secrets: Path) -> None:
    """The exporter's role reads statistics and none of the people's data."""
    address = re.sub("//recon:[^@]+@", f"//monitor:{(secrets / 'monitor_password').read_text()}@", database)
    with psycopg.connect(address, autocommit=True) as monitor:
        assert monitor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type IS NOT NULL").fetchone()
        monitor.execute("SELECT pg_database_size('recon')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute("SELECT * FROM account")


def test_the_cache_is_reached_by_tls(cache: str, tmp_path: Path) -> None:
    """Limits and cached values live in Redis, over TLS, with no more rights than that takes."""
    container = services(tmp_path, redis_url=cache, limit_upload="1/hour")
    link = container.redis
    assert link is not None
    link.ping()
    container.limits.hit(Limited.UPLOAD, "203.0.113.1")
    with pytest.raises(TooMany):
        container.limits.hit(Limited.UPLOAD, "203.0.113.1")
    assert container.cache.get(("a", 1), 60, lambda: b"made") == b"made"
    again = services(tmp_path, redis_url=cache, limit_upload="1/hour")
    assert again.cache.get(("a", 1), 60, lambda: b"made anew") == b"made"
    with pytest.raises(TooMany):
        again.limits.hit(Limited.UPLOAD, "203.0.113.1")
    for command in ("FLUSHALL", "CONFIG GET *", "KEYS *", "SHUTDOWN", "ACL LIST", "GET other", "EVAL return(1) 0"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            link.client.execute_command(*command.split(" "))
    for one in (container, again):
        one.close()


def test_the_cache_takes_and_gives_nothing_else(cache: str, secrets: Path, others: Path, tmp_path: Path) -> None:
    """No plain text, no other authority, no other name, nobody without the password."""
    wrong = {
        "plain": cache.replace("rediss:", "redis:").partition("?")[0],
        "authority": cache.replace(f"{secrets}/internal_ca", f"{others}/internal_ca"),
        "name": cache.replace("@redis:", "@elsewhere:"),
        "nobody": re.sub("//recon:[^@]+@", "//", cache),
    }
    for address in wrong.values():
        container = services(tmp_path, redis_url=address)
        assert container.redis is not None
        with pytest.raises(RedisAway):
            container.redis.ping()
        container.close()
