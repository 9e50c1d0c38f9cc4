"""Makes the process ready for its first page, and keeps what never goes away from being looked through again."""

from __future__ import annotations

import gc
import importlib

LIBRARIES = ("numpy", "pandas", "pyarrow", "polars")
"""What Streamlit and the pages import when the first page is drawn."""


def warm() -> None:
    """Import the libraries and leave all that is loaded out of the garbage collections to come.

    A full collection stops every thread. Looking through the modules, a third of a million objects, it takes a fifth
    of a second on a busy machine: longer than a health check may. Importing would cause several of them.
    """
    gc.disable()
    try:
        for name in LIBRARIES:
            importlib.import_module(name)
        gc.freeze()
    finally:
        gc.enable()
