"""Idle connections: what came back last is lent first, and to one caller only."""

from __future__ import annotations

import threading

import pytest
from psycopg.rows import dict_row

from authkit.cluster import Cluster, Token

CALLERS, TURNS = 12, 150


@pytest.fixture
def three(settings):
    return settings.model_copy(update={"database_pool_min": 3, "database_pool_max": 3})


def test_the_connection_that_came_back_last_is_lent_first(drive, three):
    driver = drive(three).open()
    with driver.writer(), driver.writer(), driver.writer():
        pass  # every connection is there: none comes in by itself later
    with driver.writer() as first, driver.writer() as second:
        kept, last = first.raw, second.raw
    with driver.writer() as again:
        assert again.raw is kept
        with driver.writer() as below:
            assert below.raw is last
    assert driver.cluster.status().nodes[0].in_use == 0


def test_callers_who_crowd_never_share_a_connection(three):
    held: set[int] = set()
    shared: list[int] = []
    done: list[int] = []
    line = threading.Barrier(CALLERS)

    with Cluster(three) as cluster:

        def use() -> None:
            line.wait()
            for _ in range(TURNS):
                with cluster.writer(timeout=30) as connection:
                    key = id(connection)
                    if key in held:
                        shared.append(key)
                    held.add(key)
                    connection.execute("SELECT 1")
                    held.discard(key)
            done.append(TURNS)

        threads = [threading.Thread(target=use) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = cluster.status().nodes[0]
    assert shared == []
    assert sum(done) == CALLERS * TURNS
    assert (status.in_use, status.pool_size) == (0, 3)


def test_a_callers_way_of_making_rows_is_its_own(drive, settings):
    driver = drive(settings).open()

    def work(connection):
        connection.raw.row_factory = dict_row
        return connection.execute("SELECT 1 AS one")

    rows, token = driver.wait(driver.cluster.run_with_token(driver.work(work)))
    assert rows == [{"one": 1}]
    assert isinstance(token, Token)
    with driver.writer() as connection:  # the one that came back last
        assert connection.execute("SELECT 1") == [(1,)]
