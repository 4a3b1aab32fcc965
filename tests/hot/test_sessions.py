from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from authkit.crypto import tokens
from authkit.errors import InvalidInput
from authkit.hot import Cap, CreationRefused, NewSession
from authkit.ids import uuid7

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)


def begin(kit, user_id, **options) -> NewSession:
    made = kit.sessions.create(user_id, **options)
    assert isinstance(made, NewSession)
    return made


def test_a_new_session_is_found_by_its_token(kit, user_id):
    made = begin(
        kit, user_id, assurance_level=2, methods=["pwd", "otp"], risk_score=0.25
    )
    session = kit.sessions.validate(made.token)
    assert (session.id, session.user_id) == (made.id, user_id)
    assert (session.assurance_level, session.methods) == (2, ["pwd", "otp"])
    assert (session.risk_score, session.expires_at) == (0.25, made.expires_at)
    assert 0 <= session.idle_s < 60


def test_a_wrong_token_is_no_session(kit, user_id):
    begin(kit, user_id)
    assert kit.sessions.validate(tokens.issue().token) is None


@pytest.mark.parametrize(
    "token", ["", "x", "a" * 4096, "\x00" * 43, "ä" * 43, b"a" * 43, None]
)
def test_a_malformed_token_is_refused_before_the_database_is_asked(kit, asked, token):
    for use in (
        kit.sessions.validate,
        kit.sessions.rotate,
        kit.sessions.revoke_token,
    ):
        with pytest.raises(InvalidInput) as caught:
            use(token)
        assert len(str(token)) < 5 or str(token) not in str(caught.value)
    assert asked == []


@pytest.mark.usefixtures("empty")
def test_the_token_is_in_no_row_and_no_repr(kit, superuser, user_id):
    made = begin(kit, user_id)
    assert made.token not in repr(made)
    for table in ("active_sessions", "sessions"):
        rows = superuser.execute(f"SELECT t::text FROM authkit.{table} t").fetchall()
        assert len(rows) == 1
        assert made.token not in rows[0][0]


def test_a_session_needs_a_user_who_is_there_and_not_disabled(kit, superuser, user_id):
    refused = CreationRefused.USER_UNAVAILABLE
    assert kit.sessions.create(uuid7()) is refused
    superuser.execute(
        "UPDATE authkit.users SET disabled_at = now() WHERE id = %s", (user_id,)
    )
    assert kit.sessions.create(user_id) is refused
    assert kit.sessions.create(user_id, cap=Cap(3)) is refused


def test_creation_writes_the_record_of_the_session(kit, user_id):
    made = begin(
        kit,
        user_id,
        ip="::ffff:192.0.2.1",
        user_agent="x" * 4096,
        device_info={"os": "Linux"},
    )
    with kit.unit_of_work(read_only=True) as uow:
        record = uow.sessions.find(made.id)
    assert str(record.ip) == "192.0.2.1"
    assert record.user_agent == "x" * 512
    assert record.device_info == {"os": "Linux"}
    assert record.ended_at is None


# --- limits, at the very instant ------------------------------------------------------


def test_a_session_ends_at_the_instant_of_its_absolute_expiry(
    frozen_kit, clock, user_id
):
    made = begin(frozen_kit, user_id, lifetime=HOUR, idle_timeout=2 * HOUR)
    clock.advance(HOUR - TICK)
    assert frozen_kit.sessions.validate(made.token) is not None
    clock.advance(TICK)
    assert frozen_kit.sessions.validate(made.token) is None
    assert frozen_kit.sessions.touch(made.id, every=timedelta(0)) is False
    assert frozen_kit.sessions.rotate(made.token) is None
    assert frozen_kit.sessions.extend(made.id, idle_timeout=HOUR) is None
    assert frozen_kit.sessions.list(user_id) == []


