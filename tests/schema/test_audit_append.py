"""The audit trail's one door: no fork, the documented bytes, nothing changed after."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Barrier
from typing import Any

import psycopg
import pytest

from authkit.schema.audit import AUDIT_SHARDS, GENESIS_HASH, HASH_DOMAIN

APPEND = "SELECT seq, recorded_at, hash FROM authkit.audit_append(%s, %s)"


def event(**values: object) -> bytes:
    said = {
        "action": "role.grant",
        "actor": "user:0199f0a0-0000-7000-8000-000000000001",
        "outcome": "succeeded",
        **values,
    }
    return json.dumps(said, separators=(",", ":"), sort_keys=True).encode()


def documented_hash(
    shard: int, seq: int, at: datetime, prev: bytes, canonical: bytes
) -> bytes:
    micros = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return sha256(
        HASH_DOMAIN
        + shard.to_bytes(4, "big", signed=True)
        + seq.to_bytes(8, "big", signed=True)
        + micros.to_bytes(8, "big", signed=True)
        + prev
        + canonical
    ).digest()


def chain(connection: psycopg.Connection, shard: int) -> list[Any]:
    return connection.execute(
        "SELECT seq, recorded_at, prev_hash, hash, canonical FROM authkit.audit_logs"
        " WHERE shard = %s ORDER BY seq",
        [shard],
    ).fetchall()


def test_an_entry_hashes_the_documented_bytes(rows: Any):
    first, second = event(details={"n": 1}), event(details={"n": 2})
    for canonical in (first, second):
        rows.connection.execute(APPEND, [3, canonical])
    one, two = chain(rows.connection, 3)
    assert one[2] == GENESIS_HASH
    assert one[3] == documented_hash(3, 1, one[1], GENESIS_HASH, first)
    assert two[2] == one[3]
    assert two[3] == documented_hash(3, 2, two[1], one[3], second)


def test_the_head_is_the_newest_entry(rows: Any):
    for _ in range(3):
        appended = rows.connection.execute(APPEND, [4, event()]).fetchone()
    head = rows.connection.execute(
        "SELECT seq, recorded_at, hash FROM authkit.audit_chain_heads WHERE shard = 4"
    ).fetchone()
    assert head == appended


def test_the_columns_are_read_from_the_stored_bytes(rows: Any):
    canonical = event(
        target="role:admin",
        before={"a": 1},
        after=None,
        ip="2001:db8::1",
        user_agent="curl",
        correlation_id="c-1",
        occurred_at="2026-01-01T00:00:00.000001Z",
        extra="kept in the bytes alone",
    )
    rows.connection.execute("SET LOCAL timezone = 'Asia/Tokyo'")
    rows.connection.execute(APPEND, [0, canonical])
    row = rows.connection.execute(
        "SELECT actor, action, target, outcome, before, after, details, host(ip),"
        " user_agent, correlation_id, occurred_at, canonical FROM authkit.audit_logs"
    ).fetchone()
    assert row == (
        "user:0199f0a0-0000-7000-8000-000000000001",
        "role.grant",
        "role:admin",
        "succeeded",
        {"a": 1},
        None,
        {},
        "2001:db8::1",
        "curl",
        "c-1",
        datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        canonical,
    )


def test_eight_writers_at_once_make_no_fork_and_no_gap(schema_url: str):
    writers, each, shard = 8, 25, 7
    barrier = Barrier(writers, timeout=30)

    def write(writer: int) -> None:
        with psycopg.connect(schema_url, autocommit=True) as connection:
            barrier.wait()
            for number in range(each):
                connection.execute(
                    APPEND, [shard, event(details={str(writer): number})]
                )

    with psycopg.connect(schema_url, autocommit=True) as reader:
        before = len(chain(reader, shard))
        with ThreadPoolExecutor(writers) as pool:
            for done in [pool.submit(write, writer) for writer in range(writers)]:
                done.result(timeout=60)
        entries = chain(reader, shard)
    assert len(entries) == before + writers * each
    previous = GENESIS_HASH
    for number, (seq, at, prev, hashed, canonical) in enumerate(entries, start=1):
        assert (seq, prev) == (number, previous)
        assert hashed == documented_hash(shard, seq, at, prev, canonical)
        previous = hashed


def test_an_entry_vanishes_with_the_transaction_that_wrote_it(schema_url: str):
    with psycopg.connect(schema_url) as connection:
        before = len(chain(connection, 9))
        connection.execute(APPEND, [9, event()])
        connection.rollback()
        after = connection.execute(
            "SELECT seq FROM authkit.audit_chain_heads WHERE shard = 9"
        ).fetchone()
    assert after == (before,)


def test_a_transaction_appends_to_one_shard_only(rows: Any):
    rows.connection.execute(APPEND, [1, event()])
    rows.connection.execute(APPEND, [1, event()])
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        rows.connection.execute(APPEND, [2, event()])


def test_the_next_transaction_is_free_to_choose_another_shard(schema_url: str):
    with psycopg.connect(schema_url) as connection:
        for shard in (1, 2):
            connection.execute(APPEND, [shard, event()])
            connection.rollback()


@pytest.mark.parametrize(
    ("shard", "canonical", "refusal"),
    [
        (AUDIT_SHARDS, event(), psycopg.errors.InvalidParameterValue),
        (-1, event(), psycopg.errors.InvalidParameterValue),
        (0, b"[1]", psycopg.errors.InvalidParameterValue),
        (0, b"not json", psycopg.errors.InvalidTextRepresentation),
        (0, b"\xff", psycopg.errors.CharacterNotInRepertoire),
        (0, event(outcome="perhaps"), psycopg.errors.CheckViolation),
        (0, event(actor="nobody"), psycopg.errors.CheckViolation),
        (0, event(actor=None), psycopg.errors.NotNullViolation),
        (0, event(action="Not A Slug"), psycopg.errors.CheckViolation),
        (0, event(details=[1]), psycopg.errors.CheckViolation),
        (0, event(ip="not an address"), psycopg.errors.InvalidTextRepresentation),
        (0, None, psycopg.errors.InvalidParameterValue),
    ],
)
def test_a_malformed_event_is_refused_and_moves_no_head(
    rows: Any, shard: int, canonical: bytes | None, refusal: type[psycopg.Error]
):
    with pytest.raises(refusal), rows.connection.transaction():
        rows.connection.execute(APPEND, [shard, canonical])
    head = rows.value("SELECT seq FROM authkit.audit_chain_heads WHERE shard = 0")
    assert head == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE authkit.audit_logs SET action = 'nothing.happened'",
        "DELETE FROM authkit.audit_logs",
    ],
)
def test_an_entry_is_not_changed_or_deleted_even_by_its_owner(rows: Any, change: str):
    rows.connection.execute(APPEND, [0, event()])
    refused = rows.refused(lambda: rows.connection.execute(change))
    assert refused == "audit_logs_append_only"


def test_the_period_never_falls_within_a_shard_when_the_clock_does(rows: Any):
    rows.connection.execute(
        "UPDATE authkit.audit_chain_heads SET period = '2099-01-01' WHERE shard = 5"
    )
    rows.connection.execute(APPEND, [5, event()])
    period = rows.value("SELECT period::text FROM authkit.audit_logs WHERE shard = 5")
    assert period == "2099-01-01"


def test_appending_ignores_a_search_path_that_shadows_its_names(rows: Any):
    rows.connection.execute(
        "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql"
        " AS $$ SELECT repeat('x', 32)::bytea $$"
    )
    rows.connection.execute("SET LOCAL search_path = pg_temp, pg_catalog")
    rows.connection.execute(APPEND, [6, event()])
    ((seq, at, prev, hashed, canonical),) = chain(rows.connection, 6)
    assert hashed == documented_hash(6, seq, at, prev, canonical)
