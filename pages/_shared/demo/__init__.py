"""The demo reconciliation: two small files with planted breaks, one click away on first start."""

from __future__ import annotations

from pathlib import Path

from pages._shared.context import services
from services.permissions import Actor

FOLDER = Path(__file__).parent


def start(person: Actor) -> str:
    """Upload the two demo files into a new reconciliation and return its id."""
    files = services().files
    uploaded = [_upload(person, name) for name in ("ledger.csv", "bank.csv")]
    for file_id in uploaded:
        files.profile(person, file_id)
    started = services().plans.start(person, "Demo: ledger and bank")
    services().plans.set_files(person, started.id, uploaded[0], uploaded[1])
    services().plans.set_step(person, started.id, "map")
    return started.id


def _upload(person: Actor, name: str) -> str:
    with (FOLDER / name).open("rb") as stream:
        return services().files.upload(person, name, stream).id