def test_a_session_ends_at_the_instant_its_idle_timeout_is_over(
    frozen_kit, clock, user_id
):
    made = begin(frozen_kit, user_id, lifetime=24 * HOUR, idle_timeout=HOUR)
    clock.advance(HOUR - TICK)
    assert frozen_kit.sessions.validate(made.token) is not None
    clock.advance(TICK)
    assert frozen_kit.sessions.validate(made.token) is None
    assert frozen_kit.sessions.touch(made.id, every=timedelta(0)) is False
    assert frozen_kit.sessions.rotate(made.token) is None


def test_touching_a_session_keeps_it_from_idling_out(frozen_kit, clock, user_id):
    made = begin(frozen_kit, user_id, lifetime=24 * HOUR, idle_timeout=HOUR)
    for _ in range(3):
        clock.advance(HOUR - SECOND)
        assert frozen_kit.sessions.touch(made.id)
    assert frozen_kit.sessions.validate(made.token) is not None


def test_touching_is_throttled_to_the_interval_exactly(frozen_kit, clock, user_id):
    made = begin(frozen_kit, user_id)
    minute = timedelta(minutes=1)
    clock.advance(minute - TICK)
    assert frozen_kit.sessions.touch(made.id, every=minute) is False
    clock.advance(TICK)
    assert frozen_kit.sessions.touch(made.id, every=minute) is True
    assert frozen_kit.sessions.touch(made.id, every=minute) is False


def test_validating_may_touch_in_passing(frozen_kit, clock, user_id):
    made = begin(frozen_kit, user_id)
    clock.advance(timedelta(minutes=5))
    first = frozen_kit.sessions.validate(made.token, touch_every=timedelta(minutes=1))
    again = frozen_kit.sessions.validate(made.token, touch_every=timedelta(minutes=1))
    assert (first.idle_s, again.idle_s) == (300.0, 0.0)


def test_extending_never_reaches_past_the_absolute_expiry(frozen_kit, clock, user_id):
    made = begin(frozen_kit, user_id, lifetime=HOUR, idle_timeout=HOUR / 4)
    clock.advance(HOUR / 8)
    extended = frozen_kit.sessions.extend(made.id, idle_timeout=HOUR / 2)
    assert extended.idle_until == clock.now + HOUR / 2
    extended = frozen_kit.sessions.extend(made.id, idle_timeout=24 * HOUR)
    assert extended.idle_until == extended.expires_at == made.expires_at
    clock.advance(HOUR * 7 / 8)
    assert frozen_kit.sessions.validate(made.token) is None


# --- rotation -------------------------------------------------------------------------


def test_rotation_ends_the_old_token_and_keeps_the_session(kit, user_id):
    made = begin(kit, user_id)
    rotated = kit.sessions.rotate(
        made.token, authenticated=True, assurance_level=2, methods=["pwd", "otp"]
    )
    assert kit.sessions.validate(made.token) is None
    session = kit.sessions.validate(rotated.token)
    assert (session.id, session.assurance_level) == (made.id, 2)
    assert session.expires_at == made.expires_at
    assert rotated.token not in repr(rotated)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.sessions.find(made.id).assurance_level == 2


def test_the_level_rises_only_when_the_user_authenticated(kit, user_id):
    made = begin(kit, user_id, assurance_level=2)
    for asked, proved, level in ((3, False, 2), (3, True, 3), (1, False, 1)):
        made = kit.sessions.rotate(
            made.token, authenticated=proved, assurance_level=asked
        )
        assert made.session.assurance_level == level
    kept = kit.sessions.rotate(made.token)
    assert kept.session.assurance_level == 1


def test_authentication_time_moves_only_when_the_user_authenticated(
    frozen_kit, clock, user_id
):
    made = begin(frozen_kit, user_id)
    started = clock.now
    clock.advance(SECOND)
    rotated = frozen_kit.sessions.rotate(made.token)
    assert rotated.session.authenticated_at == started
    rotated = frozen_kit.sessions.rotate(rotated.token, authenticated=True)
    assert rotated.session.authenticated_at == clock.now


