"""`migrate`: brings the tables up to date, for installations whose app does not own them."""

from __future__ import annotations

import argparse

from ops.commands._shared import Commands, say
from services.container import Container


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    commands.add_parser(
        "migrate", help="bring the tables up to date, and let the app's role work on them"
    ).set_defaults(run=migrate)


def migrate(container: Container, _: argparse.Namespace) -> int:
    """Migrate as the role of DATABASE_URL; waits for the database."""
    container.migrate()
    role = container.settings.database_app_role
    say("The tables are up to date." + (f" The role {role} may work on them." if role else ""))
    return 0
