"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 400
CODE = [
    path
    for folder in ("recon_engine", "services", "ops", "pages", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
TESTS = [path for path in CODE if path.is_relative_to(ROOT / "tests") and path.name.startswith("test_")]


def name(path: Path) -> str:
    """The path in the checkout."""
    return str(path.relative_to(ROOT))


def test_a_file_can_be_read_in_one_sitting() -> None:
    """No file of code has more than 400 lines."""
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    assert {file: lines for file, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_dialogs_and_fragments_ask_who_is_signed_in() -> None:
    """A click in a dialog or fragment runs it alone, without the router: only `context` makes them, and asks."""
    raw = {
        name(path)
        for path in CODE
        if path.is_relative_to(ROOT / "pages")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"dialog", "fragment", "experimental_fragment"}
    }
    assert raw <= {"pages/_shared/context.py"}


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_every_test_states_its_behaviour(path: Path) -> None:
    """Each test function has a docstring that says what must hold."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    silent = [f.name for f in functions if f.name.startswith("test_") and not ast.get_docstring(f)]
    assert silent == []
