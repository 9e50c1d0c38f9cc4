"""The reference of the operations' command line is what its parser knows."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.__main__ import main, parser

PAGE = Path(__file__).parents[2] / "docs/reference/ops.md"


def commands(made: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each command with its arguments."""
    parts = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
    for action in parts:
        for name, child in action.choices.items():
            yield from commands(child, f"{before} {name}".strip())
    if not parts:
        known = [action for action in made._actions if not isinstance(action, argparse._HelpAction)]
        yield before, {action.option_strings[-1] if action.option_strings else str(action.metavar) for action in known}


def test_every_command_is_documented() -> None:
    """The table of ops.md lists every command with exactly its arguments."""
    rows = re.findall(r"^\| `([a-z ]+?)((?: \[?[-A-Z][^`]*)?)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name: set(re.findall(r"--[a-z-]+|\bID\b|\bFILE\b|\bVERSION\b", rest)) for name, rest in rows}
    known = dict(commands(parser()))
    assert {name: known.get(name) for name in documented} == documented
    assert set(known) == set(documented)


def test_a_wrong_time_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """A time that is none ends with status 2 and an example."""
    with pytest.raises(SystemExit) as ended:
        main(["restore", "--at", "yesterday"])
    assert ended.value.code == 2
    assert "2026-03-02T09:00" in capsys.readouterr().err
