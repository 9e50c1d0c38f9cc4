"""The database's password is rotated while the product runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import text

from services.container import Container
from services.errors import Unavailable
from services.startup import start
from tests.production import MARK, canary, production


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
