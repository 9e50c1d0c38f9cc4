"""docs/security.md says only what is there: every requirement once, every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| (met|not applicable|\*\*open\*\*) \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
REQUIREMENTS = 253  # of levels 1 and 2
# Input, files, authentication, sessions, access: nothing is open here.
CLOSED = ("1.", "2.", "5.", "6.", "7.", "8.")


@cache
def functions(path: str) -> frozenset[str]:
    """The test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_requirement_stands_once() -> None:
    """Each requirement of levels 1 and 2 has one row, and the counts above the table are right."""
    assert len({number for number, _, _ in ROWS}) == len(ROWS) == REQUIREMENTS
    states = [state.strip("*") for _, state, _ in ROWS]
    told = ", ".join(f"{states.count(state)} {state}" for state in ("met", "not applicable", "open"))
    assert f"{REQUIREMENTS} requirements of levels 1 and 2: {told}." in PAGE


def test_every_named_test_exists() -> None:
    """A row that says "met" names at least one test, and each test named is there."""
    assert [number for number, state, text in ROWS if state == "met" and not TEST.search(text)] == []
    assert [f"{path}::{test}" for path, test in TEST.findall(PAGE) if test not in functions(path)] == []


def test_nothing_is_open_where_it_must_not_be() -> None:
    """No requirement of input, files, authentication, sessions or access is open."""
    assert [number for number, state, _ in ROWS if "open" in state and number.startswith(CLOSED)] == []
