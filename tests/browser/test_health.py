"""The health page on a wall: live through degradation, outage and recovery; actions ask once more and are audited."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from psycopg.types.json import Jsonb

from tests.browser import steps
from tests.browser.server import Server
from tests.postgresql_cluster import Server as Database
from tests.postgresql_cluster import running
from tests.servers import RedisServer, postgresql_programs, redis_server


@pytest.fixture
def database() -> Iterator[Database]:
    """A PostgreSQL server that the test stops."""
    with running(postgresql_programs()) as started:
        yield started


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis server that the test kills."""
    with redis_server() as started:
        yield started


@pytest.fixture
def server(tmp_path: Path, database: Database, redis: RedisServer) -> Iterator[Server]:
    """The product on both; circuits stay open for seconds only."""
    product = Server(
        tmp_path,
        DATABASE_URL=f"{database.address}/postgres",
        REDIS_URL=redis.address,
        RECON_BREAKER_OPEN_SECONDS="3",
        RECON_REDIS_RECONNECT_SECONDS="3",
    )
    product.start()
    a_day_of_work(database)
    product.restart()
    yield product
    product.stop()


def a_day_of_work(database: Database) -> None:
    """What another instance counted in the last day: more by day than by night, a bad quarter of an hour."""
    import psycopg

    now = datetime.now(UTC).replace(second=0, microsecond=0)
    rows = []
    for step in range(2, 2870):
        at = now - timedelta(seconds=30 * step)
        busy = int(40 + 35 * math.sin(step / 460))
        failed = 6 if 200 < step < 230 else 0
        counts = {"requests": busy, "errors": failed, "sessions": 2, "api:2": busy - 8, "api:5": 8, "page:5": 9}
        rows.append((at, "b" * 32, Jsonb({**counts, "page:7": 1, "refused:sign_in": int(step == 300) * 3})))
    with psycopg.connect(f"{database.address}/postgres", autocommit=True) as connection:
        insert = "INSERT INTO rolling_sample (at, instance, counts_json) VALUES (%s, %s, %s)"
        connection.cursor().executemany(insert, rows)


def pictures(page: Page, name: str) -> None:
    """How the page looks on a wide screen and on a desk, in both themes."""
    steps.SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # the two that there are
        for width in (1440, 1920):
            page.set_viewport_size({"width": width, "height": 1080})
            page.wait_for_timeout(6000)  # the next drawing by the clock takes the theme's colours
            page.screenshot(path=steps.SCREENSHOTS / f"health-{name}-{theme}-{width}.png")
    page.emulate_media(color_scheme="light")


def test_health_lives_through_everything(
    page: Page, browser: Browser, server: Server, database: Database, redis: RedisServer
) -> None:
    """Well; degraded without Redis; down without the database, still drawn; well again: all without a click."""
    steps.create_administrator(page)
    page.goto("/health")
    state = page.get_by_role("status").filter(has_text="UTC")
    expect(state).to_contain_text("All is well.")
    expect(page.get_by_text("nobody was refused").or_(page.get_by_text("sign in: 3 calls refused"))).to_be_visible()
    expect(page.get_by_text("Crash-free rate").first).to_be_visible()
    pictures(page, "well")

    redis.kill()
    expect(state).to_contain_text("Degraded: Redis")
    pictures(page, "degraded")
    redis.start()
    expect(state).to_contain_text("All is well.")

    database.stop()
    expect(state).to_contain_text("Down: the database does not answer.")
    expect(page.get_by_text("circuit open").or_(page.get_by_text("circuit half-open")).first).to_be_visible()
    expect(page.get_by_text("not known while the database is away").first).to_be_visible()
    pictures(page, "down")
    database.start()
    expect(state).to_contain_text("All is well.")
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_actions_ask_once_more_and_are_audited(page: Page, server: Server, database: Database) -> None:
    """A click alone does nothing; the second one does, and stands in the audit trail."""
    steps.create_administrator(page)
    page.goto("/health")
    for title, begun in (("Back up now", "The backup has begun."), ("Retry mail", "0 mails tried again.")):
        steps.button(page, title).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        assert database.execute("SELECT count(*) FROM audit WHERE action IN ('backup.run', 'mail.retry')")[0][0] < 2
        dialog.get_by_role("button", name=title).click()
        expect(page.get_by_text(begun)).to_be_visible()
    steps.button(page, "Pause or resume a run").click()
    expect(page.get_by_text("No run is waiting, running or paused.")).to_be_visible()
    found = {action for (action,) in database.execute("SELECT action FROM audit")}
    assert {"backup.run", "mail.retry"} <= found
