"""The proxy that injects faults does what it says: a fault test proves nothing behind a proxy that forwards."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.cutting_proxy import CuttingProxy


@pytest.fixture
def proxy() -> Iterator[CuttingProxy]:
    """A proxy before a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo(connection: socket.socket) -> None:
            with connection:
                try:
                    while piece := connection.recv(1024):
                        connection.sendall(piece)
                except OSError:
                    return

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        with CuttingProxy(server.getsockname()[1]) as running:
            yield running
        server.shutdown(socket.SHUT_RDWR)


def connect(proxy: CuttingProxy) -> socket.socket:
    """A client's connection that waits half a second at most."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=0.5)


def said(client: socket.socket, words: bytes = b"hello") -> bytes:
    """What comes back for these words."""
    client.sendall(words)
    return client.recv(1024)


def read_to_end(client: socket.socket) -> bytes:
    """Everything that comes, to the end."""
    return b"".join(iter(lambda: client.recv(1), b""))


def test_forwards(proxy: CuttingProxy) -> None:
    """Without a fault it is not noticed."""
    with connect(proxy) as client:
        assert said(client) == b"hello"


def test_latency(proxy: CuttingProxy) -> None:
    """Each direction takes its time."""
    with connect(proxy) as client:
        assert said(client) == b"hello"
        proxy.latency(0.1)
        started = time.monotonic()
        assert said(client) == b"hello"
        assert 0.2 <= time.monotonic() - started < 0.5


def test_black_hole_swallows_and_heals(proxy: CuttingProxy) -> None:
    """Old and new connections hang; once healed, what was sent arrives."""
    with connect(proxy) as old:
        assert said(old) == b"hello"
        proxy.black_hole()
        with connect(proxy) as new:
            for client in (old, new):
                with pytest.raises(TimeoutError):
                    said(client)
            proxy.heal()
            assert (old.recv(1024), new.recv(1024)) == (b"hello", b"hello")


def test_reset_cuts_old_and_new(proxy: CuttingProxy) -> None:
    """Connections end with a reset, not with a polite end."""
    with connect(proxy) as old:
        assert said(old) == b"hello"
        proxy.reset()
        with pytest.raises(ConnectionError):
            said(old)
    with pytest.raises(ConnectionError), connect(proxy) as new:
        said(new)
    proxy.heal()
    with connect(proxy) as client:
        assert said(client) == b"hello"


def test_limit_cuts_in_the_middle(proxy: CuttingProxy) -> None:
    """So many bytes arrive, and then the reset."""
    with connect(proxy) as client:
        proxy.limit(3)
        client.sendall(b"hello")
        with pytest.raises(ConnectionError):  # and not the b"" of a polite end
            read_to_end(client)


def test_refuses_and_listens_again(proxy: CuttingProxy) -> None:
    """A stopped server refuses; it comes back on the same port."""
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.heal()
    with connect(proxy) as client:
        assert said(client) == b"hello"
