"""What cannot be scored is said: by an error or as unscored, never as a low score."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

import authkit
from authkit.errors import InvalidInput, NotFound
from authkit.ids import uuid7
from authkit.risk import MODELS
from authkit.risk.recount import rebuild
from authkit.risk.replay import replay

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
BOTH = [MODELS["mismatch"], MODELS["hdir"]]


@pytest.fixture
def kit(settings) -> Iterator[authkit.Kit]:
    with authkit.connect(settings) as opened:
        yield opened


@pytest.fixture
def owner(database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


def login(owner: psycopg.Connection, user: UUID | None, at: datetime, ip: str) -> UUID:
    id_ = uuid7()
    owner.execute(
        "INSERT INTO authkit.auth_attempts (id, occurred_at, user_id, ip, user_agent,"
        " outcome, session_id) VALUES (%s, %s, %s, %s, %s, 'succeeded', %s)",
        (id_, at, user, ip, AGENT, uuid7()),
    )
    return id_


def test_without_history_or_anything_known_a_login_is_unscored_and_says_why(kit, owner):
    ada, now = uuid7(), datetime.now(UTC)
    nobody = kit.risk.score(uuid7(), ip="192.0.2.1", user_agent=AGENT)
    assert (nobody.value, nobody.unscored) == (None, "no_history")
    login(owner, ada, now - timedelta(minutes=5), "192.0.2.1")
    rebuild(owner, now)
    empty = kit.risk.score(ada)
    assert (empty.value, empty.unscored) == (None, "nothing_known")
    assert kit.risk.score(ada, user_agent="   ").unscored is None
    odd = kit.risk.score(ada, user_agent="\x01(((;;;")
    assert odd.value is not None
    assert odd.value > kit.risk.score(ada, user_agent=AGENT).value
    for wrong in ("300.1.1.1", "192.0.2.1; --", "", "fe80::1%eth0"):
        with pytest.raises(InvalidInput, match="address"):
            kit.risk.score(ada, ip=wrong)
    for wrong in (-1, 2**32, "AS1"):
        with pytest.raises(InvalidInput, match="autonomous system"):
            kit.risk.score(ada, asn=wrong)
    with pytest.raises(InvalidInput, match="future"):
        kit.risk.score(ada, user_agent=AGENT, at=now + timedelta(days=2))


def test_an_attempt_is_scored_as_of_now_and_one_that_is_not_there_is_named(kit, owner):
    ada, now = uuid7(), datetime.now(UTC)
    home = login(owner, ada, now - timedelta(minutes=5), "192.0.2.1")
    away = login(owner, ada, now + timedelta(minutes=5), "198.51.100.1")
    stranger = login(owner, None, now, "192.0.2.1")
    # What claims to be of the future is not counted: nobody is at home there yet.
    assert rebuild(owner, now) == 1
    assert kit.risk.rescore(home).value < kit.risk.rescore(away).value
    with pytest.raises(NotFound, match="no attempt"):
        kit.risk.rescore(uuid7())
    with pytest.raises(InvalidInput, match="no past"):
        kit.risk.rescore(stranger)


@pytest.mark.parametrize("id_", ["nonsense", "", None, 3])
def test_what_is_no_id_has_no_score_to_explain(kit, id_):
    for ask in (kit.risk.explain, kit.risk.rescore):
        with pytest.raises(InvalidInput, match="the attempt id is not a UUID"):
            ask(id_)
    with pytest.raises(NotFound):
        kit.risk.explain(str(uuid7()))


def test_a_score_of_another_model_or_version_is_not_explained_by_this_one(kit, owner):
    ada, now = uuid7(), datetime.now(UTC)
    for name, version, told in (
        ("oracle", "1", "no risk model 'oracle'"),
        ("hdir", "0", "of version"),
        ("hdir", MODELS["hdir"].version, "other parameters"),
    ):
        id_ = uuid7()
        owner.execute(
            "INSERT INTO authkit.auth_attempts (id, occurred_at, user_id, outcome,"
            " risk_score, risk_model, risk_model_version, risk_features)"
            " VALUES (%s, %s, %s, 'failed', 1, %s, %s, '{}')",
            (id_, now, ada, name, version),
        )
        with pytest.raises(InvalidInput, match=told):
            kit.risk.explain(id_)
    found = replay(owner, BOTH, now - timedelta(hours=1), now + timedelta(hours=1))
    assert (found.attempts, found.repeated, found.foreign) == (3, 0, 3)


def test_where_nothing_was_scored_there_is_no_line_to_draw(kit):
    line = kit.risk.threshold(reauth_rate=0.05)
    assert (line.value, line.scores) == (None, 0)
    line = kit.risk.threshold(tpr=0.9, attacks=[uuid7()])
    assert (line.value, line.scores) == (None, 0)
    with pytest.raises(InvalidInput, match="time zone"):
        kit.risk.threshold(tpr=0.9, since=datetime(2026, 1, 1))  # noqa: DTZ001 # meant


def test_attempts_that_were_stored_out_of_order_are_replayed_in_their_own(owner):
    ada, now = uuid7(), datetime.now(UTC)
    for minutes in (10, 40, 20, 30):
        login(owner, ada, now - timedelta(minutes=minutes), f"192.0.2.{minutes}")
    seen: list[datetime] = []
    since = now - timedelta(hours=1)
    found = replay(owner, BOTH, since, now, lambda _id, at, *_: seen.append(at))
    assert seen == sorted(seen)
    assert len(seen) == found.attempts == 4
    assert [model.unscored for model in found.models] == [1, 1]  # the first only
