"""HAProxy, moved while it runs through its admin socket. See ops/deploy/haproxy.cfg for what the names stand for."""

from __future__ import annotations

import csv
import io
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from ops.errors import Refused

BACKEND = "app"
INVITATIONS = "invitations"
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Server:
    """How the proxy treats a slot. `weight` is None when it lets nobody in; `up` is what its own checks say."""

    weight: int | None
    up: bool
    connections: int


class Proxy:
    """Talks to the admin socket: a path, or host:port."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, command: str) -> str:
        """Send a command; the answer. Raises Refused when the proxy cannot be reached."""
        try:
            with self._connected() as connection:
                connection.sendall(f"{command}\n".encode())
                connection.shutdown(socket.SHUT_WR)
                parts = iter(lambda: connection.recv(65536), b"")
                return b"".join(parts).decode().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Refused(f"The proxy's admin socket {self._address} (RECON_ROLLOUT_PROXY): {reason}.") from error

    def servers(self) -> dict[str, Server]:
        """The slots as the proxy has them now."""
        table = csv.DictReader(io.StringIO(self.ask(f"show stat {BACKEND} 4 -1").removeprefix("# ")))
        return {
            row["svname"]: Server(
                weight=None if row["status"].startswith("MAINT") else int(row["weight"]),
                up=row["status"].startswith(("UP", "DRAIN", "no check")),
                connections=int(row["scur"]),
            )
            for row in table
        }

    def apply(self, weights: Mapping[str, int | None]) -> bool:
        """Bring the slots to these weights; True when anything had to change."""
        present = self.servers()
        changes = [
            command
            for slot, weight in weights.items()
            if slot not in present or present[slot].weight != weight
            for command in self._commands(slot, weight)
        ]
        for command in changes:
            self._tell(command)
        return bool(changes)

    def cut(self, slot: str) -> None:
        """Close every connection to a slot; browsers connect again, to where they are let in."""
        self._tell(f"shutdown sessions server {BACKEND}/{slot}")

    def invite(self, key: str, slot: str) -> None:
        """Let whoever opens /try?key=KEY into a slot."""
        self._tell(f"add map {self._invitations()} {key} {slot}")

    def uninvite(self) -> None:
        """Forget every invitation."""
        self._tell(f"clear map {self._invitations()}")

    def _invitations(self) -> str:
        for line in self.ask("show map").splitlines():
            number, _, rest = line.partition(" ")
            if INVITATIONS in rest:
                return f"#{number}"
        raise Refused("The proxy knows no map of invitations; use ops/deploy/haproxy.cfg.")

    def _commands(self, slot: str, weight: int | None) -> list[str]:
        server = f"{BACKEND}/{slot}"
        if weight is None:
            return [f"set server {server} state maint"]
        return [f"set server {server} weight {weight}", f"set server {server} state ready"]

    def _tell(self, command: str) -> None:
        answer = self.ask(command)
        if answer:  # the proxy says nothing when it has done as told
            raise Refused(f"The proxy refused `{command}`: {answer}")

    def _connected(self) -> socket.socket:
        if "/" in self._address:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(self._address)
            return connection
        host, _, port = self._address.rpartition(":")
        return socket.create_connection((host, int(port)), TIMEOUT_SECONDS)
