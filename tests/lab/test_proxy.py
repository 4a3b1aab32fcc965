from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from authkit.errors import LabError
from authkit.lab.proxy import Proxy


class Echo:
    """A server that sends back what it gets."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.ends: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self) -> None:
        while True:
            try:
                end, _ = self.listener.accept()
            except OSError:
                return
            self.ends.append(end)
            thread = threading.Thread(target=self.serve, args=(end,), daemon=True)
            self.threads.append(thread)
            thread.start()

    @staticmethod
    def serve(end: socket.socket) -> None:
        with end:
            try:
                while data := end.recv(65_536):
                    end.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in (self.thread, *self.threads):
            thread.join(5)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as end:
        yield end


def _exactly(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = end.recv(count - len(data))
        assert chunk, "the connection ended early"
        data += chunk
    return data


def test_bytes_pass_unchanged_and_in_order(client: socket.socket) -> None:
    sent = bytes(range(256)) * 4_096
    sender = threading.Thread(target=client.sendall, args=(sent,))
    sender.start()
    assert _exactly(client, len(sent)) == sent
    sender.join()


def test_the_end_of_one_direction_is_passed_on(client: socket.socket) -> None:
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert _exactly(client, 10) == b"last words"
    assert client.recv(1) == b""


def test_delayed_bytes_arrive(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay(0.05)
    client.sendall(b"slow")
    assert _exactly(client, 4) == b"slow"


def test_a_blackhole_is_silent_and_delivers_when_it_heals(
    proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"before")
    assert _exactly(client, 6) == b"before"
    proxy.blackhole()
    client.sendall(b"during")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(10)
    proxy.heal()
    assert _exactly(client, 6) == b"during"


def test_reset_breaks_connections_and_lets_new_ones_come(
    proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"x")
    assert _exactly(client, 1) == b"x"
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as fresh:
        fresh.sendall(b"y")
        assert _exactly(fresh, 1) == b"y"


def test_refuse_turns_new_connections_away_until_it_heals(
    proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"x")
    assert _exactly(client, 1) == b"x"
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    proxy.heal()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as fresh:
        fresh.sendall(b"y")
        assert _exactly(fresh, 1) == b"y"


def test_a_server_that_is_down_ends_the_clients_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with (
            Proxy(unused.getsockname()[1]) as proxy,
            socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as end,
        ):
            assert end.recv(1) == b""


def test_a_closed_proxy_leaves_no_thread_and_says_that_it_is_closed(
    echo: Echo,
) -> None:
    with Proxy(echo.port) as proxy:
        assert any(t.name == "authkit-proxy" for t in threading.enumerate())
    assert not any(t.name == "authkit-proxy" for t in threading.enumerate())
    with pytest.raises(LabError, match="closed"):
        proxy.reset()
    proxy.close()
