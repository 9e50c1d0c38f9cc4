"""Everything that production needs, on this machine: secrets that can be recognised wherever they should not be."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import redis
from psycopg import sql

from tests.aws_server import BACKUPS, REGION, UPLOADS, AwsServer, aws_server
from tests.cutting_proxy import CuttingProxy
from tests.servers import RedisServer, free_port

ROOT = Path(__file__).parents[1]
MARK = "CANARY"


def canary(name: str) -> str:
    """A secret value that nothing else looks like."""
    return f"{MARK}-{name}-{uuid.uuid4().hex}"


@dataclass
class Production:
    """The services, the secrets in them, and the environment that leads to them."""

    aws: AwsServer
    proxy: CuttingProxy
    """Between the product and Amazon."""
    redis: RedisServer
    superuser: str
    database: str
    environment: dict[str, str]

    def rotate_database_password(self) -> None:
        """A new password: in Secrets Manager first, then in the database."""
        password = canary("database")
        self.aws.put_secrets({"production/database_url": self.url(password)})
        self.set_password(password)

    def set_password(self, password: str) -> None:
        """Let only this password in."""
        with psycopg.connect(f"{self.superuser}/postgres", autocommit=True) as connection:
            command = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(command.format(sql.Identifier(self.database), sql.Literal(password)))

    def url(self, password: str) -> str:
        """The database's address with a password."""
        return f"postgresql://{self.database}:{password}@{self.superuser.rpartition('@')[2]}/{self.database}"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a Python module of the product to its end."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip


@contextmanager
def production(superuser: str, data_dir: Path, **settings: str) -> Iterator[Production]:
    """Start what is missing beside PostgreSQL, make a role that needs its password, and fill Secrets Manager."""
    name = f"prod_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{superuser}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*(sql.Identifier(name),) * 2))
        hba = Path(connection.execute("SHOW hba_file").fetchone()[0])  # type: ignore[index]  # SHOW gives a row
        hba.write_text(f"host all {name} 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
        connection.execute("SELECT pg_reload_conf()")
    cache = RedisServer()
    cache.start()
    redis_password = canary("redis")
    redis.Redis(port=cache.port).config_set("requirepass", redis_password)
    environment = {
        **os.environ,
        "APP_ENV": "production",
        "AWS_REGION": REGION,
        "UPLOADS_S3_BUCKET": UPLOADS,
        "BACKUP_S3_BUCKET": BACKUPS,
        "RECON_DATA_DIR": str(data_dir),
        "RECON_PUBLIC_URL": "https://recon.example.org",
        "RECON_PLAIN_TEXT_HOSTS": "127.0.0.1",
        "RECON_SECOND_FACTOR": "optional",
        "RECON_LOG_LEVEL": "DEBUG",
        "RECON_RETRY_FIRST_WAIT_SECONDS": "0.1",
        **settings,
    }
    try:
        with aws_server() as aws, CuttingProxy(aws.port) as proxy:
            environment |= aws.environment(proxy.port)
            made = Production(aws, proxy, cache, superuser, name, environment)
            password = canary("database")
            made.set_password(password)
            aws.put_secrets(
                {
                    "production/jwt_secret": canary("jwt"),
                    "production/database_url": made.url(password),
                    "production/redis_url": f"redis://:{redis_password}@127.0.0.1:{cache.port}/0",
                    "production/backup_encryption_key": canary("backup"),
                    "production/smtp_url": f"smtp://me:{canary('smtp')}@127.0.0.1:{free_port()}",
                }
            )
            yield made
    finally:
        cache.kill()
        with psycopg.connect(f"{superuser}/postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def seen_from_outside() -> dict[str, bytes]:
    """Command lines and environments of all that this test has started, as any tool of the system shows them."""
    found: dict[str, bytes] = {}
    for each in psutil.Process().children(recursive=True):
        for part in ("cmdline", "environ", "comm"):
            with contextlib.suppress(OSError, psutil.Error):
                if part == "environ" and each.name().startswith("pg_"):
                    continue  # PostgreSQL's own programs take the password there; only the same user can see it
                # The same number can belong to a process before and after it becomes another program.
                content = Path(f"/proc/{each.pid}/{part}").read_bytes()
                found[f"/proc/{each.pid}/{part} {hash(content)}"] = content
    return found
