"""The product starts while its database is away: people are told so, and it begins as soon as the database is there."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from tests.browser.server import Server as Product
from tests.postgresql_cluster import running
from tests.servers import postgresql_programs


def test_start_before_the_database(tmp_path: Path) -> None:
    """503 with the sentence until the database is there; then health is 200 and a worker lives, without a hand."""
    with running(postgresql_programs()) as database:
        database.stop()
        product = Product(tmp_path, DATABASE_URL=f"{database.address}/postgres", RECON_BREAKER_OPEN_SECONDS="3")
        product.start()
        try:
            with httpx.Client(base_url=product.address, timeout=30) as client:
                refused = client.get("/api/users", headers={"Authorization": "Bearer nobody"})
                assert refused.status_code == 503
                assert refused.json()["detail"].startswith("Service temporarily unavailable.")
                assert "Retry-After" in refused.headers
                assert client.get("/api/health").status_code == 503
                database.start()
                until = time.monotonic() + 90
                while time.monotonic() < until:
                    health = client.get("/api/health").json()
                    if health["status"] == "ok" and "1 alive" in health["parts"]["worker"]["detail"]:
                        break
                    time.sleep(0.5)
                assert (health["status"], health["breakers"]["database"]["state"]) == ("ok", "closed")
                assert "1 alive" in health["parts"]["worker"]["detail"]
        finally:
            product.stop()


def test_a_database_that_cannot_be_brought_up_to_date(tmp_path: Path) -> None:
    """When the database that was waited for is of no use, the process ends and says so: it is started anew, seen."""
    with running(postgresql_programs()) as database:
        database.execute("CREATE TABLE account (somebody_elses integer)")
        database.stop()
        product = Product(tmp_path, DATABASE_URL=f"{database.address}/postgres", RECON_BREAKER_OPEN_SECONDS="3")
        product.start()  # it answers, so it has stopped waiting
        try:
            database.start()
            assert product.ended(within=90) != 0
            assert "could not begin" in product.log()
            assert 'relation "account" already exists' in product.log()
        finally:
            product.stop()
