"""Whole transactions on a real pair: retry, keys, deadlines, doubt."""

from __future__ import annotations

import threading
from time import monotonic

import psycopg
import pytest
from psycopg import errors as driver_errors

from authkit.cluster import Intent, Isolation, Resolution, Token
from authkit.cluster.events import Doubted, Retried
from authkit.errors import (
    AlreadyExists,
    Conflict,
    DatabaseError,
    DeadlineExceeded,
    InDoubt,
    InvalidInput,
    NodeLost,
    NoPrimary,
    RetryLater,
    Unavailable,
)


@pytest.fixture
def quick(settings):
    """No waiting between repetitions, which is not what these tests are about."""
    return settings.model_copy(
        update={"database_retry_delay": 1, "database_pool_max": 6}
    )


@pytest.fixture
def numbers(drive, quick, table):
    driver = drive(quick).open()
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE {table} (n int PRIMARY KEY)")
    driver.table = table
    return driver


def rows(driver):
    with driver.writer() as connection:
        return [n for (n,) in connection.execute(f"SELECT n FROM {driver.table}")]


def insert(driver, n):
    return lambda c: c.execute(f"INSERT INTO {driver.table} VALUES (%s)", (n,))


def failing(times, error, then):
    """Raise as the driver would, so many times, and then do the work."""
    left = [times]

    def work(connection):
        if left[0]:
            left[0] -= 1
            raise error("made up")
        return then(connection)

    return work


def test_a_function_is_one_transaction_and_its_result_is_returned(numbers):
    def work(connection):
        connection.execute(f"INSERT INTO {numbers.table} VALUES (1), (2)")
        return connection.execute(f"SELECT count(*) FROM {numbers.table}")[0][0]

    assert numbers.run(work) == 2
    assert sorted(rows(numbers)) == [1, 2]


