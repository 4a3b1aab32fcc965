from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from authkit.errors import InvalidInput
from authkit.hot import AttemptRecord, Durability, batches, sessions
from authkit.hot._sync import statement
from authkit.hot.relaxed import RECORD_RELAXED
from authkit.ids import uuid7

SUBJECT = b"s" * 32
DEVICE = b"d" * 32
MINUTE = timedelta(minutes=1)


def test_an_attempt_is_read_back_as_it_was_recorded(kit, user_id):
    session_id = uuid7()
    key = kit.attempts.record(
        AttemptRecord(
            outcome="failed",
            method="totp",
            stage="second_factor",
            subject=SUBJECT,
            user_id=user_id,
            ip="::ffff:192.0.2.1",
            asn=64_500,
            country="de",
            user_agent="x" * 4096,
            device=DEVICE,
            session_id=session_id,
            client_id="app",
            failure_reason="wrong-code",
            risk_score=0.5,
            risk_model="mismatch",
            risk_model_version="1",
            risk_features={"ip": 1.0},
        )
    )
    (found,) = kit.attempts.recent_by_user(user_id)
    assert (found.occurred_at, found.id) == (key.occurred_at, key.id)
    assert (found.subject_hash, found.device_fingerprint) == (SUBJECT, DEVICE)
    assert (str(found.ip), found.asn, found.country) == ("192.0.2.1", 64_500, "DE")
    assert found.user_agent == "x" * 512
    assert (found.method, found.stage) == ("totp", "second_factor")
    assert (found.outcome, found.failure_reason) == ("failed", "wrong-code")
    assert (found.risk_score, found.risk_model) == (0.5, "mismatch")
    assert (found.session_id, found.client_id) == (session_id, "app")


def test_a_pending_attempt_is_settled_once(kit, user_id):
    key = kit.attempts.record(AttemptRecord(outcome="pending", subject=SUBJECT))
    assert kit.attempts.succeed(key, user_id=user_id) is True
    assert kit.attempts.fail(key, "wrong-password") is False
    (found,) = kit.attempts.recent_by_user(user_id)
    assert found.outcome == "succeeded"
    assert found.settled_at >= found.occurred_at


def test_of_many_who_settle_an_attempt_one_does(kit, race):
    key = kit.attempts.record(AttemptRecord(outcome="pending"))

    def settle(caller: int) -> bool:
        if caller % 2:
            return kit.attempts.succeed(key)
        return kit.attempts.fail(key, "wrong-password")

    assert race(settle, 30).count(True) == 1


def test_recent_attempts_are_found_by_each_key(kit, user_id):
    subject, device = user_id.bytes * 2, user_id.bytes[::-1] * 2
    address = f"2001:db8::{user_id.hex[-4:]}"
    key = kit.attempts.record(
        AttemptRecord(
            outcome="succeeded",
            subject=subject,
            user_id=user_id,
            ip=address,
            device=device,
        )
    )
    attempts = kit.attempts
    for found in (
        attempts.recent_by_subject(subject),
        attempts.recent_by_user(user_id),
        attempts.recent_by_ip(address),
        attempts.recent_by_device(device),
    ):
        assert [one.id for one in found] == [key.id]
    since = key.occurred_at + timedelta(microseconds=1)
    assert attempts.recent_by_user(user_id, since=since) == []


