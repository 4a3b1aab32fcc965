"""The fast lane answers as a cursor does, and finds its way back when it is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import pq
from psycopg.adapt import AdaptersMap, Transformer

from authkit.crypto import tokens
from authkit.errors import DatabaseError
from authkit.hot import (
    AttemptRecord,
    Intent,
    Operation,
    Routed,
    attempts,
    lane,
    sessions,
)
from authkit.hot._sync import statement
from authkit.hot.lengths import ExactDumper
from authkit.ids import uuid7


def arrays_of(element: str) -> lane.Prepared:
    operation = replace(sessions.TOUCH, parameters=("all",), types=(f"{element}[]",))
    return lane.Prepared(operation)


def prepared_names(connection) -> list[str]:
    rows = connection.execute("SELECT name FROM pg_prepared_statements").fetchall()
    return [name for (name,) in rows]


ELEMENTS = {
    "text": st.text(max_size=40),
    "bytea": st.binary(max_size=40) | st.binary(min_size=32, max_size=32),
    "uuid": st.uuids(),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "float8": st.floats(),
    "interval": st.timedeltas(timedelta(days=-999), timedelta(days=999)),
    "timestamptz": st.datetimes(timezones=st.just(UTC)),
}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(sorted(ELEMENTS)))
def test_an_array_is_written_as_psycopg_writes_it(data, element):
    one = ELEMENTS[element] | st.none()
    values = data.draw(
        st.lists(ELEMENTS[element]) | st.lists(one) | st.builds(lambda v: [v] * 9, one)
    )
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(timedelta, ExactDumper)
    array = adapters.types[element].array_oid
    theirs = adapters.get_dumper_by_oid(array, pq.Format.BINARY)
    (written,) = arrays_of(element).values((values,))
    expected = theirs(list, Transformer(adapters)).dump(values)
    assert bytes(written) == bytes(expected)


def test_what_is_no_list_or_no_time_is_not_written_as_an_array():
    with pytest.raises(TypeError, match="tuple"):
        arrays_of("text").values((("a", "b"),))
    with pytest.raises(TypeError, match="int"):
        arrays_of("interval").values(([1, 2],))


def test_alone_and_inside_a_transaction_the_same_rows_come_back(kit, user_id):
    device = user_id.bytes * 2
    kit.sessions.create(
        user_id,
        ip="2001:db8::1",
        country="de",
        device=device,
        user_agent="ünïcode",
        methods=["pwd", 'o"t,p'],
        risk_score=0.1,
        device_info={"a": [1, None, "ü"]},
    )
    kit.attempts.record(
        AttemptRecord(outcome="failed", user_id=user_id, ip="192.0.2.1", asn=2**31)
    )
    kit.auth_cache.put(user_id, device)

    def everything(hot) -> list[object]:
        return [
            hot.sessions.list(user_id),
            hot.sessions.by_device(device),
            hot.sessions.suspicious(),
            hot.attempts.recent_by_user(user_id),
            hot.attempts.failures(window=timedelta(hours=1), user_id=user_id),
            hot.sessions.stats().top_devices,
            hot.auth_cache.get(user_id).permissions,
        ]

    with kit.unit_of_work(read_only=True) as uow:
        assert everything(uow.hot) == everything(kit.hot)


def test_a_statement_is_prepared_once_whatever_its_values(kit, user_id):
    with kit.cluster.writer() as connection:
        for asn in (None, 7, 70_000, 2**32 - 1):
            attempt = AttemptRecord(outcome="failed", user_id=user_id, asn=asn)
            statement.fetch_all(connection, attempts.RECORD, attempt.params())
        names = prepared_names(connection)
    assert len([n for n in names if n.startswith("attempts.record")]) == 1


@pytest.mark.parametrize("operation", [sessions.VALIDATE, sessions.TOUCH])
def test_too_few_or_too_many_values_are_refused_before_anything_is_sent(operation):
    prepared = lane.Prepared(operation)
    for wrong in ((), (None,) * (len(operation.types) + 1)):
        with pytest.raises(ValueError, match=r"argument|unpack"):
            prepared.values(wrong)
    assert prepared.values((None,) * len(operation.types)) == [None] * len(
        operation.types
    )


def test_a_statement_that_was_deallocated_is_prepared_again(kit, user_id):
    made = kit.sessions.create(user_id)
    digest = tokens.digest(made.token)
    with kit.cluster.writer() as connection:
        for _ in range(2):
            found = statement.fetch_one(connection, sessions.VALIDATE, (digest,))
            assert found.id == made.id
            connection.execute("DEALLOCATE ALL")


@dataclass(slots=True)
class Number:
    n: int


def test_a_plan_that_does_not_fit_the_table_any_more_is_made_again(kit, superuser):
    superuser.execute("CREATE TABLE scratch (n int4); INSERT INTO scratch VALUES (7)")
    read = Operation(
        name="scratch.read",
        sql="SELECT n FROM scratch",
        parameters=(),
        types=(),
        row=Number,
        intent=Intent.READ,
        idempotent=True,
    )
    with kit.cluster.writer() as connection:
        for kind in ("int8", "int2"):
            assert statement.fetch_one(connection, read, ()) == Number(7)
            superuser.execute(f"ALTER TABLE scratch ALTER COLUMN n TYPE {kind}")
        assert statement.fetch_one(connection, read, ()) == Number(7)


def test_a_refused_statement_leaves_the_connection_usable(kit, user_id):
    made = kit.sessions.create(user_id)
    divide = Operation(
        name="scratch.divide",
        sql="SELECT 1 / $1 AS n",
        parameters=("by",),
        types=("int4",),
        row=Number,
        intent=Intent.READ,
        idempotent=True,
    )
    runner = Routed(kit.cluster)
    for _ in range(3):
        with pytest.raises(DatabaseError) as caught:
            runner.fetch_one(divide, (0,))
        assert caught.value.sqlstate == "22012"
        assert runner.fetch_one(divide, (1,)) == Number(1)
    assert kit.sessions.validate(made.token) is not None


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        (sessions.TOUCH, (uuid7(), "an hour")),
        (sessions.TOUCH, ("no uuid", timedelta(hours=1))),
        (sessions.LOCK_USER, (5,)),
        (attempts.FAIL, ("yesterday", uuid7(), "reason", None)),
    ],
    ids=lambda p: getattr(p, "name", ""),
)
def test_a_value_of_another_type_is_an_error_and_no_guess(kit, operation, params):
    with kit.cluster.writer() as connection:
        for _ in range(2):
            with pytest.raises((TypeError, AttributeError)):
                statement.execute(connection, operation, params)
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_rollback_on_its_connection_does_not_lose_the_lane(kit, user_id):
    made = kit.sessions.create(user_id)
    digest = tokens.digest(made.token)
    with kit.cluster.writer() as connection:
        for _ in range(3):
            found = statement.fetch_one(connection, sessions.VALIDATE, (digest,))
            assert found.id == made.id
            with connection.transaction(force_rollback=True):
                assert not lane.fits(connection)
                statement.fetch_one(connection, sessions.VALIDATE, (digest,))


def test_where_preparing_is_switched_off_nothing_is_prepared(kit, user_id):
    made = kit.sessions.create(user_id)
    digest = tokens.digest(made.token)
    with kit.cluster.writer() as connection:
        connection.execute("DEALLOCATE ALL")
        threshold, connection.prepare_threshold = connection.prepare_threshold, None
        found = statement.fetch_one(connection, sessions.VALIDATE, (digest,))
        names = prepared_names(connection)
        connection.prepare_threshold = threshold
    assert found.id == made.id
    assert names == []
