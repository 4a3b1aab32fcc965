"""Writer, reader and their errors, against a real primary and replica."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import psycopg
import pytest

from authkit.cluster import Health, Role, Token, Verdict
from authkit.cluster.events import Admitted, Drained, Opened
from authkit.errors import (
    AlreadyExists,
    Closed,
    Conflict,
    DatabaseError,
    NoPrimary,
    NoReplica,
    NotPermitted,
    Saturated,
    SplitBrain,
    Unavailable,
)
from authkit.settings import Settings


def with_pool(settings: Settings, **fields: object) -> Settings:
    return settings.model_copy(update=fields)


def test_roles_are_discovered_whatever_the_order_of_the_urls(drive, settings, pair):
    swapped = Settings.load(
        None,
        database_url=settings.database_replica_urls[0].get_secret_value(),
        database_replica_urls=(settings.database_url.get_secret_value(),),
    )
    driver = drive(swapped).open()
    status = driver.cluster.status()
    assert status.verdict is Verdict.WRITABLE
    assert [(n.role, n.health) for n in status.nodes] == [
        (Role.REPLICA, Health.UP),
        (Role.PRIMARY, Health.UP),
    ]
    with driver.writer() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()") == [(False,)]


def test_a_reader_is_served_by_a_replica_once_its_lag_is_known(drive, settings):
    driver = drive(settings).open()
    driver.until(
        lambda: any(n.lag_s is not None for n in replicas(driver)), "a known lag"
    )
    with driver.reader() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()") == [(True,)]
        assert connection.raw.node.role is Role.REPLICA


def replicas(driver):
    return [n for n in driver.cluster.status().nodes if n.role is Role.REPLICA]


def test_a_bound_of_zero_asks_for_the_primary(drive, settings):
    driver = drive(settings).open()
    with driver.reader(max_lag=timedelta(0)) as connection:
        assert connection.execute("SELECT pg_is_in_recovery()") == [(False,)]


def test_connections_are_in_autocommit_and_see_our_schema_first(drive, settings):
    driver = drive(settings).open()
    with driver.writer() as connection:
        assert connection.raw.autocommit
        assert connection.execute("SHOW search_path") == [("authkit,public",)]


def test_a_transaction_left_open_is_committed(drive, settings, table):
    driver = drive(settings).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO {table} VALUES (1)")
    with driver.writer() as connection:
        assert connection.execute(f"SELECT n FROM {table}") == [(1,)]


def test_a_transaction_is_rolled_back_by_an_error_and_the_connection_reused(
    drive, settings, table
):
    driver = drive(with_pool(settings, database_pool_min=1, database_pool_max=1)).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
        backend = connection.raw.pgconn.backend_pid
    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle(driver, table)
    with driver.writer() as connection:
        assert connection.execute(f"SELECT n FROM {table}") == []
        assert connection.raw.pgconn.backend_pid == backend


def fail_in_the_middle(driver, table):
    with driver.writer() as connection:
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        raise ZeroDivisionError


def test_what_a_caller_set_on_a_connection_does_not_reach_the_next(drive, settings):
    driver = drive(with_pool(settings, database_pool_min=1, database_pool_max=1)).open()
    with driver.writer() as connection:
        connection.call("set_autocommit", False)
        connection.call("set_read_only", True)
        connection.call("set_deferrable", True)
        connection.call("set_isolation_level", psycopg.IsolationLevel.SERIALIZABLE)
        connection.execute("SELECT 1")
    with driver.writer() as connection:
        raw = connection.raw
        assert raw.autocommit
        assert (raw.read_only, raw.deferrable, raw.isolation_level) == (None,) * 3


def test_a_server_error_leaves_the_block_as_one_of_ours(drive, settings, table):
    driver = drive(settings).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int PRIMARY KEY CHECK (n > 0))")
        connection.execute(f"INSERT INTO {table} VALUES (1)")
    with pytest.raises(AlreadyExists) as caught, driver.writer() as connection:
        connection.execute(f"INSERT INTO {table} VALUES (1)")
    assert caught.value.constraint == table.split(".")[1] + "_pkey"
    assert isinstance(caught.value.__cause__, psycopg.errors.UniqueViolation)
    assert "Key" not in str(caught.value)
    with pytest.raises(Conflict) as caught, driver.writer() as connection:
        connection.execute(f"INSERT INTO {table} VALUES (-1)")
    assert caught.value.constraint == table.split(".")[1] + "_n_check"
    with pytest.raises(DatabaseError) as caught, driver.writer() as connection:
        connection.execute("SELECT 1/0")
    assert caught.value.sqlstate == "22012"


def test_a_reader_that_writes_is_told_to_ask_for_a_writer(drive, settings, table):
    driver = drive(settings).open()
    driver.until(
        lambda: any(n.lag_s is not None for n in replicas(driver)), "a known lag"
    )
    with (
        pytest.raises(DatabaseError, match="writer") as caught,
        driver.reader() as connection,
    ):
        connection.execute(f"CREATE TABLE {table} ()")
    assert caught.value.sqlstate == "25006"
    assert driver.cluster.status().verdict is Verdict.WRITABLE


def test_a_role_without_the_right_is_not_permitted(drive, settings):
    driver = drive(settings).open()
    with pytest.raises(NotPermitted), driver.writer() as connection:
        connection.execute("SET ROLE authkit_app; CREATE TABLE authkit.t ()")


def test_a_full_pool_is_saturated_and_that_is_no_fault_of_the_node(drive, settings):
    driver = drive(with_pool(settings, database_pool_min=1, database_pool_max=1)).open()
    with driver.writer():
        for _ in range(10):
            with pytest.raises(Saturated), driver.writer(timeout=0.01):
                pass
    with driver.writer() as connection:
        assert connection.execute("SELECT 1") == [(1,)]


def test_closing_wakes_a_caller_who_waits_for_a_connection(drive, settings):
    driver = drive(with_pool(settings, database_pool_min=1, database_pool_max=1)).open()
    caught: list[Exception] = []

    def second() -> None:
        try:
            with driver.writer(timeout=30):
                pass
        except Unavailable as exc:
            caught.append(exc)

    waiter = threading.Thread(target=second)

    def first() -> None:
        with driver.writer() as connection:
            waiter.start()
            driver.until(lambda: waiting(driver), "a waiter")
            driver.close(timeout=0)
            connection.execute("SELECT 1")

    with pytest.raises(Unavailable):
        first()
    waiter.join(10)
    assert len(caught) == 1


def waiting(driver):
    return any(node.waiting for node in driver.cluster.status().nodes)


def test_a_closed_cluster_refuses_and_closes_again_in_peace(drive, settings):
    driver = drive(settings).open()
    driver.close()
    driver.close()
    for block in (driver.writer(), driver.reader()):
        with pytest.raises(Closed), block:
            pass
    with pytest.raises(Closed):
        driver.open()
    assert driver.cluster.status().closed


def test_a_cluster_that_was_not_opened_says_so(drive, settings):
    with pytest.raises(Closed, match="not open"), drive(settings).writer():
        pass


def test_closing_waits_for_a_connection_in_use(drive, settings):
    driver = drive(settings).open()
    entered, leave = threading.Event(), threading.Event()
    rows: list[object] = []

    def work() -> None:
        with driver.writer() as connection:
            entered.set()
            leave.wait(10)
            rows.extend(connection.execute("SELECT 1"))

    worker = threading.Thread(target=work)
    worker.start()
    entered.wait(10)
    closer = threading.Thread(target=driver.close)
    closer.start()
    driver.until(lambda: driver.cluster.status().closed, "closing")
    leave.set()
    worker.join()
    closer.join()
    assert rows == [(1,)]
    assert driver.events(Drained)[0].cut == 0


def test_the_pools_follow_the_role(drive, settings):
    sized = with_pool(
        settings,
        database_pool_min=3,
        database_pool_max=7,
        database_replica_pool_min=2,
        database_replica_pool_max=5,
    )
    driver = drive(sized).open()
    driver.call("wait_for", replicas=1)
    admitted = {e.role: (e.min_size, e.max_size) for e in driver.events(Admitted)}
    assert admitted == {Role.PRIMARY: (3, 7), Role.REPLICA: (2, 5)}
    assert len(driver.events(Opened)) == 1


def test_a_token_comes_from_a_writer_only(drive, settings):
    driver = drive(settings).open()
    driver.until(
        lambda: any(n.lag_s is not None for n in replicas(driver)), "a known lag"
    )
    with driver.writer() as connection:
        token = driver.call("token", connection.raw)
    assert Token.parse(str(token)) == token
    with pytest.raises(NotPermitted), driver.reader() as connection:
        driver.call("token", connection.raw)


def test_a_cluster_is_refused_in_a_process_that_a_fork_made(drive, settings):
    driver = drive(settings).open()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover # runs in the child only
        try:
            driver.cluster._dispatch.check()
            os.write(writer, b"served")
        except Closed as exc:
            os.write(writer, str(exc).encode())
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 1000).decode()
    os.close(reader)
    os.waitpid(child, 0)
    assert "another process" in said
    with driver.writer() as connection:
        assert connection.execute("SELECT 1") == [(1,)]


def test_no_primary_and_no_replica_are_named_errors(drive, settings):
    only = Settings.load(
        None, database_url=settings.database_replica_urls[0].get_secret_value()
    )
    driver = drive(only).open()
    assert driver.cluster.status().verdict is Verdict.NO_PRIMARY
    with pytest.raises(NoPrimary, match="is a replica"), driver.writer(timeout=0.05):
        pass
    with pytest.raises(NoReplica), driver.reader(timeout=0.05):
        pass
    with driver.reader(stale_ok=True, timeout=1) as connection:
        assert connection.execute("SELECT pg_is_in_recovery()") == [(True,)]
    assert not isinstance(NoPrimary(""), SplitBrain)