# --- revocation -----------------------------------------------------------------------


def test_a_revoked_session_is_over_and_its_record_says_why(kit, user_id):
    made = begin(kit, user_id)
    revoked = kit.sessions.revoke(made.id, reason="stolen")
    assert revoked.ended == (made.id,)
    assert kit.sessions.validate(made.token) is None
    with kit.unit_of_work(read_only=True) as uow:
        record = uow.sessions.find(made.id)
    assert record.ended_at is not None
    assert record.end_reason == "stolen"


def test_revoking_twice_ends_nothing_twice(kit, user_id):
    made = begin(kit, user_id)
    assert kit.sessions.revoke(made.id)
    assert not kit.sessions.revoke(made.id)
    assert not kit.sessions.revoke_token(made.token)


def test_a_revocation_is_seen_by_every_read_that_asks_for_its_token(kit, user_id):
    made = begin(kit, user_id)
    stale = timedelta(seconds=60)
    for _ in range(5):
        token = kit.sessions.revoke(made.id).token
        assert kit.sessions.validate(made.token, max_lag=stale, after=token) is None
        made = begin(kit, user_id)


def test_revoking_others_keeps_one(kit, user_id, add_user):
    kept, *others = [begin(kit, user_id) for _ in range(4)]
    stranger = begin(kit, add_user())
    revoked = kit.sessions.revoke_others(user_id, keep=kept.id)
    assert set(revoked.ended) == {made.id for made in others}
    assert kit.sessions.validate(kept.token) is not None
    assert kit.sessions.validate(stranger.token) is not None


def test_revoking_all_ends_the_refresh_tokens_too(kit, superuser, user_id):
    made, family = begin(kit, user_id), uuid7()
    superuser.execute(
        "INSERT INTO authkit.oauth_token_families (id, client_id, expires_at)"
        " VALUES (%s, 'app', now() + interval '1 day')",
        (family,),
    )
    superuser.execute(
        "UPDATE authkit.active_sessions SET refresh_family_id = %s WHERE id = %s",
        (family, made.id),
    )
    assert kit.sessions.revoke_all(user_id, reason="password-changed").ended == (
        made.id,
    )
    row = superuser.execute(
        "SELECT revoke_reason FROM authkit.oauth_token_families WHERE id = %s",
        (family,),
    ).fetchone()
    assert row == ("password-changed",)


def test_a_revocation_vanishes_with_the_unit_of_work_that_it_was_part_of(kit, user_id):
    made = begin(kit, user_id)
    with contextlib.suppress(InvalidInput), kit.unit_of_work() as uow:
        assert uow.hot.sessions.revoke(made.id).token is None
        uow.users.create("")
    assert kit.sessions.validate(made.token) is not None


# --- cap ------------------------------------------------------------------------------


def test_a_full_cap_evicts_the_oldest(kit, user_id):
    made = [begin(kit, user_id, cap=Cap(2)) for _ in range(4)]
    assert [one.evicted for one in made] == [(), (), (made[0].id,), (made[1].id,)]
    alive = [kit.sessions.validate(one.token) is not None for one in made]
    assert alive == [False, False, True, True]
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.sessions.find(made[0].id).end_reason == "evicted"


def test_a_full_cap_may_refuse_instead(kit, user_id):
    first = begin(kit, user_id, cap=Cap(1, "refuse"))
    refused = kit.sessions.create(user_id, cap=Cap(1, "refuse"))
    assert refused is CreationRefused.CAP_REACHED
    kit.sessions.revoke(first.id)
    begin(kit, user_id, cap=Cap(1, "refuse"))


def test_dead_sessions_do_not_count_against_the_cap(frozen_kit, clock, user_id):
    begin(frozen_kit, user_id, idle_timeout=HOUR)
    clock.advance(HOUR)
    assert begin(frozen_kit, user_id, cap=Cap(1, "refuse")).evicted == ()


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_cap_is_a_sensible_number(limit: int):
    with pytest.raises(InvalidInput):
        Cap(limit)


