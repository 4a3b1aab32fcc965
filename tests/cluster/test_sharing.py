"""One pool for two layers: SQLAlchemy over a node's pool, and what goes wrong there."""

from __future__ import annotations

import gc
import os

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from authkit.cluster import Cluster, Intent
from authkit.cluster.breaker import Breaker, BreakerState
from authkit.cluster.events import Quarantined
from authkit.errors import Closed, NotFound, Saturated


@pytest.fixture
def small(settings):
    return settings.model_copy(update={"database_pool_min": 1, "database_pool_max": 2})


class Engine:
    """An engine of either colour, driven by statements."""

    def __init__(self, driver, engine):
        self.driver = driver
        self.engine = engine

    def use(self, work):
        """Run a function of a sync Connection inside `connect`."""
        if isinstance(self.engine, AsyncEngine):

            async def run():
                async with self.engine.connect() as connection:
                    return await connection.run_sync(work)

            return self.driver.wait(run())
        with self.engine.connect() as connection:
            return work(connection)


def primary_engine(driver):
    return Engine(driver, driver.call("writer_engine"))


def backends(driver):
    with driver.writer() as connection:
        return connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'authkit'"
        )[0][0]


def test_both_layers_draw_from_one_budget(drive, small):
    driver = drive(small).open()
    engine = primary_engine(driver)

    def hold(connection):
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        with driver.writer() as other:
            mine = other.execute("SELECT pg_backend_pid()")[0][0]
            with pytest.raises(Saturated), driver.writer(timeout=0.01):
                pass
        return pid, mine

    if driver.colour == "async":
        pytest.skip("a sync function in the loop cannot wait for the loop")
    pid, mine = engine.use(hold)
    assert pid != mine
    assert driver.cluster.status().nodes[0].in_use == 0


def test_an_engine_is_made_once_per_node_and_an_unknown_node_is_not_found(drive, small):
    driver = drive(small).open()
    name = driver.cluster.status().primary
    assert driver.cluster.engine(name) is driver.cluster.engine(name)
    with pytest.raises(NotFound):
        driver.cluster.engine("nowhere:1")


def test_sqlalchemy_has_transactions_and_gives_the_connection_back_in_autocommit(
    drive, small, table
):
    driver = drive(small.model_copy(update={"database_pool_max": 1})).open()
    engine = primary_engine(driver)

    def work(connection):
        connection.execute(text(f"CREATE TABLE {table} (n int)"))
        connection.execute(text(f"INSERT INTO {table} VALUES (1)"))
        connection.rollback()
        connection.execute(text(f"CREATE TABLE {table} (n int)"))
        connection.commit()
        return connection.connection.driver_connection.pgconn.backend_pid

    pid = engine.use(work)
    with driver.writer() as connection:
        assert connection.raw.pgconn.backend_pid == pid
        assert connection.raw.autocommit
        assert connection.execute(f"SELECT n FROM {table}") == []


def test_a_connection_that_the_server_killed_does_not_leak_its_slot(drive, small):
    driver = drive(small).open()
    engine = primary_engine(driver)

    def die(connection):
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    for _ in range(5):  # more often than there are slots
        with pytest.raises(DBAPIError) as caught:
            engine.use(die)
        assert caught.value.connection_invalidated
    assert engine.use(lambda c: c.scalar(text("SELECT 1"))) == 1
    assert driver.cluster.status().nodes[0].in_use == 0


def test_a_connection_that_sqlalchemy_invalidated_is_closed_and_not_reused(
    drive, small
):
    driver = drive(small).open()
    engine = primary_engine(driver)

    def invalidate(connection):
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.invalidate()
        return pid

    pid = engine.use(invalidate)
    with driver.writer() as connection:
        gone = driver.until(
            lambda: (
                not connection.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)
                )
            ),
            "the backend ends",
        )
    assert gone


def test_what_sqlalchemy_keeps_of_a_connection_outlives_a_use_by_the_other_layer(
    drive, small
):
    driver = drive(small.model_copy(update={"database_pool_max": 1})).open()
    engine = primary_engine(driver)
    engine.use(lambda c: c.connection.info.update(seen=True))
    with driver.writer() as connection:
        assert connection.raw.autocommit
        assert connection.execute("SELECT 1") == [(1,)]
    assert engine.use(lambda c: dict(c.connection.info)) == {"seen": True}


def test_a_connection_to_be_replaced_after_use_is_not_reused(drive, small):
    driver = drive(small.model_copy(update={"database_pool_max": 1})).open()
    engine = primary_engine(driver)

    def doubt(connection):
        connection.connection._connection_record.invalidate(soft=True)
        return connection.scalar(text("SELECT pg_backend_pid()"))

    first = engine.use(doubt)
    assert engine.use(lambda c: c.scalar(text("SELECT pg_backend_pid()"))) != first


