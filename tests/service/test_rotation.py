"""Passwords, addresses and keys are rotated while the product runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis
from limits import parse
from sqlalchemy import text

from ops.backup.make import back_up
from ops.backup.open import verify
from ops.backup.site import keyring_of, site_of
from services.container import Container, build_container
from services.errors import Unavailable
from services.redis_link import RedisAway
from services.startup import start
from tests.production import MARK, canary, production
from tests.servers import RedisServer, redis_server
from tests.service.conftest import make_settings
from tests.service.test_app import wait_for


def test_new_connections_follow_the_password(
    postgresql_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever changes first, the secret or the database, the next connection is made; open ones live on."""
    with production(postgresql_address, tmp_path) as house:
        for name, value in house.environment.items():
            monkeypatch.setenv(name, value)
        settings, secrets, breakers = start(_env_file=None)
        container = Container(settings, breakers=breakers)
        container.secrets = secrets

        def works() -> bool:
            container.engine.pool.dispose()
            with container.session() as session:
                return session.scalar(text("SELECT 1")) == 1

        assert works()
        with container.session() as open_one:
            open_one.scalar(text("SELECT 1"))
            password = canary("database")
            house.aws.put_secrets({"production/database_url": house.url(password)})
            assert works()  # the secret went first: the old password is still good
            time.sleep(2.05)
            secrets.refresh("database_url")
            assert works()  # the new one is known and refused: the one before serves
            house.set_password(password)
            assert works()
            assert open_one.scalar(text("SELECT 1")) == 1
        password = canary("database")
        house.set_password(password)  # the database went first
        with pytest.raises(Unavailable) as caught:
            works()
        assert MARK not in f"{caught.value!r} {caught.value.__cause__!r}"
        house.aws.put_secrets({"production/database_url": house.url(password)})
        time.sleep(2.05)  # a secret is not asked for twice at once
        assert works()
        container.close()


def test_redis_follows_its_address(tmp_path: Path) -> None:
    """A new password, and later another server: the next connection takes it, whichever of the two changed first."""
    with redis_server() as first, redis_server() as second:
        address = tmp_path / "redis_url"

        def rotate(server: RedisServer, password: str) -> None:
            address.write_text(f"redis://:{password}@127.0.0.1:{server.port}/0")

        set_password(first, "", "the first password")
        rotate(first, "the%20first%20password")
        settings = make_settings(
            tmp_path,
            redis_url=address.read_text(),
            redis_url_file=address,
            secrets_cache_seconds=0.05,
            redis_reconnect_seconds=0.1,
            redis_timeout_seconds=5,
        )
        container = build_container(settings)
        link = container.redis
        assert link is not None

        def works() -> bool:
            try:
                link.ping()
                return link.call(lambda: link.windows.get("nothing")) == 0
            except RedisAway:
                return False

        assert works()
        set_password(first, "the first password", "the second password")
        link._pool.disconnect()  # as after a restart of Redis, which knows only the new password
        assert not works()
        rotate(first, "the%20second%20password")
        wait_for(works, 60)
        link.client.set("where", "first")
        rotate(second, "")
        wait_for(lambda: works() and link.client.get("where") is None, 60)
        assert container.limits._shared is not None
        assert container.limits._shared.hit(parse("1/hour"), "somebody")
        assert redis.Redis(port=second.port).keys("*somebody*")
        container.close()


def test_backups_follow_their_key(tmp_path: Path) -> None:
    """The next backup is made with the new key by every process that runs on; what the old one made still opens."""
    key = tmp_path / "backup_key"
    key.write_text("the first key of the backups 0123456789")
    settings = make_settings(tmp_path, backup_encryption_key_file=key, secrets_cache_seconds=0.05)
    container = build_container(settings)
    container.migrate()
    first = back_up(site_of(container))
    assert first is not None
    key.with_name("backup_key.previous").write_text(key.read_text())
    key.write_text("the second key of the backups 0123456789")
    wait_for(lambda: keyring_of(container).recipient != first.recipient, 60)
    second = back_up(site_of(container))
    assert second is not None
    site = site_of(container)
    assert [header.id for header in site.store.listing().backups] == [second.id, first.id]
    assert second.recipient == site.keyring.recipient
    for header in (first, second):
        verify(site, header)
    container.close()


def set_password(server: RedisServer, before: str, after: str) -> None:
    """Let only this password in."""
    redis.Redis(port=server.port, password=before or None).config_set("requirepass", after)
