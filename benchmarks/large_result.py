"""A large result, made once by the application itself: uploaded, launched, and run by its worker."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.data import SHARES, generate
from recon_engine.plan import Plan
from services.container import Container, build_container
from services.database.models import Account
from services.permissions import Actor
from services.settings import load_settings
from tests.browser.server import Server
from tests.work import wait_for

EMAIL, PASSWORD = "ada@example.org", "violet-otter-42"  # pragma: allowlist secret
RUN_SECONDS = 1800
ENVIRONMENT = {
    "RECON_PASSWORD_HASH_ROUNDS": "4",
    "RECON_LIMIT_OTHER": "1000000/hour",
    "RECON_JOB_MEMORY_MB": "10000",
}


def ready(folder: Path, matches: int, breaks: int) -> None:
    """See to it that the folder has an installation with such a result; `job.txt` then names the run.

    Half of the breaks have no counterpart, the others one whose amount is far off.
    """
    if (folder / "job.txt").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    rows = matches + breaks // 2
    few = {name: share for name, share in SHARES.items() if name not in ("exact", "missing", "far off")}
    apart = breaks / 4 / rows
    shares = {"exact": 1 - sum(few.values()) - 2 * apart, **few, "missing": apart, "far off": apart}
    print(f"{rows:,} rows a side are made and reconciled, once", file=sys.stderr)
    generate(folder / "input", rows, shares)
    data = folder / "data"
    data.mkdir()
    server = Server(data, **ENVIRONMENT)
    server.start()
    container = opened(folder)
    try:
        job = _run(container, folder / "input")
        (folder / "job.txt").write_text(job, encoding="utf-8")
    finally:
        container.close()
        server.stop()


def _run(container: Container, given: Path) -> str:
    account = container.accounts.create_first_admin("Ada", EMAIL, PASSWORD)
    actor = container.sessions.resolve(container.sessions.start(account, "127.0.0.1", "benchmark"))
    files = [container.files.upload(actor, name, given / name).id for name in ("left.csv", "right.csv")]
    for file in files:
        container.files.profile(actor, file)
    started = container.plans.start(actor, "Large")
    plan = Plan.load(given / "plan.yaml")
    container.plans.set_files(actor, started.id, *files)
    container.plans.set_plan(actor, started.id, plan)
    job = container.jobs.launch(actor, started.id, plan, *files)
    return wait_for(container, job.id, "succeeded", RUN_SECONDS).id


def opened(folder: Path) -> Container:
    """The services on the installation's data."""
    return build_container(load_settings(_env_file=None, data_dir=folder / "data", password_hash_rounds=4))


def signed_in(container: Container) -> tuple[str, Actor]:
    """A new session of the administrator: its token, and the person."""
    with container.session() as session:
        account = session.query(Account).filter_by(email=EMAIL).one()
    token = container.sessions.start(account, "127.0.0.1", "benchmark")
    return token, container.sessions.resolve(token)
