"""What a block does with its connection, whatever is done within: a real pair."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle

import psycopg
import pytest

from authkit.cluster import AsyncCluster, Cluster
from authkit.cluster.breaker import Breaker, BreakerState
from authkit.errors import (
    ConfigError,
    DatabaseError,
    InDoubt,
    NoReplica,
    RetryLater,
    Saturated,
)


@pytest.fixture
def one(settings):
    """Settings for a single connection to the primary."""
    only = {"database_pool_min": 1, "database_pool_max": 1, "database_retry_delay": 1}
    return settings.model_copy(update=only)


def test_what_is_closed_within_a_block_is_nobody_else_s_before_its_end(
    drive, one, table
):
    driver = drive(one).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        connection.call("close")
        with pytest.raises(Saturated), driver.writer(timeout=0.05):
            pass
        assert connection.execute(f"SELECT n FROM {table}") == []
    with driver.writer() as connection:
        assert connection.execute(f"SELECT n FROM {table}") == []


def test_what_is_closed_within_a_transaction_is_nobody_else_s_either(drive, one):
    driver = drive(one).open()

    def work(connection):
        connection.call("close")
        with pytest.raises(Saturated), driver.writer(timeout=0.05):
            pass
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        driver.run(work)
    with driver.writer() as connection:
        assert connection.execute("SELECT 1") == [(1,)]


def test_a_failed_transaction_left_open_is_no_success(drive, one, table):
    driver = drive(one).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int PRIMARY KEY)")

    def leave():
        with driver.writer() as connection:
            connection.execute("BEGIN")
            connection.execute(f"INSERT INTO {table} VALUES (1)")
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute(f"INSERT INTO {table} VALUES (1)")

    with pytest.raises(DatabaseError, match="had failed and was rolled back"):
        leave()
    with driver.writer() as connection:
        assert connection.execute(f"SELECT n FROM {table}") == []


def test_doubt_about_another_write_within_a_transaction_is_told_and_not_repeated(
    drive, one, table
):
    driver, other = drive(one).open(), drive(one).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
    calls: list[int] = []

    def work(_):
        calls.append(1)
        with other.writer() as connection:
            connection.execute(f"INSERT INTO {table} VALUES (1)")
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(InDoubt):
        driver.run(work)
    assert len(calls) == 1
    with driver.writer() as connection:
        assert connection.execute(f"SELECT n FROM {table}") == [(1,)]


def test_a_cancelled_statement_leaves_no_deadline_behind(one):
    async def run():
        async with AsyncCluster(one) as cluster, cluster.writer() as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await connection.execute("SELECT pg_sleep(60)")
            return connection.deadline

    assert asyncio.run(run()) == float("inf")


def test_a_plan_that_fits_no_more_fails_once_in_a_block_of_its_own(drive, one, table):
    driver = drive(one).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
    for _ in range(10):  # more than psycopg wants before it prepares a statement
        with driver.writer() as connection:
            connection.execute(f"SELECT n FROM {table}")
    # By somebody else: psycopg forgets what is prepared after an ALTER of its own.
    with drive(one).open().writer() as connection:
        connection.execute(f"ALTER TABLE {table} ALTER n TYPE bigint")
    with pytest.raises(RetryLater), driver.writer() as connection:
        connection.execute(f"SELECT n FROM {table}")
    with driver.writer() as connection:
        assert connection.execute(f"SELECT n FROM {table}") == []


def test_an_open_breaker_lets_no_read_through_to_the_primary(drive, one):
    driver = drive(one.model_copy(update={"database_replica_urls": ()})).open()
    (node,) = driver.cluster._roster.nodes.values()
    node.breaker = Breaker(state=BreakerState.OPEN, opened_at=float("inf"))
    with pytest.raises(NoReplica), driver.reader(timeout=0.05):
        pass


def test_a_close_that_is_cancelled_leaves_nothing_open(one):
    async def run():
        cluster = await AsyncCluster(one).open()
        lease = cluster.writer()
        await lease.__aenter__()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await cluster.close(timeout=60)
        await lease.__aexit__(None, None, None)
        return [task for task in asyncio.all_tasks() if "authkit" in task.get_name()]

    assert asyncio.run(run()) == []


def test_a_cluster_that_is_opened_by_a_fork_of_its_maker_serves_there(one):
    cluster = Cluster(one)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover # runs in the child only
        try:
            with cluster, cluster.writer() as connection:
                row = connection.execute("SELECT 'served'").fetchone()
            os.write(writer, row[0].encode())
        except BaseException as exc:  # noqa: BLE001 # told to the parent
            os.write(writer, repr(exc).encode())
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 1000).decode()
    os.close(reader)
    os.waitpid(child, 0)
    assert said == "served"


def test_faults_of_the_configuration_survive_a_copy():
    told = ConfigError(["one", "two"])
    for other in (copy.copy(told), pickle.loads(pickle.dumps(told))):  # noqa: S301 # our own bytes
        assert (str(other), other.problems) == ("one; two", ("one", "two"))
