"""Guessing is stopped by counters that parallel guesses cannot outrun."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta

import pytest

from authkit.errors import InvalidInput
from authkit.hot import (
    Allowance,
    AttemptKey,
    AttemptRecord,
    Reserved,
    Throttle,
    Throttled,
)
from authkit.hot.throttling import line_of, network_of
from authkit.ids import uuid7

WINDOW = timedelta(minutes=15)
THREE = Throttle(network=Allowance(3, WINDOW), device=Allowance(3, WINDOW), ip=None)
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.1"


def attempt(subject: bytes, ip: str | None = HERE, **parts) -> AttemptRecord:
    return AttemptRecord(outcome="pending", subject=subject, ip=ip, **parts)


@pytest.fixture
def subject() -> bytes:
    return os.urandom(32)


def test_an_attempt_is_reserved_and_recorded_as_pending(kit, subject):
    made = kit.attempts.reserve(attempt(subject, user_agent="Firefox", country="de"))
    assert isinstance(made, Reserved)
    (found,) = kit.attempts.recent_by_subject(subject)
    assert (found.id, found.outcome) == (made.key.id, "pending")
    assert (str(found.ip), found.user_agent, found.country) == (HERE, "Firefox", "DE")


def test_what_is_known_of_an_attempt_is_kept_whether_or_not_it_may_go_on(kit, subject):
    session = uuid7()
    known = attempt(
        subject, session_id=session, stage="second_factor", method="totp",
        risk_score=0.5, risk_model="ours", risk_model_version="1",
        risk_features={"new": 1},
    )  # fmt: skip
    once = Throttle(network=Allowance(1, WINDOW))
    assert kit.attempts.reserve(known, throttle=once)
    assert not kit.attempts.reserve(known, throttle=once)
    for found in kit.attempts.recent_by_subject(subject):
        assert (found.session_id, found.risk_score) == (session, 0.5)
        assert (found.stage, found.risk_model) == ("second_factor", "ours")


def test_one_too_many_is_throttled_and_recorded_as_denied(kit, subject):
    for _ in range(3):
        made = kit.attempts.reserve(attempt(subject), throttle=THREE)
        assert kit.attempts.fail(made, "wrong-password")
    denied = kit.attempts.reserve(attempt(subject), throttle=THREE)
    assert isinstance(denied, Throttled)
    assert not denied
    assert denied.by == "network"
    assert WINDOW - timedelta(minutes=1) < denied.retry_after <= WINDOW
    newest = kit.attempts.recent_by_subject(subject)[0]
    assert (newest.outcome, newest.failure_reason) == ("denied", "throttled")


@pytest.mark.parametrize("number", range(4))
def test_parallel_guesses_never_outrun_the_counter(kit, race, subject, number):
    made = race(
        lambda _: kit.attempts.reserve(attempt(subject), throttle=THREE),
        40,
    )
    assert sum(isinstance(one, Reserved) for one in made) == 3
    assert sum(isinstance(one, Throttled) for one in made) == 37


@pytest.mark.parametrize("number", range(4))
def test_several_counters_at_once_never_deadlock(kit, race, subject, number):
    throttle = Throttle(
        network=Allowance(100, WINDOW),
        ip=Allowance(20, WINDOW),
        subject=Allowance(10, WINDOW),
        overall=Allowance(1_000_000, WINDOW),
    )
    address = f"203.0.113.{number}"
    others = [os.urandom(32) for _ in range(4)]

    def act(caller: int):
        who = subject if caller % 2 else others[caller % 4]
        made = kit.attempts.reserve(attempt(who, address), throttle=throttle)
        if caller % 5 == 0 and isinstance(made, Reserved):
            kit.attempts.succeed(made)
        return made

    made = race(act, 40)
    assert sum(isinstance(one, Reserved) for one in made) == 20


def test_who_tries_many_names_gains_nothing_by_another_address_of_one_line(kit):
    throttle = Throttle(ip=Allowance(3, WINDOW))
    for line in (["192.0.2.9"], [f"2001:db8:9:9::{n}" for n in range(1, 6)]):
        made = [
            kit.attempts.reserve(attempt(os.urandom(32), address), throttle=throttle)
            for address in itertools.islice(itertools.cycle(line), 5)
        ]
        assert [type(one) for one in made] == [Reserved] * 3 + [Throttled] * 2
        assert made[-1].by == "ip"
    elsewhere = attempt(os.urandom(32), "2001:db8:9:a::1")
    assert isinstance(kit.attempts.reserve(elsewhere, throttle=throttle), Reserved)


def test_success_forgives_the_subject_and_not_the_address(kit, subject):
    throttle = Throttle(network=Allowance(2, WINDOW), ip=Allowance(4, WINDOW))
    address = f"2001:db8:{subject.hex()[:4]}::1"
    for _ in range(2):
        kit.attempts.reserve(attempt(subject, address), throttle=throttle)
        made = kit.attempts.reserve(attempt(subject, address), throttle=throttle)
        assert kit.attempts.succeed(made) is True
        assert kit.attempts.succeed(made) is False
    denied = kit.attempts.reserve(attempt(subject, address), throttle=throttle)
    assert isinstance(denied, Throttled)
    assert denied.by == "ip"


def test_a_failure_forgives_nothing_and_neither_does_a_second_success(kit, subject):
    made = [kit.attempts.reserve(attempt(subject), throttle=THREE) for _ in range(3)]
    assert kit.attempts.fail(made[0], "wrong-password")
    assert kit.attempts.succeed(made[0]) is False
    assert isinstance(kit.attempts.reserve(attempt(subject), throttle=THREE), Throttled)


def test_a_stranger_elsewhere_cannot_lock_the_subject_out(kit, subject):
    for _ in range(10):
        kit.attempts.reserve(attempt(subject, ELSEWHERE), throttle=THREE)
    assert isinstance(kit.attempts.reserve(attempt(subject), throttle=THREE), Reserved)


def test_a_known_device_is_let_in_from_a_network_that_is_shut_out(kit, subject):
    throttle = Throttle(
        network=Allowance(1, WINDOW),
        device=Allowance(2, WINDOW),
        ip=Allowance(1, WINDOW),
        subject=Allowance(1, WINDOW),
    )
    address = f"2001:db8:{subject.hex()[:4]}::2"
    for _ in range(3):
        kit.attempts.reserve(attempt(subject, address), throttle=throttle)
    device = {"device": os.urandom(32)}
    known = [
        kit.attempts.reserve(
            attempt(subject, address, **device), known_device=True, throttle=throttle
        )
        for _ in range(3)
    ]
    assert [type(one) for one in known] == [Reserved, Reserved, Throttled]
    assert known[2].by == "device"


def test_a_window_ends_and_begins_anew(frozen_kit, clock, subject):
    reserve = frozen_kit.attempts.reserve
    for _ in range(3):
        assert isinstance(reserve(attempt(subject), throttle=THREE), Reserved)
        clock.advance(timedelta(minutes=1))
    denied = reserve(attempt(subject), throttle=THREE)
    assert denied.retry_after == timedelta(minutes=12)
    clock.advance(denied.retry_after - timedelta(microseconds=1))
    assert isinstance(reserve(attempt(subject), throttle=THREE), Throttled)
    clock.advance(timedelta(microseconds=1))
    assert isinstance(reserve(attempt(subject), throttle=THREE), Reserved)


def test_a_purge_forgets_no_counter_before_its_window_ends(frozen_kit, clock, subject):
    long = Throttle(network=Allowance(1, timedelta(days=9)), ip=None)
    assert frozen_kit.attempts.reserve(attempt(subject), throttle=long)
    clock.advance(timedelta(days=8))
    frozen_kit.rate_limits.purge(keep=timedelta(0))
    denied = frozen_kit.attempts.reserve(attempt(subject), throttle=long)
    assert isinstance(denied, Throttled)
    assert denied.retry_after == timedelta(days=1)
    clock.advance(timedelta(days=1, microseconds=1))
    assert frozen_kit.rate_limits.purge(keep=timedelta(0)) >= 1
    assert frozen_kit.attempts.reserve(attempt(subject), throttle=long)


def test_a_clock_that_went_back_shuts_nobody_out(frozen_kit, clock, subject):
    reserve = frozen_kit.attempts.reserve
    for _ in range(4):
        reserve(attempt(subject), throttle=THREE)
    clock.advance(timedelta(hours=-2))
    assert isinstance(reserve(attempt(subject), throttle=THREE), Reserved)


def test_what_counted_survives_the_error_of_its_caller(kit, subject):
    """The count is not the caller's to roll back: it commits by itself."""
    for _ in range(3):
        kit.attempts.reserve(attempt(subject), throttle=THREE)
        with pytest.raises(InvalidInput), kit.unit_of_work() as uow:
            uow.users.create("")
    assert isinstance(kit.attempts.reserve(attempt(subject), throttle=THREE), Throttled)


