"""`rollout status|start|advance|rollback|invite|watch`."""

from __future__ import annotations

import argparse
import getpass
import threading

from ops.commands._shared import Commands, say
from ops.errors import Refused
from ops.rollout import moves
from ops.rollout.watch import Watch
from services.container import Container
from services.rollout.board import BY_NAME, Board, Verdict
from services.rollout.service import PHASES, State


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command and its parts."""
    parts = commands.add_parser("rollout", help="bring a new version to everybody, step by step").add_subparsers(
        required=True, metavar="PART"
    )
    parts.add_parser("status", help="the go / no-go board and the phase; 1 on no-go").set_defaults(run=status)
    begin = parts.add_parser("start", help="begin with the version in the idle slot, for invited people only")
    begin.add_argument("version", metavar="VERSION", help="its name, as RECON_VERSION")
    begin.set_defaults(run=start)
    on = parts.add_parser("advance", help="the next phase; refused on no-go")
    on.add_argument(
        "--accept",
        action="append",
        default=[],
        choices=sorted(BY_NAME),
        metavar="MEASURE",
        help="go on although this measure is not known or between go and no-go",
    )
    on.set_defaults(run=advance)
    back = parts.add_parser("rollback", help="everybody back to the old version, now")
    back.add_argument("--reason", default="by hand", help="kept in the audit trail")
    back.set_defaults(run=rollback)
    parts.add_parser("invite", help="fresh links into the new version, in place of those before").set_defaults(
        run=invite
    )
    parts.add_parser("watch", help="read, keep the proxy in place, roll back by itself; until stopped").set_defaults(
        run=watch
    )


def status(container: Container, _: argparse.Namespace) -> int:
    """Tell the board and the phase."""
    board = moves.looked(container)
    _tell_board(board)
    _tell_state(container.rollouts.state())
    for slot, server in sorted(moves.proxy_of(container).servers().items()):
        let_in = "lets nobody in" if server.weight is None else f"weight {server.weight}"
        say(f"{slot:<6} {let_in}, {'up' if server.up else 'down'}, {server.connections:,} connections")
    return 1 if board.verdict is Verdict.NO_GO else 0


def start(container: Container, arguments: argparse.Namespace) -> int:
    """Begin."""
    state, links = moves.start(container, arguments.version, getpass.getuser())
    _tell_state(state)
    _tell_links(links)
    return 0


def advance(container: Container, arguments: argparse.Namespace) -> int:
    """Go on."""
    _tell_state(moves.advance(container, arguments.accept, getpass.getuser()))
    return 0


def rollback(container: Container, arguments: argparse.Namespace) -> int:
    """Go back."""
    _tell_state(moves.take_back(container, arguments.reason, getpass.getuser()))
    return 0


def invite(container: Container, _: argparse.Namespace) -> int:
    """New links."""
    _tell_links(moves.invite(container, moves.proxy_of(container), moves.running(container).slot))
    return 0


def watch(container: Container, _: argparse.Namespace) -> int:
    """Watch until SIGTERM or Ctrl-C."""
    watching = Watch(container)
    thread = threading.Thread(target=watching.run, name="rollout", daemon=True)
    thread.start()
    say("Watching; one instance of many does the work.")
    try:
        thread.join()
    except KeyboardInterrupt:
        watching.stop()
        thread.join(10)
        return 0
    raise Refused("The watch has ended by itself; start it again.")


def _tell_board(board: Board) -> None:
    for line in board.lines:
        say(f"{line.measure.title:<24}{line.shown:>10}   {line.verdict.upper():<8} {line.bounds}")
    say(f"Board: {board.verdict.upper()}")


def _tell_state(state: State) -> None:
    rollout = state.rollout
    if rollout is None:
        say("No rollout yet: blue serves everybody.")
    elif state.running is None:
        why = f": {rollout.reason}" if rollout.reason else "."
        say(f"{rollout.version} is {rollout.status}{why} {state.serving.capitalize()} serves everybody.")
    else:
        share = PHASES[rollout.phase]
        reach = f"{share} % of new visitors" if share else "invited people only"
        say(f"{rollout.version} in {rollout.slot} since {rollout.phase_at:%Y-%m-%d %H:%M:%S} UTC: {reach}.")


def _tell_links(links: list[str]) -> None:
    say("One link for each invited person:")
    for link in links:
        say(f"  {link}")
