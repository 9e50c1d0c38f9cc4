"""What never goes away is not looked through again and again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import gc
import streamlit, services.api
from pages._shared.warm import warm
warm()
print(gc.get_freeze_count(), len(gc.get_objects()))
"""


@pytest.mark.slow
def test_modules_are_out_of_the_collectors_sight() -> None:
    """After warming up a full collection looks at next to nothing of what was loaded."""
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    frozen, left = map(int, ended.stdout.split())
    assert frozen > 100_000
    assert left < frozen / 20