def test_an_error_of_the_function_rolls_back(numbers):
    def work(connection):
        connection.execute(f"INSERT INTO {numbers.table} VALUES (1)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        numbers.run(work)
    assert rows(numbers) == []


@pytest.mark.parametrize(
    "error", [driver_errors.SerializationFailure, driver_errors.DeadlockDetected]
)
def test_a_transaction_that_was_rolled_back_runs_again(numbers, error):
    numbers.run(failing(2, error, insert(numbers, 1)))
    assert rows(numbers) == [1]
    assert [event.attempt for event in numbers.events(Retried)] == [1, 2]


def test_repetitions_end(numbers):
    with pytest.raises(RetryLater) as caught:
        numbers.run(failing(9, driver_errors.SerializationFailure, insert(numbers, 1)))
    assert isinstance(caught.value.__cause__, driver_errors.SerializationFailure)
    assert len(numbers.events(Retried)) == 3


@pytest.mark.parametrize(
    "error", [driver_errors.UniqueViolation, driver_errors.QueryCanceled]
)
def test_what_would_fail_again_is_not_repeated(numbers, error):
    with pytest.raises((AlreadyExists, DatabaseError)):
        numbers.run(failing(1, error, insert(numbers, 1)))
    assert numbers.events(Retried) == []


def test_a_real_serialization_conflict_is_repeated(numbers):
    numbers.run(insert(numbers, 1))
    meet = threading.Barrier(2)
    attempts = []

    def count_and_add(n):
        first = [True]

        def work(connection):
            attempts.append(n)
            connection.execute(f"SELECT count(*) FROM {numbers.table}")
            if first:
                first.clear()
                meet.wait(10)
            connection.execute(f"INSERT INTO {numbers.table} VALUES (%s)", (n,))

        numbers.run(work, isolation=Isolation.SERIALIZABLE)

    threads = [threading.Thread(target=count_and_add, args=(n,)) for n in (10, 20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(rows(numbers)) == [1, 10, 20]
    assert len(attempts) == 3


def test_a_connection_lost_before_commit_is_replaced_and_the_work_repeated(numbers):
    once = [True]

    def work(connection):
        connection.execute(f"INSERT INTO {numbers.table} VALUES (1)")
        if once:
            once.clear()
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    numbers.run(work)
    assert rows(numbers) == [1]


def test_an_autocommit_statement_that_was_cut_off_is_in_doubt(numbers):
    with pytest.raises(InDoubt), numbers.writer() as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert len(numbers.events(Doubted)) == 1


def test_a_read_that_was_cut_off_is_not_in_doubt(numbers):
    with pytest.raises(Unavailable), numbers.reader(max_lag=0) as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_connection_that_was_closed_while_idle_costs_its_caller_nothing(numbers):
    with numbers.writer() as connection:
        idle = connection.raw.pgconn.backend_pid
    with psycopg.connect(
        numbers.settings.database_url.get_secret_value(), autocommit=True
    ) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (idle,))
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'authkit' AND datname = current_database()"
        )
    with numbers.writer() as connection:
        assert connection.execute("SELECT 1") == [(1,)]


def test_a_prepared_statement_whose_plan_changed_is_prepared_again(numbers):
    numbers.run(insert(numbers, 1))
    sql = f"SELECT * FROM {numbers.table}"
    small = numbers.settings
    assert small.database_pool_max == 6

    def read(connection):
        for _ in range(7):  # psycopg prepares at the sixth
            connection.execute(sql)

    numbers.run(read)
    with numbers.writer() as connection:
        connection.execute(f"ALTER TABLE {numbers.table} ADD m int")
    numbers.run(lambda c: c.execute(sql, ()))
    assert numbers.run(lambda c: c.execute(sql)) == [(1, None)]


def test_the_deadline_ends_a_statement(numbers):
    began = monotonic()
    with pytest.raises(DeadlineExceeded):
        numbers.run(lambda c: c.execute("SELECT pg_sleep(30)"), deadline=0.2)
    assert monotonic() - began < 5
    assert rows(numbers) == []


def test_the_deadline_ends_waiting_for_a_lock_and_repeating(numbers):
    with numbers.writer() as holder:
        holder.execute("BEGIN")
        holder.execute(f"LOCK TABLE {numbers.table}")
        with pytest.raises(DeadlineExceeded):
            numbers.run(insert(numbers, 1), deadline=0.2)
        holder.execute("ROLLBACK")
    slow = numbers.settings.model_copy(update={"database_retry_delay": 60_000})
    assert slow.database_retry_delay == 60_000


def test_a_passed_deadline_sends_nothing(numbers):
    with pytest.raises(DeadlineExceeded):
        numbers.run(insert(numbers, 1), deadline=0)
    assert rows(numbers) == []


def test_a_read_is_a_read_only_transaction(numbers):
    with pytest.raises(DatabaseError) as caught:
        numbers.run(insert(numbers, 1), intent=Intent.READ, max_lag=0)
    assert caught.value.sqlstate == "25006"
    assert numbers.run(lambda c: c.execute("SELECT 1"), intent=Intent.READ) == [(1,)]


def test_a_function_that_ends_the_transaction_is_told_not_to(numbers):
    with pytest.raises(InvalidInput):
        numbers.run(lambda c: c.execute("ROLLBACK"))


def test_a_transaction_whose_error_was_swallowed_is_not_reported_as_done(numbers):
    def work(connection):
        try:
            connection.execute("SELECT 1/0")
        except psycopg.Error:
            return "fine"

    with pytest.raises(DatabaseError, match="rolled back"):
        numbers.run(work)


def test_a_write_key_lets_a_write_through_once(numbers):
    key = f"key of {numbers.table}"
    numbers.run(insert(numbers, 1), key=key)
    with pytest.raises(AlreadyExists):
        numbers.run(insert(numbers, 2), key=key)
    assert rows(numbers) == [1]
    assert numbers.call("resolve", key) is Resolution.APPLIED


def test_of_racing_writes_with_one_key_one_is_applied(numbers):
    key, outcomes = f"race of {numbers.table}", []
    meet = threading.Barrier(5)

    def race(n):
        meet.wait(10)
        try:
            numbers.run(insert(numbers, n), key=key)
            outcomes.append("applied")
        except AlreadyExists:
            outcomes.append("refused")

    threads = [threading.Thread(target=race, args=(n,)) for n in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(outcomes) == ["applied"] + ["refused"] * 4
    assert len(rows(numbers)) == 1


def test_a_key_that_was_never_applied_is_void_and_bars_a_late_write(numbers):
    key = f"void of {numbers.table}"
    assert numbers.call("resolve", key) is Resolution.VOID
    assert numbers.call("resolve", key) is Resolution.VOID
    with pytest.raises(Conflict, match="void"):
        numbers.run(insert(numbers, 1), key=key)
    assert rows(numbers) == []


def test_resolving_waits_for_a_transaction_that_is_still_open(numbers):
    key = f"open {numbers.table}"
    inside, go_on = threading.Event(), threading.Event()

    def work(connection):
        connection.execute(f"INSERT INTO {numbers.table} VALUES (1)")
        inside.set()
        go_on.wait(10)

    writer = threading.Thread(target=lambda: numbers.run(work, key=key))
    writer.start()
    inside.wait(10)
    answers = []
    resolver = threading.Thread(
        target=lambda: answers.append(numbers.call("resolve", key, timeout=10))
    )
    resolver.start()
    numbers.until(lambda: blocked(numbers), "the claim waits")
    assert answers == []
    go_on.set()
    writer.join()
    resolver.join()
    assert answers == [Resolution.APPLIED]


def blocked(driver):
    with driver.writer() as connection:
        return connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%%write_keys%%' AND datname = current_database()"
        )


DIE = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def deadly(numbers):
    """A table whose 13 ends the backend in the middle of COMMIT."""
    with numbers.writer() as connection:
        name = numbers.table.split(".")[1]
        connection.execute(
            f"CREATE FUNCTION public.die_{name}() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL;"
            " END $$"
        )
        connection.execute(
            f"CREATE CONSTRAINT TRIGGER die AFTER INSERT ON {numbers.table}"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.n = 13)"
            f" EXECUTE FUNCTION public.die_{name}()"
        )
    return numbers