@pytest.mark.slow
def test_a_thousand_killed_backends_leave_no_slot_taken(drive, small):
    driver = drive(small).open()
    if driver.colour == "async":
        pytest.skip("the pool beneath is the same; five are killed in this colour")
    engine = primary_engine(driver)
    for _ in range(1000):
        with pytest.raises(DBAPIError):
            engine.use(
                lambda c: c.execute(
                    text("SELECT pg_terminate_backend(pg_backend_pid())")
                )
            )
    assert engine.use(lambda c: c.scalar(text("SELECT 1"))) == 1
    assert driver.cluster.status().nodes[0].in_use == 0
    assert backends(driver) <= 4


def test_a_demoted_node_is_a_disconnect_to_sqlalchemy(drive, small):
    driver = drive(small).open()
    engine = primary_engine(driver)

    def write(connection):
        connection.execute(text("SET TRANSACTION READ ONLY"))
        connection.execute(text("CREATE TABLE public.never ()"))

    with pytest.raises(DBAPIError) as caught:
        engine.use(write)
    assert caught.value.orig.sqlstate == "25006"
    assert caught.value.connection_invalidated
    # It was the caller's doing: the probe says so, and the primary serves again.
    assert engine.use(lambda c: c.scalar(text("SELECT 1"))) == 1
    assert driver.events(Quarantined) == []


def test_sqlalchemys_notice_handlers_do_not_gather_on_a_connection(drive, small):
    driver = drive(small).open()
    engine = primary_engine(driver)
    for _ in range(20):
        engine.use(lambda c: c.scalar(text("SELECT 1")))
    with driver.writer() as connection:
        assert len(connection.raw._notice_handlers) <= 2


def test_an_unknown_reader_engine_follows_the_readers_rules(drive, small):
    driver = drive(small).open()
    engine = Engine(driver, driver.call("reader_engine", max_lag=0))
    assert engine.use(lambda c: c.scalar(text("SELECT pg_is_in_recovery()"))) is False


def test_the_engine_for_a_read_after_a_token_is_of_a_node_that_holds_it(
    drive, settings, table, pair, replay_paused
):
    driver = drive(settings).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
    pair.wait_replayed()
    with replay_paused():
        with driver.writer() as connection:
            connection.execute("SET synchronous_commit = local")
            connection.execute(f"INSERT INTO {table} VALUES (1)")
            connection.execute("RESET synchronous_commit")
            token = driver.call("token", connection.raw)
        engine = Engine(driver, driver.call("reader_engine", after=token))
        count = text(f"SELECT count(*) FROM {table}")
        assert engine.use(lambda c: c.scalar(count)) == 1


def test_no_engine_holds_a_connection_after_close(drive, small):
    driver = drive(small).open()
    engine = primary_engine(driver)
    engine.use(lambda c: c.scalar(text("SELECT 1")))
    driver.close()
    gc.collect()
    with pytest.raises((sqlalchemy.exc.SQLAlchemyError, Exception), match="closed"):
        engine.use(lambda c: c.scalar(text("SELECT 1")))


def test_an_engine_is_refused_in_a_process_that_a_fork_made(settings):
    with Cluster(settings) as cluster:
        engine = cluster.writer_engine()
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))  # and lies idle in the pool then
        child = os.fork()
        if child == 0:
            status = 1
            try:
                engine.connect()
            except Closed:
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:The garbage collector")
def test_a_connection_that_nobody_closes_comes_back(drive, small):
    driver = drive(small).open()
    engine = primary_engine(driver).engine

    async def use_async():
        await (await engine.connect()).execute(text("SELECT 1"))

    def use():
        engine.connect().execute(text("SELECT 1"))

    for _ in range(3):  # more often than there are slots
        driver.wait(use() if driver.colour == "sync" else use_async())
        gc.collect()
        driver.until(lambda: driver.cluster.status().nodes[0].in_use == 0, "its return")


def test_an_engine_knows_its_primary_while_nobody_is_sent_there(drive, small):
    driver = drive(small).open()
    engine = primary_engine(driver)
    # As after an error, until a probe has said what the node is.
    driver.cluster._roster.writer = None
    intent = engine.use(lambda c: c.connection.driver_connection.intent)
    assert intent is Intent.WRITE


def test_a_request_of_sqlalchemys_is_a_trial_of_the_breaker(drive, small):
    driver = drive(small).open()
    node = driver.cluster._roster.writer
    node.breaker = Breaker(state=BreakerState.HALF_OPEN)
    primary_engine(driver).use(lambda c: c.scalar(text("SELECT 1")))
    assert node.breaker.state is BreakerState.CLOSED


def test_a_thousand_checkouts_leave_the_number_of_backends_as_it_was(drive, small):
    driver = drive(small).open()
    engine = primary_engine(driver)
    for _ in range(200):
        engine.use(lambda c: c.scalar(text("SELECT 1")))
    assert backends(driver) <= 4  # two for the primary's pool, two by a replica's
