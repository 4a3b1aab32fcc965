"""The trail on a real server: what is appended, read and proved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from authkit.errors import InvalidInput
from authkit.relational import Fault, Verification, verification
from authkit.relational.chain import Head
from authkit.testing import race

ROW = "WHERE shard = 3 AND seq = 3"
HEAD_MOVED_BACK = (
    "UPDATE authkit.audit_chain_heads AS h SET seq = e.seq, hash = e.hash"
    " FROM authkit.audit_logs AS e WHERE h.shard = 3 AND e.shard = 3 AND e.seq = {}"
)

# What is done to entry 3 of shard 3, and at which entry it is found.
TAMPERING = {
    "edit the bytes": (
        f"""UPDATE authkit.audit_logs SET canonical =
        replace(convert_from(canonical, 'UTF8'), 'succeeded', 'denied')::bytea {ROW}""",
        (3, Fault.EDITED),
    ),
    "write bytes that no reader understands": (
        rf"UPDATE authkit.audit_logs SET canonical = '\xff7b' {ROW}",
        (3, Fault.EDITED),
    ),
    "edit a column": (
        f"UPDATE authkit.audit_logs SET actor = 'user:mallory' {ROW}",
        (3, Fault.COLUMN_EDITED),
    ),
    "edit the details": (
        f"""UPDATE authkit.audit_logs SET details = '{{"n": true}}' {ROW}""",
        (3, Fault.COLUMN_EDITED),
    ),
    "move it in time": (
        f"""UPDATE authkit.audit_logs
        SET recorded_at = recorded_at - interval '1 us' {ROW}""",
        (3, Fault.EDITED),
    ),
    "delete": (f"DELETE FROM authkit.audit_logs {ROW}", (4, Fault.MISSING)),
    "insert after": (
        f"""UPDATE authkit.audit_logs SET seq = seq + 100 WHERE shard = 3 AND seq > 3;
        UPDATE authkit.audit_logs SET seq = seq - 99 WHERE shard = 3 AND seq > 100;
        INSERT INTO authkit.audit_logs (period, shard, seq, recorded_at, prev_hash,
          hash, canonical, actor, action, outcome)
        SELECT period, shard, 4, recorded_at, hash, sha256(canonical), canonical,
          actor, action, outcome FROM authkit.audit_logs {ROW}""",
        (4, Fault.EDITED),
    ),
    "exchange two": (
        f"""UPDATE authkit.audit_logs SET seq = 1000 {ROW};
        UPDATE authkit.audit_logs SET seq = 3 WHERE shard = 3 AND seq = 4;
        UPDATE authkit.audit_logs SET seq = 4 WHERE shard = 3 AND seq = 1000""",
        (3, Fault.EDITED),
    ),
    "truncate": (
        "DELETE FROM authkit.audit_logs WHERE shard = 3 AND seq >= 3",
        (3, Fault.TRUNCATED),
    ),
    "move the head back": (HEAD_MOVED_BACK.format(3), (3, Fault.HEAD_EDITED)),
    "forget the head": (
        "DELETE FROM authkit.audit_chain_heads WHERE shard = 3",
        (6, Fault.HEAD_EDITED),
    ),
}


@pytest.fixture(scope="module")
def trail(kit, superuser) -> None:
    """Six entries on one shard, appended through the one door."""
    del kit
    for number in range(6):
        event = f'{{"action":"test","actor":"user:{number}","details":{{"n":1}}'
        superuser.execute(
            "SELECT authkit.audit_append(3, %s)",
            (f'{event},"outcome":"succeeded"}}'.encode(),),
        )


def verify(kit, **options) -> Verification:
    with kit.unit_of_work(read_only=True) as uow:
        return uow.audit.verify(**options)


@pytest.fixture
def tampering(database, kit, trail) -> Iterator[psycopg.Connection[Any]]:
    """Somebody who may do everything, and whose traces are removed afterwards."""
    del trail
    saved = "CREATE TABLE saved_{0} AS SELECT * FROM authkit.{0}"
    restored = (
        "DELETE FROM authkit.{0}; INSERT INTO authkit.{0} SELECT * FROM saved_{0};"
        " DROP TABLE saved_{0}"
    )
    tables = ("audit_logs", "audit_chain_heads")
    with psycopg.connect(database.url, autocommit=True) as mallory:
        # A superuser is stopped by no trigger.
        mallory.execute("SET session_replication_role = replica")
        for table in tables:
            mallory.execute(saved.format(table))
        yield mallory
        for table in tables:
            mallory.execute(restored.format(table))
    assert verify(kit).intact


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_is_found_at_its_row(kit, tampering, how):
    statements, found = TAMPERING[how]
    assert verify(kit).intact
    tampering.execute(statements)
    broken = verify(kit).broken
    assert (broken.shard, broken.seq, broken.fault) == (3, *found)


def test_the_trail_streams_in_the_order_of_its_key_and_is_never_sorted(
    superuser, trail
):
    del trail
    superuser.execute("ANALYZE authkit.audit_logs")
    with superuser.transaction():
        superuser.execute("SET LOCAL enable_seqscan = off")
        superuser.execute(verification.IN_ORDER.text)
        plan = superuser.execute(f"EXPLAIN {verification.JUDGED}".encode()).fetchall()
    lines = [line for (line,) in plan]
    assert any("Index Scan using audit_logs" in line for line in lines), lines
    assert not any("Sort  (" in line for line in lines), lines


def test_a_tail_cut_off_with_its_head_is_found_by_a_witness(kit, tampering):
    witnesses = verify(kit).heads
    tampering.execute("DELETE FROM authkit.audit_logs WHERE shard = 3 AND seq > 4")
    tampering.execute(HEAD_MOVED_BACK.format(4))
    assert verify(kit).intact
    broken = verify(kit, witnesses=witnesses).broken
    assert (broken.shard, broken.fault) == (3, Fault.TRUNCATED)


def test_the_application_itself_can_change_no_entry(kit, superuser, trail):
    del trail
    for statement in (
        "UPDATE authkit.audit_logs SET actor = 'user:x'",
        "DELETE FROM authkit.audit_logs",
    ):
        with pytest.raises(psycopg.Error):
            superuser.execute(statement)
    assert verify(kit).intact


# --- appending ------------------------------------------------------------------------


def test_an_entry_holds_what_was_said_and_by_whom(kit, word):
    origin = {
        "actor": "user:ann",
        "ip": "::ffff:192.0.2.1",
        "user_agent": "Firefox",
        "correlation_id": word,
    }
    when = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
    with kit.unit_of_work(**origin) as uow:
        uow.audit.append(
            "invoice.approve",
            target="invoice:7",
            before={"approved": False, "sum": 1.5},
            after={"approved": True},
            details={"note": "ünïcode \u2028 \x7f"},
            occurred_at=when,
        )
    (receipt,) = uow.receipts
    with kit.unit_of_work(read_only=True) as uow:
        (entry,) = uow.audit.trail(correlation_id=word)
        assert uow.audit.verify(witnesses=[_head(receipt)]).intact
    assert (entry.shard, entry.seq) == (receipt.shard, receipt.seq)
    assert entry.recorded_at == receipt.recorded_at
    assert (entry.actor, entry.action) == ("user:ann", "invoice.approve")
    assert (entry.target, entry.outcome) == ("invoice:7", "succeeded")
    assert (entry.before, entry.after) == (
        {"approved": False, "sum": 1.5},
        {"approved": True},
    )
    assert entry.details == {"note": "ünïcode \u2028 \x7f"}
    assert (str(entry.ip), entry.user_agent) == ("192.0.2.1", "Firefox")
    assert entry.occurred_at == when


def _head(receipt) -> Head:
    return Head(receipt.shard, receipt.seq, receipt.hash)


def test_entries_of_one_transaction_keep_their_order_on_one_shard(kit, word):
    with kit.unit_of_work(correlation_id=word) as uow:
        for number in range(5):
            uow.audit.append(f"step.{number}".replace(".", ".n"))
    shards = {receipt.shard for receipt in uow.receipts}
    numbers = [receipt.seq for receipt in uow.receipts]
    assert len(shards) == 1
    assert numbers == list(range(numbers[0], numbers[0] + 5))


def test_an_entry_vanishes_with_the_change_it_tells_of(kit, word):
    with pytest.raises(InvalidInput), kit.unit_of_work(correlation_id=word) as uow:  # noqa: PT012 # the block is what fails
        uow.audit.append("invoice.approve")
        uow.users.create("")
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.audit.trail(correlation_id=word) == []


def test_many_appenders_fork_no_chain(kit, word):
    def act(caller: int) -> None:
        for _ in range(4):
            with kit.unit_of_work(correlation_id=word, actor=f"user:{caller}") as uow:
                uow.audit.append("race.one")
                uow.audit.append("race.two")

    race(act, 30)
    assert verify(kit).intact
    with kit.unit_of_work(read_only=True) as uow:
        assert len(uow.audit.trail(correlation_id=word, limit=1000)) == 240


def test_a_verification_is_not_disturbed_by_appending(kit):
    def act(caller: int) -> bool:
        if caller % 3 == 0:
            return verify(kit).intact
        with kit.unit_of_work() as uow:
            uow.audit.append("race.append")
        return True

    assert all(race(act, 30))


# --- reading --------------------------------------------------------------------------


def test_the_trail_is_read_in_pages_newest_first(kit, word):
    for number in range(7):
        with kit.unit_of_work(correlation_id=word) as uow:
            uow.audit.append(f"step.n{number}")
    with kit.unit_of_work(read_only=True) as uow:
        seen = []
        page = uow.audit.trail(correlation_id=word, limit=3)
        while page:
            seen += [entry.action for entry in page]
            page = uow.audit.trail(correlation_id=word, before=page[-1], limit=3)
    assert seen == [f"step.n{number}" for number in reversed(range(7))]


def test_the_trail_is_asked_by_actor_target_action_and_time(kit, word):
    with kit.unit_of_work(actor=f"user:{word}") as uow:
        uow.audit.append("door.open", target=f"door:{word}")
        uow.audit.append("door.close", target=f"door:{word}", outcome="denied")
    (opened, _) = uow.receipts
    with kit.unit_of_work(read_only=True) as uow:
        ask = uow.audit.trail
        assert len(ask(actor=f"user:{word}")) == 2
        assert len(ask(target=f"door:{word}")) == 2
        (denied,) = ask(target=f"door:{word}", action="door.close")
        assert denied.outcome == "denied"
        late = opened.recorded_at + timedelta(days=1)
        assert ask(target=f"door:{word}", since=late) == []
        assert len(ask(target=f"door:{word}", until=late)) == 2


@pytest.mark.parametrize(
    "event",
    [
        {"action": "Shout"},
        {"action": ""},
        {"action": "a", "actor": "ann"},
        {"action": "a", "target": "Invoice:7"},
        {"action": "a", "outcome": "maybe"},
        {"action": "a", "details": {"n": float("nan")}},
        {"action": "a", "details": {"n": 2**53}},
        {"action": "a", "details": {"n": b""}},
        {"action": "a", "after": {"s": "\x00"}},
        {"action": "a", "details": {"s": "x" * 1_100_000}},
        {"action": "a", "occurred_at": datetime(2026, 1, 1)},  # noqa: DTZ001 # the point
    ],
    ids=lambda e: str(e)[:60],
)
def test_a_malformed_event_is_refused_where_it_is_said(kit, event):
    with kit.unit_of_work() as uow, pytest.raises(InvalidInput):
        uow.audit.append(event.pop("action"), **event)
