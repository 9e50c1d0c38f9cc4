"""Named moments at which a process can be made to vanish, to prove that nothing depends on its living on.

`RECON_CRASH_AT=<name>` ends the process there as SIGKILL would, when APP_ENV=development; otherwise nothing happens.
"""

from __future__ import annotations

import os
from typing import Literal, get_args

Point = Literal[
    "upload received",  # the bytes are on the disk of this machine, under no name
    "upload stored",  # the object is in the storage, no row knows it
    "upload recorded",  # the row is committed, the person is not told
    "job accepted",
    "job claimed",
    "job prepared",  # its files are laid out
    "job started",  # its child runs
    "job computed",  # its child has ended
    "job half stored",  # the first file of the result is in the storage
    "job stored",
    "job finished",
    "mail claimed",
    "mail sent",  # the server has said yes, our row does not know
    "mail noted",
]
POINTS: tuple[str, ...] = get_args(Point)
_armed = os.environ.get("RECON_CRASH_AT", "") if os.environ.get("APP_ENV") == "development" else ""


def reach(point: Point) -> None:
    """Say that the moment has come."""
    if point == _armed:
        os._exit(137)