# --- lists, signals, figures ----------------------------------------------------------


def test_a_list_is_read_in_pages_without_repetition_or_gap(kit, user_id):
    made = [begin(kit, user_id).id for _ in range(7)]
    seen: list[UUID] = []
    page = kit.sessions.list(user_id, limit=3)
    while page:
        seen += [one.id for one in page]
        page = kit.sessions.list(user_id, before=page[-1], limit=3)
    assert seen == made[::-1]


@pytest.mark.usefixtures("empty")
def test_sessions_are_found_by_device_and_by_address(kit, user_id, add_user):
    device = b"d" * 32
    one = begin(kit, user_id, device=device, ip="2001:db8::1")
    two = begin(kit, add_user(), device=device, ip="192.0.2.9")
    assert [s.id for s in kit.sessions.by_device(device)] == [two.id, one.id]
    assert [s.id for s in kit.sessions.by_ip("2001:DB8::1")] == [one.id]
    assert [s.id for s in kit.sessions.by_ip("::ffff:192.0.2.9")] == [two.id]
    assert kit.sessions.by_device(b"e" * 32) == []


def test_what_looks_like_an_escaped_nul_is_kept_as_it_was_written(kit, user_id):
    told = {"path": "C:\\u0000", "\\\\u0000": 1}
    made = begin(kit, user_id, device_info=told)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.sessions.find(made.id).device_info == told


def test_to_keep_no_session_by_its_name_ends_none(kit, asked, user_id):
    made = begin(kit, user_id)
    asked.clear()
    for unnamed in (None, str(made.id)):
        with pytest.raises(InvalidInput, match="session id"):
            kit.sessions.revoke_others(user_id, keep=unnamed)
    for cap in (0, 1.5, True, "3"):
        with pytest.raises(InvalidInput, match="cap"):
            Cap(cap)
    with pytest.raises(InvalidInput, match="interval"):
        kit.sessions.validate(made.token, touch_every=-SECOND)
    assert asked == []
    assert kit.sessions.validate(made.token) is not None


def test_what_a_cap_ends_is_seen_by_who_reads_after_it(kit, user_id):
    first = begin(kit, user_id)
    assert first.after is None
    assert begin(kit, user_id, cap=Cap(9, "refuse")).after is None
    second = begin(kit, user_id, cap=Cap(1))
    assert first.id in second.evicted
    bound = {"max_lag": HOUR, "after": second.after}
    assert kit.sessions.validate(first.token, **bound) is None
    assert kit.sessions.validate(second.token, **bound) is not None
    with kit.unit_of_work() as uow:
        assert uow.hot.sessions.create(user_id, cap=Cap(1)).after is None


@pytest.mark.usefixtures("empty")
def test_high_risk_sessions_come_highest_first_in_pages(kit, user_id):
    scores = [0.1, 0.9, 0.5, None, 0.7]
    made = {s: begin(kit, user_id, risk_score=s).id for s in scores}
    first = kit.sessions.high_risk(0.5, limit=2)
    rest = kit.sessions.high_risk(0.5, before=first[-1], limit=2)
    assert [s.id for s in first + rest] == [made[0.9], made[0.7], made[0.5]]
    assert kit.sessions.set_risk(made[0.9], 0.0)
    assert [s.id for s in kit.sessions.high_risk(0.6)] == [made[0.7]]


@pytest.mark.usefixtures("empty")
def test_a_user_in_several_countries_at_once_is_suspicious(kit, user_id, add_user):
    for country in ("de", "fr"):
        begin(kit, user_id, country=country)
    begin(kit, add_user(), country="de")
    (found,) = kit.sessions.suspicious(countries=2)
    assert (found.user_id, found.sessions, found.countries) == (user_id, 2, 2)
    kit.sessions.revoke_all(user_id)
    assert kit.sessions.suspicious(countries=2) == []


