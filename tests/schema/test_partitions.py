"""Partitions are made ahead, take back what the default one holds, and are dropped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest

FAR = "2031-05-05"


def partition_of(rows: Any, attempt: object) -> str:
    return str(
        rows.value(
            "SELECT c.relname FROM authkit.auth_attempts AS a"
            " JOIN pg_class AS c ON c.oid = a.tableoid WHERE a.id = %s",
            attempt,
        )
    )


def ensure(rows: Any, first: str, last: str) -> int:
    return int(rows.value("SELECT authkit.ensure_partitions(%s, %s)", first, last))


def test_an_attempt_of_a_day_without_a_partition_is_not_lost(rows: Any):
    attempt = rows.insert("auth_attempts", occurred_at=f"{FAR}T12:00:00Z")["id"]
    assert partition_of(rows, attempt) == "auth_attempts_default"


def test_a_partition_made_late_takes_its_rows_out_of_the_default_one(rows: Any):
    settled = rows.insert(
        "auth_attempts", occurred_at=f"{FAR}T12:00:00Z", outcome="failed"
    )["id"]
    neighbour = rows.insert("auth_attempts", occurred_at="2031-05-06T00:00:00Z")["id"]
    ensure(rows, FAR, FAR)
    assert partition_of(rows, settled) == "auth_attempts_20310505"
    assert partition_of(rows, neighbour) == "auth_attempts_default"


def test_guards_hold_in_a_partition_made_late(rows: Any):
    attempt = rows.insert("auth_attempts", occurred_at=f"{FAR}T12:00:00Z")["id"]
    ensure(rows, FAR, FAR)
    settle = "UPDATE authkit.auth_attempts SET outcome = 'failed' WHERE id = %s"
    rows.connection.execute(settle, [attempt])
    refused = rows.refused(lambda: rows.connection.execute(settle, [attempt]))
    assert refused == "auth_attempts_settle_once"


def test_moving_audit_entries_leaves_the_guard_of_the_default_partition_on(rows: Any):
    rows.connection.execute("DROP TABLE authkit.audit_logs_" + this_month(rows))
    rows.connection.execute(
        "SELECT authkit.audit_append(0, convert_to("
        """'{"actor":"system:t","action":"t","outcome":"succeeded"}', 'UTF8'))"""
    )
    today = str(rows.value("SELECT (now() AT TIME ZONE 'UTC')::date"))
    assert ensure(rows, today, today) == 1
    held = rows.value("SELECT count(*) FROM ONLY authkit.audit_logs_default")
    enabled = rows.value(
        "SELECT tgenabled FROM pg_trigger WHERE tgname = 'audit_logs_append_only'"
        " AND tgrelid = 'authkit.audit_logs_default'::regclass"
    )
    assert (held, enabled) == (0, "O")


def this_month(rows: Any) -> str:
    return str(rows.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')"))


def test_making_partitions_twice_makes_them_once(rows: Any):
    assert ensure(rows, "2031-05-30", "2031-06-02") == 4 + 2
    assert ensure(rows, "2031-05-30", "2031-06-02") == 0


def test_days_are_days_in_utc_whatever_the_sessions_time_zone(rows: Any):
    rows.connection.execute("SET LOCAL timezone = 'Pacific/Auckland'")
    ensure(rows, FAR, FAR)
    last = rows.insert("auth_attempts", occurred_at=f"{FAR}T23:59:59.999999Z")["id"]
    assert partition_of(rows, last) == "auth_attempts_20310505"


def test_dropping_removes_older_days_only_and_keeps_the_default_partition(rows: Any):
    ensure(rows, "2020-01-01", "2020-01-03")
    dropped = rows.connection.execute(
        "SELECT authkit.drop_attempt_partitions('2020-01-03')"
    ).fetchall()
    assert dropped == [("auth_attempts_20200101",), ("auth_attempts_20200102",)]
    assert rows.value("SELECT to_regclass('authkit.auth_attempts_20200103')::text")
    assert rows.value("SELECT to_regclass('authkit.auth_attempts_default')::text")


@pytest.mark.parametrize(
    "call",
    [
        "authkit.drop_attempt_partitions((now() + interval '2 days')::date)",
        "authkit.drop_attempt_partitions(NULL)",
        "authkit.ensure_partitions('2000-01-01', '2100-01-01')",
        "authkit.ensure_partitions(NULL, '2100-01-01')",
    ],
)
def test_a_span_that_makes_no_sense_is_refused(rows: Any, call: str):
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        rows.connection.execute(f"SELECT {call}")


def test_makers_that_run_at_once_do_not_trip_over_each_other(schema_url: str):
    makers = 6
    barrier = Barrier(makers, timeout=30)

    def make() -> int:
        with psycopg.connect(schema_url, autocommit=True) as connection:
            barrier.wait()
            row = connection.execute(
                "SELECT authkit.ensure_partitions('2032-02-01', '2032-02-05')"
            ).fetchone()
            assert row is not None
            return int(row[0])

    with ThreadPoolExecutor(makers) as pool:
        made = [each.result(60) for each in [pool.submit(make) for _ in range(makers)]]
    assert sorted(made) == [0] * (makers - 1) + [6]


def test_writers_keep_writing_while_a_partition_is_attached(schema_url: str):
    """ATTACH must not ask for a lock on the parent that inserts conflict with."""
    with (
        psycopg.connect(schema_url) as writer,
        psycopg.connect(schema_url, autocommit=True) as maker,
    ):
        writer.execute(
            "INSERT INTO authkit.auth_attempts (id) VALUES (gen_random_uuid())"
        )
        maker.execute("SET lock_timeout = '5s'")
        maker.execute("SELECT authkit.ensure_partitions('2033-03-03', '2033-03-03')")
        writer.rollback()
