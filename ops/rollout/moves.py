"""The moves of a rollout: begin, go on, take back. The database says where it stands; the proxy is brought to that."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from ops.errors import Refused
from ops.rollout.proxy import Proxy
from ops.rollout.readings import read
from services.container import Container
from services.database.models import Rollout
from services.rollout.board import Board
from services.rollout.service import State, other

INVITED = 10
SETTLE_SECONDS = 0.2


def proxy_of(container: Container) -> Proxy:
    """The proxy that carries rollouts out."""
    address = container.settings.rollout_proxy
    if not address:
        raise Refused("There is no proxy to move: name HAProxy's admin socket in RECON_ROLLOUT_PROXY.")
    return Proxy(address)


def running(container: Container) -> Rollout:
    """The rollout under way."""
    found = container.rollouts.state().running
    if found is None:
        raise Refused("No rollout is under way; begin one with `python -m ops rollout start VERSION`.")
    return found


def looked(container: Container) -> Board:
    """Read the numbers now, keep them, and judge them."""
    container.rollouts.note(read(container))
    return container.rollouts.board()


def start(container: Container, version: str, by: str) -> tuple[State, list[str]]:
    """Begin; gives the links for the invited people of the first phase."""
    proxy = proxy_of(container)
    proxy.servers()  # a proxy that cannot be reached is known before anything is written
    state = container.rollouts.begin(version, by)
    assert state.running is not None
    container.rollouts.note(read(container))  # what the new version does from here on is its own
    proxy.apply(state.weights())
    return state, invite(container, proxy, state.running.slot)


def invite(container: Container, proxy: Proxy, slot: str) -> list[str]:
    """Fresh links into the new version, in place of those before. They are kept nowhere but in the proxy."""
    proxy.uninvite()
    keys = [secrets.token_urlsafe(18) for _ in range(INVITED)]
    for key in keys:
        proxy.invite(key, slot)
    return [f"{container.settings.public_url.rstrip('/')}/try?key={key}" for key in keys]


def advance(container: Container, accepted: Sequence[str], by: str) -> State:
    """The next phase, unless the board or a trigger is against it."""
    seen, proxy = running(container), proxy_of(container)
    found = looked(container)
    if not container.rollouts.watched():
        raise Refused(
            "Nobody watches, so nothing is known: leave `python -m ops rollout watch` running, and try again."
        )
    trigger = container.rollouts.fired()
    if trigger:
        raise Refused(f"A trigger has fired: {trigger} Take the version back: `python -m ops rollout rollback`.")
    hindrances = found.hindrances(accepted)
    if hindrances:
        told = "; ".join(f"{line.measure.title} {line.shown} is {line.verdict}" for line in hindrances)
        names = " ".join(f"--accept {line.measure.name}" for line in hindrances if line.verdict != "no-go")
        how = f" What is not a no-go may be accepted by name: {names}." if names else ""
        raise Refused(f"Not now: {told}.{how}")
    if not proxy.servers()[seen.slot].up:
        raise Refused(f"The proxy's own checks say that {seen.slot} is down; nobody is sent there.")
    state = container.rollouts.advance(seen, accepted, by)
    if state.running is None:
        proxy.uninvite()
    proxy.apply(state.weights())
    return state


def take_back(container: Container, reason: str, by: str) -> State:
    """Nobody gets the new version any more, from this moment. Requests under way may end; then connections are cut,
    and browsers connect again to the old version, where everybody is still signed in.
    """
    seen, proxy = running(container), proxy_of(container)
    proxy.apply({other(seen.slot): 100, seen.slot: None})
    state = container.rollouts.take_back(seen, reason, by)
    proxy.apply(state.weights())  # a watch that had read the phase before may have put it back
    proxy.uninvite()
    _wait_for_quiet(proxy, seen.slot, container.settings.rollout_grace_seconds)
    proxy.cut(seen.slot)
    return state


def _wait_for_quiet(proxy: Proxy, slot: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and proxy.servers()[slot].connections:
        time.sleep(SETTLE_SECONDS)
