"""Fault tests run real worker processes on the databases of the service tests, with the machine's clock."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from services.container import Container, build_container
from services.permissions import Actor
from services.settings import Settings
from tests.service.conftest import (  # noqa: F401 - fixtures
    PASSWORD,
    postgresql_address,
    postgresql_template,
    settings,
    sqlite_template,
)

FULL = os.environ.get("RECON_FAULT") == "full"
"""The numbers that are promised, as `make fault` runs them; otherwise a sample of them."""
ROUNDS = 10 if FULL else 1


@pytest.fixture
def impatient(settings: Settings) -> Settings:  # noqa: F811 - a fixture
    """Settings with the shortest lease, attempts enough for every kill, and as many jobs as a test starts."""
    jobs = {"job_lease_seconds": 2, "job_heartbeat_seconds": 1, "job_max_attempts": 100, "job_drain_seconds": 0}
    short = {**jobs, "limit_job_start": "10000/hour", "mail_lease_seconds": 2, "mail_first_wait_seconds": 1}
    return settings.model_copy(update=short)


@pytest.fixture
def container(impatient: Settings) -> Iterator[Container]:
    """The services over the same database as the workers."""
    built = build_container(impatient)
    yield built
    built.close()


@pytest.fixture
def admin(container: Container) -> Actor:
    """The first administrator, signed in."""
    container.accounts.create_first_admin("Ada Admin", "ada@example.org", PASSWORD)
    return container.sessions.resolve(container.sessions.sign_in("ada@example.org", PASSWORD, "127.0.0.1", "test")[0])
