"""The login flow on a real primary, in both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import SecretStr

import authkit
from authkit.errors import InvalidInput, NotFound
from authkit.hot import (
    Allowance,
    AttemptRecord,
    AuthCache,
    NewSession,
    Throttle,
    Throttled,
)
from authkit.ids import uuid7
from authkit.kit.login_values import Begun, LoggedIn, LoginRefused
from authkit.settings import Settings

EMAIL = "ada@example.com"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36"
HOME = {"ip": "192.0.2.7", "asn": 64512, "country": "NO", "user_agent": CHROME}
KEY = "A" * 43 + "="


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    return settings.model_copy(update={"authkit_token_key": SecretStr(KEY)})


@pytest.fixture
def kit(keyed: Settings) -> Iterator[authkit.Kit]:
    with authkit.connect(keyed) as opened:
        yield opened


@pytest.fixture
def owner(database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def ada(owner) -> UUID:
    user_id = uuid7()
    owner.execute(
        "INSERT INTO authkit.users (id, email) VALUES (%s, %s)", (user_id, EMAIL)
    )
    return user_id


def begin(kit: authkit.Kit, **changed: object) -> Begun:
    begun = kit.logins.begin(EMAIL, **{**HOME, **changed})
    assert isinstance(begun, Begun)
    return begun


def log_in(kit: authkit.Kit, **changed: object) -> LoggedIn:
    done = kit.logins.succeed(begin(kit, **changed))
    assert isinstance(done, LoggedIn)
    return done


def stored(owner: psycopg.Connection, column: str, done: LoggedIn | Begun) -> object:
    row = owner.execute(
        f"SELECT {column} FROM authkit.auth_attempts WHERE id = %s", (done.key.id,)
    ).fetchone()
    assert row is not None
    return row[0]


def test_a_login_is_settled_scored_learned_and_opens_its_session(kit, owner, ada):
    first = begin(kit)
    assert first.user is not None
    assert first.user.user_id == ada
    assert first.score is not None
    assert first.score.unscored == "no_history"
    done = kit.logins.succeed(first)
    assert isinstance(done, LoggedIn)
    assert isinstance(done.session, NewSession)
    assert kit.sessions.validate(done.session.token) is not None
    assert stored(owner, "outcome", done) == "succeeded"
    assert stored(owner, "session_id", done) == done.session.id
    kit.risk.merge()
    again = begin(kit)
    assert again.score is not None
    assert (again.score.value, again.score.n) != (None, 0)
    strange = begin(
        kit, ip="198.51.100.9", asn=64999, country="BR", user_agent="curl/8.16.0"
    )
    assert strange.score is not None
    assert strange.score.value > again.score.value
    kit.logins.succeed(again)
    assert kit.risk.explain(again.key.id).value == again.score.value
    assert kit.risk.explain(str(again.key.id)) == kit.risk.explain(again.key.id)


def exchanges(kit: authkit.Kit, file: Path, call: Callable[[], object]) -> list[str]:
    """Return what the one connection of a kit was answered while something ran."""
    with file.open("w+b") as trace:
        with kit.cluster.writer() as connection:
            connection.pgconn.trace(trace.fileno())
        call()
        with kit.cluster.writer() as connection:
            connection.pgconn.untrace()
    return [line for line in file.read_text().splitlines() if "\tB\t" in line]


def test_a_login_begins_in_one_round_trip_and_ends_in_one_transaction(
    keyed, ada, tmp_path
):
    alone = {"database_pool_min": 1, "database_pool_max": 1}
    with authkit.connect(keyed.model_copy(update=alone)) as kit:
        log_in(kit)  # now the user is in the cache, and the statements are prepared
        kit.logins.fail(begin(kit))
        begun: list[Begun] = []

        def told(call: Callable[[], object], word: str) -> int:
            answers = exchanges(kit, tmp_path / "trace", call)
            return sum(word in line for line in answers)

        assert told(lambda: begun.append(begin(kit)), "ReadyForQuery") == 1
        assert told(lambda: kit.logins.succeed(begun[-1]), '"COMMIT"') == 1
        assert told(lambda: begun.append(begin(kit)), "ReadyForQuery") == 1
        assert told(lambda: kit.logins.fail(begun[-1]), "ReadyForQuery") == 1


def test_a_failed_login_keeps_its_score_and_teaches_nothing(kit, owner, ada):
    log_in(kit)
    wrong = begin(kit, ip="198.51.100.9", asn=64999)
    assert kit.logins.fail(wrong)
    assert not kit.logins.fail(wrong)
    assert stored(owner, "outcome", wrong) == "failed"
    assert stored(owner, "risk_score", wrong) == wrong.score.value
    assert owner.execute(
        "SELECT logins FROM authkit.risk_users WHERE user_id = %s", (ada,)
    ).fetchone() == (1,)


def test_an_attempt_that_was_settled_opens_no_second_session(kit, owner, ada):
    begun = begin(kit)
    assert isinstance(kit.logins.succeed(begun), LoggedIn)
    assert kit.logins.succeed(begun) is LoginRefused.SETTLED
    assert not kit.logins.fail(begun)
    assert owner.execute("SELECT count(*) FROM authkit.sessions").fetchone() == (1,)


def test_whoever_is_locked_after_the_login_began_does_not_come_in(kit, owner, ada):
    begun = begin(kit)
    kit.attempts.lock(ada, timedelta(minutes=5))
    assert kit.logins.succeed(begun) is LoginRefused.USER_UNAVAILABLE
    assert stored(owner, "outcome", begun) == "denied"
    assert stored(owner, "failure_reason", begun) == "user_unavailable"
    assert begin(kit).locked


def test_where_a_factor_is_still_asked_for_nothing_is_learned(kit, owner, ada):
    done = kit.logins.succeed(begin(kit), session=None)
    assert isinstance(done, LoggedIn)
    assert done.session is None
    assert stored(owner, "outcome", done) == "succeeded"
    assert owner.execute("SELECT count(*) FROM authkit.risk_users").fetchone() == (0,)


def test_guessing_is_stopped_before_any_password_is_looked_at(kit, ada):
    strict = Throttle(network=Allowance(2, timedelta(minutes=5)), ip=None)
    for _ in range(2):
        kit.logins.fail(begin(kit, throttle=strict))
    stopped = kit.logins.begin(EMAIL, throttle=strict, **HOME)
    assert isinstance(stopped, Throttled)


def test_a_name_that_nobody_has_begins_like_any_other_and_can_only_fail(kit, owner):
    begun = kit.logins.begin("nobody@example.com", **HOME)
    assert isinstance(begun, Begun)
    assert (begun.user, begun.score, begun.locked) == (None, None, False)
    with pytest.raises(InvalidInput, match="only fail"):
        kit.logins.succeed(begun)
    assert kit.logins.fail(begun, "unknown_account")
    assert stored(owner, "outcome", begun) == "failed"


def test_an_address_that_changes_while_a_login_begins_lets_nobody_in(
    kit, owner, ada, monkeypatch
):
    put = AuthCache.put

    def changed_first(cache: AuthCache, *args: Any, **named: Any) -> object:
        owner.execute(
            "UPDATE authkit.users SET email = 'ada@example.org' WHERE id = %s", (ada,)
        )
        return put(cache, *args, **named)

    monkeypatch.setattr(AuthCache, "put", changed_first)
    assert begin(kit).user is None
    monkeypatch.undo()
    assert begin(kit).user is None  # nothing was kept under it either
    other = kit.logins.begin("ada@example.org", **HOME)
    assert isinstance(other, Begun)
    assert other.user is not None
    assert other.user.user_id == ada


def test_the_line_above_which_to_ask_again_is_drawn_from_history(kit, ada):
    for last in range(6):
        log_in(kit, ip=f"192.0.2.{last}")
    line = kit.risk.threshold(reauth_rate=0.2)
    assert line.scores == 5  # the first had no history
    assert line.value is not None
    wrong = [begin(kit, ip=f"198.51.{n}.9", asn=64900, country="BR") for n in range(3)]
    for attempt in wrong:
        kit.logins.fail(attempt)
    ids = [attempt.key.id for attempt in wrong]
    for tpr in (0.3, 0.5, 0.9):  # above the line, where one is asked again
        caught = kit.risk.threshold(tpr=tpr, attacks=ids)
        above = [w for w in wrong if w.score.value > caught.value]
        assert len(above) >= tpr * caught.scores == tpr * 3
    with pytest.raises(InvalidInput, match="UUID"):
        kit.risk.threshold(tpr=0.5, attacks=["x"])
    with pytest.raises(InvalidInput, match="either"):
        kit.risk.threshold()
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        kit.risk.threshold(reauth_rate=1.5)


def test_what_cannot_be_explained_is_said(kit, owner, ada):
    for unknown in (
        uuid7(),
        uuid4(),
        UUID(int=2**128 - 1),
        UUID(int=253402300799000 << 80),
    ):
        for ask in (kit.risk.explain, kit.risk.rescore):
            with pytest.raises(NotFound, match="no attempt"):
                ask(unknown)
    pending = begin(kit)
    with pytest.raises(NotFound, match="not scored"):
        kit.risk.explain(pending.key.id)
    with pytest.raises(InvalidInput, match="IP address"):
        kit.logins.begin(EMAIL, ip="300.1.1.1")
    with pytest.raises(InvalidInput, match="IP address"):
        kit.logins.begin(EMAIL, ip=5)
    for name in ("a\ud800@example.com", b"ada", None):
        with pytest.raises(InvalidInput, match="address or name"):
            kit.logins.begin(name)


def test_an_attempt_that_is_recorded_late_is_found_by_its_id(kit, ada):
    log_in(kit)
    at = datetime.now(UTC) - timedelta(days=9)
    made = [
        kit.attempts.record(
            AttemptRecord(outcome="failed", user_id=ada, ip="192.0.2.7", occurred_at=at)
        )
        for _ in range(2)
    ]
    assert made[0].id != made[1].id
    assert [kit.risk.rescore(key.id).n for key in made] == [1, 1]


def test_where_the_application_says_no_network_it_is_looked_up(keyed, owner, ada):
    with authkit.connect(keyed) as kit:
        begun = kit.logins.begin(EMAIL, ip="193.0.6.139", user_agent=CHROME)
        assert isinstance(begun, Begun)
        assert stored(owner, "country", begun) == "NL"
        assert begun.features.country == "NL"
        kit.logins.succeed(begun)
        score = kit.risk.score(ada, ip="193.0.6.139", user_agent=CHROME)
        assert score.evidence.by_level()["country"].seen == 1


def test_with_asyncio_it_is_the_same(keyed, owner, ada):
    async def flow() -> None:
        async with authkit.connect_async(keyed) as kit:
            begun = await kit.logins.begin(EMAIL, **HOME)
            assert isinstance(begun, Begun)
            done = await kit.logins.succeed(begun)
            assert isinstance(done, LoggedIn)
            assert await kit.logins.succeed(begun) is LoginRefused.SETTLED
            other = await kit.logins.begin(EMAIL, **HOME)
            assert isinstance(other, Begun)
            assert await kit.logins.fail(other)
            score = await kit.risk.score(ada, ip="192.0.2.7", asn=64512)
            assert score.n == 1

    asyncio.run(flow())


def test_no_repr_of_a_login_shows_a_name_or_a_hash(kit, ada):
    begun = begin(kit)
    assert EMAIL not in repr(begun)
    assert CHROME not in repr(replace(begun, score=None))