@pytest.mark.usefixtures("empty")
def test_stats_are_counted_over_the_window(frozen_kit, clock, user_id, add_user):
    early = begin(frozen_kit, user_id, ip="192.0.2.1")
    clock.advance(HOUR / 2)
    start = clock.now
    for ip in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        begin(frozen_kit, add_user(), ip=ip, user_agent="Firefox")
    made = begin(frozen_kit, user_id)
    clock.advance(timedelta(minutes=10))
    frozen_kit.sessions.touch(made.id)
    frozen_kit.sessions.revoke(early.id)
    end = clock.now + HOUR
    stats = frozen_kit.sessions.stats(since=start, until=end)
    assert (stats.total, stats.active, stats.revoked) == (4, 4, 0)
    assert (stats.unique_users, stats.mean_s) == (4, 150.0)
    assert stats.top_addresses == [
        {"ip": "192.0.2.1", "sessions": 2},
        {"ip": "192.0.2.2", "sessions": 1},
    ]
    assert stats.top_devices == [{"user_agent": "Firefox", "sessions": 3}]
    everything = frozen_kit.sessions.stats(until=end)
    assert (everything.total, everything.active, everything.revoked) == (5, 4, 1)


@pytest.mark.usefixtures("empty")
def test_stats_of_an_empty_window_are_zero_and_not_an_error(kit):
    stats = kit.sessions.stats(since=datetime(2020, 1, 1, tzinfo=UTC))
    assert (stats.total, stats.mean_s, stats.top_addresses) == (0, None, [])


# --- purge ----------------------------------------------------------------------------


@pytest.mark.usefixtures("empty")
def test_the_purge_deletes_what_expired_long_ago_and_keeps_the_record(
    frozen_kit, clock, user_id
):
    old = begin(frozen_kit, user_id, lifetime=HOUR)
    clock.advance(HOUR)
    young = begin(frozen_kit, user_id)
    clock.advance(HOUR)
    assert frozen_kit.sessions.purge(keep=HOUR) == 0
    clock.advance(TICK)
    assert frozen_kit.sessions.purge(keep=HOUR) == 1
    with frozen_kit.unit_of_work(read_only=True) as uow:
        assert uow.sessions.find(old.id) is not None
    assert frozen_kit.sessions.validate(young.token) is None


@pytest.mark.usefixtures("empty")
def test_the_purge_is_bounded(frozen_kit, clock, user_id):
    for _ in range(5):
        begin(frozen_kit, user_id, lifetime=SECOND)
    clock.advance(HOUR)
    deleted = [frozen_kit.sessions.purge(keep=SECOND, limit=2) for _ in range(4)]
    assert deleted == [2, 2, 1, 0]


# --- bad input ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"lifetime": timedelta(0)},
        {"idle_timeout": -SECOND},
        {"assurance_level": 0},
        {"assurance_level": 4},
        {"methods": ["a\x00"]},
        {"methods": [str(n) for n in range(17)]},
        {"ip": "localhost"},
        {"country": "DEU"},
        {"device": b"short"},
        {"user_agent": "a\x00b"},
        {"user_agent": b"Firefox"},
        {"methods": "pwd"},
        {"device": "d" * 32},
        {"risk_score": float("nan")},
        {"device_info": {"name": ["a\x00"]}},
        {"device_info": {"name": "\ud800"}},
        {"device_info": {"scale": float("inf")}},
        {"device_info": {"made": object}},
        {"device_info": {"name": "x" * 65_536}},
    ],
    ids=lambda options: str(options)[:60],
)
def test_bad_input_is_refused_before_the_database_is_asked(kit, asked, options):
    with pytest.raises(InvalidInput):
        kit.sessions.create(uuid7(), **options)
    assert asked == []
