"""`logs`: the JSON lines of production as people read them, of one request, job, session or user, or above a level."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ops.commands._shared import Commands, say
from services.container import Container
from services.errors import Invalid

IDS = ("request", "job", "session", "user")
FIRST = frozenset({"timestamp", "level", "event", "exception"})
CODES = {"debug": "2", "info": "0", "warning": "33", "error": "31", "critical": "31;1"}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("logs", help="pretty-print the JSON logs, and find all lines of one request or job")
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="a log file; - or nothing: stdin")
    for name in IDS:
        parser.add_argument(f"--{name}", metavar="ID", help=f"only lines of this {name}; its first digits are enough")
    parser.add_argument("--level", choices=[level for level in CODES if level != "critical"], default="debug")
    parser.set_defaults(run=run, alone=True)


def run(_container: Container | None, arguments: argparse.Namespace) -> int:
    """Print the lines asked for."""
    if arguments.file == "-":
        _print(sys.stdin, arguments)
        return 0
    try:
        with Path(arguments.file).open(encoding="utf-8", errors="replace") as file:
            _print(file, arguments)
    except OSError as error:
        raise Invalid(f"{arguments.file} cannot be read: {error.strerror}. Name a log file, or - for stdin.") from error
    return 0


def _print(lines: TextIO, arguments: argparse.Namespace) -> None:
    wanted = {name: given for name in IDS if (given := getattr(arguments, name))}
    least = logging.getLevelNamesMapping()[arguments.level.upper()]
    for line in chosen(lines, wanted, least):
        say(pretty(line, colour=sys.stdout.isatty()) if isinstance(line, dict) else line)


def chosen(lines: Iterable[str], wanted: dict[str, str], least: int) -> Iterator[dict[str, Any] | str]:
    """The entries asked for. A line that is no entry, such as another program's, is kept unless something is asked."""
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            if not wanted and least <= logging.DEBUG:
                yield line.rstrip("\n")
            continue
        level = logging.getLevelNamesMapping().get(str(entry.get("level", "info")).upper(), logging.INFO)
        if level >= least and all(str(entry.get(name, "")).startswith(given) for name, given in wanted.items()):
            yield entry


def pretty(entry: dict[str, Any], *, colour: bool) -> str:
    """One entry on one line: time, level, event, facts, and the ids last and short; a traceback below."""
    level = str(entry.get("level", "info"))
    facts = [f"{name}={value}" for name, value in entry.items() if name not in FIRST and name not in IDS]
    ids = [f"{name}={str(entry[name])[:8]}" for name in IDS if entry.get(name)]
    shown = f"{level:<8}"
    if colour:
        shown = f"\033[{CODES.get(level, '0')}m{shown}\033[0m"
        ids = [f"\033[2m{one}\033[0m" for one in ids]
    time = str(entry.get("timestamp", ""))[:23].replace("T", " ")
    parts = (f"{time} {shown}{entry.get('event', '')}", " ".join(facts), " ".join(ids))
    told = "  ".join(part for part in parts if part)
    trace = str(entry.get("exception", ""))
    return told + ("\n" + "\n".join(f"    {row}" for row in trace.splitlines()) if trace else "")
