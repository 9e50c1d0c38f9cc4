"""A TCP proxy that misbehaves on command: latency, resets, black holes, cuts after so many bytes, refusals.

    with CuttingProxy(server_port) as proxy:
        client = connect("127.0.0.1", proxy.port)
        proxy.black_hole()      # everything hangs, on open connections and on new ones
        proxy.heal()            # what hung flows on

A fault holds for open connections and for new ones until another is set.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Literal, Self

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)  # closing with a linger of zero sends RST, as a crashed machine's kernel would

Fault = Literal["none", "black hole", "reset"]


class CuttingProxy:
    """Forwards connections to a port of this machine, or does not."""

    def __init__(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        self.connections = 0
        """Connections made so far."""
        self._target = (target_host, target_port)
        self._changed = threading.Condition()
        self._fault: Fault = "none"
        self._latency = 0.0
        self._left: int | None = None
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listening.getsockname()[1])
        self._closed = False
        self._start()

    def heal(self) -> None:
        """Forward everything at once again; what a black hole holds back flows on."""
        if self._listening.fileno() < 0:
            self._listening = socket.create_server(("127.0.0.1", self.port), backlog=256)
            self._start()
        self._latency, self._left = 0.0, None
        self._set("none")

    def latency(self, seconds: float) -> None:
        """Hold every piece of data back for so long, in both directions."""
        self._latency = seconds
        self._set("none")

    def black_hole(self) -> None:
        """Accept connections and data, and let nothing through: the fault that timeouts are for."""
        self._set("black hole")

    def reset(self) -> None:
        """Reset all connections, and each new one as soon as it is made."""
        self._set("reset")
        self._reset_all()

    def limit(self, size_bytes: int) -> None:
        """Reset everything once so many more bytes have come from the server, all connections together."""
        self._left = size_bytes
        self._set("none")

    def refuse(self) -> None:
        """Stop listening, as a stopped server does, and reset all connections."""
        self._stop_listening()
        self._reset_all()

    def close(self) -> None:
        """End all connections and listen no more."""
        self._closed = True
        self._stop_listening()
        self._set("reset")
        self._reset_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set(self, fault: Fault) -> None:
        with self._changed:
            self._fault = fault
            self._changed.notify_all()

    def _start(self) -> None:
        threading.Thread(target=self._accept, args=(self._listening,), name="proxy", daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(client,), name="proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self.connections += 1
        with self._changed:
            self._open.add(client)
            self._changed.wait_for(lambda: self._fault != "black hole")
        try:
            if self._fault == "reset":
                raise ConnectionResetError
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            self._reset_one(client)
            return
        server.settimeout(None)
        with self._changed:
            self._open.add(server)
        threading.Thread(target=self._pump, args=(client, server, False), name="proxy", daemon=True).start()
        self._pump(server, client, counted=True)

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while piece := source.recv(CHUNK):
                time.sleep(self._latency)
                with self._changed:
                    self._changed.wait_for(lambda: self._fault != "black hole")
                    if self._fault == "reset":
                        raise ConnectionResetError
                    if counted and self._left is not None:
                        piece, self._left = piece[: self._left], max(0, self._left - len(piece))
                sink.sendall(piece)
                if counted and self._left == 0:
                    raise ConnectionResetError
            with self._changed:
                if source not in self._open:  # it was not its peer that ended it
                    raise ConnectionResetError
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._reset_one(source)
            self._reset_one(sink)

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):  # wakes the thread in accept
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _reset_all(self) -> None:
        with self._changed:
            everything = list(self._open)
        for one in everything:
            self._reset_one(one)

    def _reset_one(self, one: socket.socket) -> None:
        with self._changed:
            self._open.discard(one)
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.shutdown(socket.SHUT_RD)  # wakes the thread in recv, without the polite end of SHUT_WR
            one.close()