def by_commit(driver, connection):
    driver.wait(connection.raw.set_autocommit(False))
    insert(driver, 13)(connection)
    connection.call("commit")


def by_statements(driver, connection):
    connection.execute("BEGIN")
    insert(driver, 13)(connection)
    connection.execute("COMMIT")


def by_block(driver, connection):
    async def block():
        async with connection.raw.transaction():
            await connection.raw.execute(f"INSERT INTO {driver.table} VALUES (13)")

    if driver.colour == "async":
        driver.wait(block())
        return
    with connection.raw.transaction():
        insert(driver, 13)(connection)


@pytest.mark.parametrize("way", [by_commit, by_statements, by_block])
def test_a_lost_commit_is_in_doubt_however_it_was_said(deadly, way):
    with pytest.raises(InDoubt), deadly.writer() as connection:
        way(deadly, connection)


def in_a_block(driver, connection):
    async def block():
        async with connection.raw.transaction():
            await connection.raw.execute(DIE)

    if driver.colour == "async":
        driver.wait(block())
        return
    with connection.raw.transaction():
        connection.execute(DIE)


def test_work_that_is_lost_in_a_block_is_known_to_be_undone(deadly):
    with (
        pytest.raises(NodeLost, match="nothing was applied"),
        deadly.writer() as connection,
    ):
        in_a_block(deadly, connection)


