"""Opening, with nodes that are missing, wrong, or not what they should be."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from authkit.cluster import Cluster, Health, Verdict
from authkit.cluster._async.pool import AsyncNodePool
from authkit.cluster._sync.pool import NodePool
from authkit.errors import ConfigError, Unavailable
from authkit.settings import Settings


@contextmanager
def listener(reply: bytes | None):
    """A server that is no PostgreSQL: it answers each connection with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                if reply is not None:
                    connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()
        thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def of(*urls: str) -> Settings:
    return Settings.load(None, database_url=urls[0], database_replica_urls=urls[1:])


def test_no_node_at_all_fails_fast_and_gives_each_nodes_reason(drive):
    one, two = free_port(), free_port()
    urls = [f"postgresql://u:hunter2@127.0.0.1:{port}/x" for port in (one, two)]
    with pytest.raises(Unavailable) as caught:
        drive(of(*urls)).open()
    for port in (one, two):
        assert f"127.0.0.1:{port}: connection to server" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_who_finds_a_node_usable_finds_its_pool(drive, settings, monkeypatch):
    """Whatever thread looks, and however long a pool takes to open."""
    driver = drive(settings)
    too_early: list[str] = []
    kind = {"sync": NodePool, "async": AsyncNodePool}[driver.colour]
    opened = kind.open

    def watched(pool, *arguments, **options):
        status = driver.cluster.status()
        too_early.extend(
            node.name
            for node in status.nodes
            if node.health is Health.UP and not node.pool_max
        )
        if status.primary is not None and driver.cluster._roster.writer is None:
            too_early.append("the primary")
        return opened(pool, *arguments, **options)

    monkeypatch.setattr(kind, "open", watched)
    driver.open()
    driver.call("wait_for", replicas=1)
    assert too_early == []
    assert all(node.pool_max for node in driver.cluster.status().nodes)


def test_waiting_for_a_node_is_bounded(drive):
    with pytest.raises(Unavailable):
        drive(of(f"postgresql://u@127.0.0.1:{free_port()}/x")).open(wait=0.3)


def test_a_wrong_password_on_one_node_leaves_the_other_to_serve(drive, settings):
    replica = settings.database_replica_urls[0].get_secret_value()
    head, _, tail = replica.partition("@")
    wrong = head.rpartition(":")[0] + ":wrong@" + tail
    driver = drive(of(settings.database_url.get_secret_value(), wrong)).open()
    status = driver.cluster.status()
    assert status.verdict is Verdict.WRITABLE
    assert "password authentication failed" in status.nodes[1].reason
    assert status.nodes[1].health is Health.DOWN
    with driver.reader() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()") == [(False,)]


def test_a_server_that_is_no_postgresql_is_refused_with_a_reason(drive, settings):
    with listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        driver = drive(
            of(
                settings.database_url.get_secret_value(),
                f"postgresql://u@127.0.0.1:{port}/x?sslmode=disable",
            )
        ).open()
        other = driver.cluster.status().nodes[1]
        assert other.health is Health.DOWN
        assert other.reason


def test_a_node_that_never_answers_does_not_delay_the_others(drive, settings):
    with listener(None) as port:
        driver = drive(
            of(
                f"postgresql://u@127.0.0.1:{port}/x?sslmode=disable",
                settings.database_url.get_secret_value(),
            )
        ).open()
        with driver.writer() as connection:
            assert connection.execute("SELECT 1") == [(1,)]
        assert driver.cluster.status().nodes[0].health is Health.UNKNOWN


def test_one_server_under_two_names_is_used_once(drive, settings):
    url = settings.database_url.get_secret_value()
    driver = drive(of(url, url.replace("127.0.0.1", "localhost"))).open()
    status = driver.cluster.status()
    assert status.verdict is Verdict.WRITABLE
    refused = [n for n in status.nodes if n.health is Health.REFUSED]
    assert len(refused) == 1
    assert "same server" in refused[0].reason


def test_malformed_and_repeated_urls_are_listed_before_anything_is_opened():
    with pytest.raises(ConfigError):
        Cluster(of("postgresql://h/x", "postgresql://h:5432/x"))
    with pytest.raises(ConfigError):
        Cluster(Settings.load(None))


def test_nothing_is_connected_before_open(drive):
    driver = drive(of(f"postgresql://u@127.0.0.1:{free_port()}/x"))
    assert driver.cluster.status().nodes[0].health is Health.UNKNOWN
    assert driver.seen == []
