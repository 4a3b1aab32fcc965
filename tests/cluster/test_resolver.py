"""A host name that is looked up for long, or never, delays nobody beyond the limit."""

from __future__ import annotations

import socket
import threading

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from authkit.cluster import Health
from authkit.errors import Unavailable
from authkit.settings import Settings


@pytest.fixture
def hanging(monkeypatch):
    """A resolver that answers for one name only after the test."""
    over = threading.Event()
    calls: list[str] = []
    resolve = socket.getaddrinfo

    def slow(host, *arguments, **options):
        if host != "slow.example":
            return resolve(host, *arguments, **options)
        calls.append(host)
        over.wait(60)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield calls
    over.set()


def test_a_resolver_that_hangs_is_waited_for_within_the_limit_by_one_thread(
    drive, hanging
):
    with pytest.raises(Unavailable, match="resolver does not answer"):
        drive(Settings.load(None, database_url="postgresql://u@slow.example/x")).open()
    assert len(hanging) == 1


def test_the_other_nodes_serve_meanwhile(drive, settings, hanging):
    slow = make_conninfo(
        **{
            **conninfo_to_dict(settings.urls[1].get_secret_value()),
            "host": "slow.example",
        }
    )
    driver = drive(
        Settings.load(
            None,
            database_url=settings.urls[0].get_secret_value(),
            database_replica_urls=(slow,),
        )
    ).open()
    with driver.reader() as connection:
        assert connection.execute("SELECT 1") == [(1,)]
    healths = [node.health for node in driver.cluster.status().nodes]
    assert healths[0] is Health.UP
    assert healths[1] is not Health.UP
    assert len(hanging) == 1


def test_a_name_that_resolves_is_reached_at_its_addresses(drive, settings):
    url = settings.urls[0].get_secret_value()
    named = make_conninfo(**{**conninfo_to_dict(url), "host": "localhost"})
    driver = drive(Settings.load(None, database_url=named)).open()
    with driver.writer() as connection:
        assert connection.execute("SELECT 1") == [(1,)]