def test_attempts_are_read_in_pages_without_repetition_or_gap(kit, user_id):
    at = datetime.now(UTC) - MINUTE
    keys = [
        kit.attempts.record(
            # Some at the same instant: the id decides then.
            AttemptRecord(
                outcome="failed", user_id=user_id, occurred_at=at + MINUTE * (n // 3)
            )
        )
        for n in range(7)
    ]
    expected = sorted(((k.occurred_at, k.id) for k in keys), reverse=True)
    seen = []
    page = kit.attempts.recent_by_user(user_id, limit=2)
    while page:
        seen += [(one.occurred_at, one.id) for one in page]
        page = kit.attempts.recent_by_user(user_id, before=page[-1], limit=2)
    assert seen == expected


def test_what_was_never_settled_counts_as_failed(kit, user_id):
    for outcome in ("pending", "failed", "abandoned", "succeeded", "denied"):
        kit.attempts.record(AttemptRecord(outcome=outcome, user_id=user_id))
    count = kit.attempts.failures(window=MINUTE, user_id=user_id)
    assert (count.user, count.subject, count.ip, count.device) == (3, 0, 0, 0)


def test_failures_of_each_key_are_counted_apart(kit, user_id, add_user):
    address, other = "198.51.100.1", add_user()
    for user in (user_id, user_id, other):
        kit.attempts.record(AttemptRecord(outcome="failed", user_id=user, ip=address))
    count = kit.attempts.failures(window=MINUTE, user_id=user_id, ip=address)
    assert (count.user, count.ip) == (2, 3)


def test_failures_before_the_window_do_not_count(kit, user_id):
    before = datetime.now(UTC) - timedelta(hours=1)
    kit.attempts.record(
        AttemptRecord(outcome="failed", user_id=user_id, occurred_at=before)
    )
    assert kit.attempts.failures(window=MINUTE, user_id=user_id).user == 0


def test_a_user_is_locked_until_a_time_and_unlocked_by_hand(kit, user_id):
    locked = kit.attempts.lock(user_id, MINUTE)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.get(user_id).locked_until == locked.locked_until
    assert kit.attempts.unlock(user_id) is True
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.get(user_id).locked_until is None


def test_an_unknown_user_cannot_be_locked(kit):
    assert kit.attempts.lock(uuid7(), MINUTE) is None
    assert kit.attempts.unlock(uuid7()) is False


@pytest.mark.parametrize(
    "parts",
    [
        {"outcome": "won"},
        {"outcome": "failed", "method": "guess"},
        {"outcome": "failed", "stage": "third_factor"},
        {"outcome": "succeeded", "failure_reason": "none"},
        {"outcome": "failed", "failure_reason": "Wrong Password!"},
        {"outcome": "failed", "risk_score": 0.5},
        {"outcome": "failed", "subject": b"clear"},
        {"outcome": "failed", "ip": "somewhere"},
        {"outcome": "failed", "asn": 2**32},
        {"outcome": "failed", "country": "Germany"},
        {"outcome": "failed", "client_id": ""},
        {"outcome": "failed", "user_agent": "\x00"},
        {"outcome": "failed", "user_id": "somebody"},
        {"outcome": "failed", "session_id": "some-session"},
        {"outcome": "failed", "risk_features": {"a": float("nan")}},
        {"outcome": "failed", "occurred_at": datetime(2026, 1, 1)},  # noqa: DTZ001 # the point
    ],
    ids=str,
)
def test_bad_input_is_refused_before_the_database_is_asked(kit, asked, parts):
    with pytest.raises(InvalidInput):
        kit.attempts.record(AttemptRecord(**parts))
    assert asked == []


def test_durability_is_relaxed_where_asked_for_and_never_in_a_transaction(kit, user_id):
    """Seen from outside: a relaxed commit leaves its setting to nobody."""
    made = kit.sessions.create(user_id)
    attempt = AttemptRecord(outcome="failed", user_id=user_id)
    relaxed = "SELECT current_setting('synchronous_commit')"
    with kit.cluster.writer() as connection:
        for operation, params in (
            (sessions.TOUCH, (made.id, timedelta(0))),
            (batches.TOUCH, ([made.id], [timedelta(0)])),
            (RECORD_RELAXED, attempt.params()),
        ):
            assert operation.durability is Durability.RELAXED
            with connection.transaction():
                statement.execute(connection, operation, params)
                assert connection.execute(relaxed).fetchone() == ("off",)
            assert connection.execute(relaxed).fetchone() == ("on",)
    with kit.unit_of_work() as uow:
        uow.hot.sessions.touch(made.id, every=timedelta(0))
        uow.hot.attempts.record(attempt, durable=False)
        found = uow.run(lambda w: w.session.execute(text(relaxed)).scalar_one())
        assert found == "on"
    assert kit.attempts.record(attempt, durable=False).id