def test_a_network_is_as_wide_as_one_customer():
    assert network_of("192.0.2.77") == "192.0.2.0/24"
    assert network_of("2001:db8:1:2::3") == "2001:db8:1::/48"


def test_a_line_is_one_ipv4_address_or_what_a_host_may_choose_from():
    assert line_of("192.0.2.77") == "192.0.2.77"
    assert line_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"


def test_bad_input_is_refused_before_the_database_is_asked(kit, asked, subject):
    reserve = kit.attempts.reserve
    nothing = Throttle(network=None, ip=None)
    for call in (
        lambda: reserve(AttemptRecord(outcome="failed", subject=subject)),
        lambda: reserve(AttemptRecord(outcome="pending")),
        lambda: reserve(attempt(b"short")),
        lambda: reserve(attempt(subject, occurred_at=datetime.now(UTC))),
        lambda: kit.attempts.succeed(AttemptKey(datetime.now(UTC), "it")),
        lambda: kit.attempts.succeed(
            AttemptKey(datetime.now(UTC), uuid7()), user_id="me"
        ),
        lambda: kit.attempts.recent_by_subject(None),
        lambda: kit.attempts.recent_by_device(None),
        lambda: kit.sessions.by_device(None),
        lambda: kit.auth_cache.get_by_email(None),
        lambda: reserve(attempt(subject), known_device=True),
        lambda: reserve(attempt(subject), throttle=nothing),
        lambda: Allowance(0, WINDOW),
        lambda: Allowance(1, timedelta(0)),
    ):
        with pytest.raises(InvalidInput):
            call()
    assert asked == []