def test_a_lost_commit_with_a_key_is_settled_and_the_result_returned(deadly):
    """The backend dies in the middle of COMMIT, by a deferred trigger."""
    numbers, attempts = deadly, []

    def work(connection):
        attempts.append(13 + len(attempts))
        connection.execute(f"INSERT INTO {numbers.table} VALUES (%s)", (attempts[-1],))
        return attempts[-1]

    assert numbers.run(work, key=f"lost {numbers.table}") == 14
    assert rows(numbers) == [14]
    with pytest.raises(InDoubt):
        numbers.run(insert(numbers, 13))
    assert rows(numbers) == [14]


@pytest.fixture
def barred(deadly, pair):
    """Once `barred()` is called the server takes no write key of the run any more."""
    name, flag = deadly.table.split(".")[1], f"{deadly.table}_barred"
    with deadly.writer() as connection:
        database = connection.execute("SELECT current_database()")[0][0]
        connection.execute(
            f"CREATE FUNCTION public.bar_{name}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF to_regclass('{flag}') IS NOT NULL"
            " THEN RAISE EXCEPTION 'barred'; END IF; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER bar BEFORE INSERT ON authkit.write_keys"
            f" FOR EACH ROW EXECUTE FUNCTION public.bar_{name}()"
        )
    yield lambda: pair.sql(f"CREATE TABLE {flag} ()", database=database)
    pair.sql("DROP TRIGGER IF EXISTS bar ON authkit.write_keys", database=database)


def test_a_doubt_outlives_an_attempt_that_came_to_no_key(deadly, barred):
    """Nothing was applied is true of that attempt, and unknown of the first."""
    numbers, key, attempts = deadly, f"unsettled {deadly.table}", []

    def work(connection):
        attempts.append(1)
        insert(numbers, 13)(connection)
        barred()

    with pytest.raises(InDoubt) as caught:
        numbers.run(work, key=key)
    assert caught.value.key == key
    assert isinstance(caught.value.__cause__, DatabaseError)
    assert len(attempts) == 1
    with numbers.writer() as connection:
        connection.execute("DROP TRIGGER bar ON authkit.write_keys")
    assert numbers.wait(numbers.cluster.resolve(key)) is Resolution.VOID
    assert rows(numbers) == []


def test_a_key_that_was_declared_void_meanwhile_leaves_no_doubt(deadly, pair):
    numbers, key = deadly, f"voided {deadly.table}"
    with numbers.writer() as connection:
        database = connection.execute("SELECT current_database()")[0][0]

    def settle(event):
        if isinstance(event, Doubted):
            pair.sql(
                "INSERT INTO authkit.write_keys (key, status, epoch)"
                " VALUES (%s, 'void', 1)",
                [key],
                database=database,
            )

    numbers.cluster.events.subscribe(settle)
    with pytest.raises(Conflict, match="void"):
        numbers.run(insert(numbers, 13), key=key)
    assert rows(numbers) == []


@pytest.mark.parametrize("later", [InvalidInput, NoPrimary])
def test_an_attempt_that_took_the_key_settles_the_doubt_of_the_first(deadly, later):
    numbers, key, attempts = deadly, f"settled {deadly.table}", []

    def work(connection):
        attempts.append(1)
        if len(attempts) > 1:
            raise later("made up")
        insert(numbers, 13)(connection)

    with pytest.raises(later, match="made up"):
        numbers.run(work, key=key)
    assert len(attempts) == 2
    assert numbers.wait(numbers.cluster.resolve(key)) is Resolution.VOID
    assert rows(numbers) == []


def test_a_token_of_a_commit_comes_in_the_same_round_trip(numbers):
    _, token = numbers.wait(
        numbers.cluster.run_with_token(numbers.work(insert(numbers, 1)))
    )
    assert isinstance(token, Token)
    with numbers.writer() as connection:
        assert numbers.call("token", connection.raw).lsn >= token.lsn
    with numbers.reader(after=token) as connection:
        assert connection.execute(f"SELECT n FROM {numbers.table}") == [(1,)]
