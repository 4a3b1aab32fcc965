"""The counters of the database against the histories in memory, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import psycopg
import pytest

import authkit
from authkit.hot.binding import bind
from authkit.hot.operation import AnyOperation
from authkit.ids import uuid7
from authkit.risk import (
    Features,
    Freeman2016,
    Hdir,
    Histories,
    counters,
    features,
    flow,
)
from authkit.risk.evidence import gather
from authkit.risk.recount import recount
from authkit.workload import Attempt, World

END = datetime(2026, 10, 1, tzinfo=UTC)
MODEL = Freeman2016()
WEIGHTS = tuple([weight for _, weight in levels] for levels in MODEL.features)
Login = tuple[Attempt, Features]


@pytest.fixture
def kit(settings) -> Iterator[authkit.Kit]:
    with authkit.connect(settings) as opened:
        yield opened


@pytest.fixture
def owner(database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        database.url, autocommit=True, cursor_factory=psycopg.RawCursor
    ) as opened:
        yield opened


def completed(users: int, count: int, days: int = 300) -> list[Login]:
    world = World(seed=8, users=users, days=days, end=END, attacks=0)
    logins = (a for a in world.attempts() if a.session_id is not None)
    return [
        (
            a,
            features(
                a.source.ip,
                a.source.asn,
                a.source.country,
                a.source.user_agent,
                a.at_us,
            ),
        )
        for a in islice(logins, count)
    ]


def at(login: Attempt) -> datetime:
    return datetime.fromtimestamp(login.at_us / 1e6, UTC)


def learn(owner: psycopg.Connection, logins: list[Login]) -> None:
    with owner.pipeline():
        for made, seen in logins:
            assert made.user_id is not None
            params = (
                UUID(bytes=made.user_id),
                at(made),
                UUID(bytes=made.id),
                counters.keys(seen),
            )
            owner.execute(counters.LEARN.sql, bind(counters.LEARN, params))


def merge(owner: psycopg.Connection, most: int = 700) -> None:
    while owner.execute(counters.MERGE.sql, (most,)).fetchone() != (0,):
        pass


def compare(owner: psycopg.Connection, users: int, known: int, asked: int) -> None:
    logins = completed(users, known + asked)
    histories = Histories(timedelta(days=9_999))
    for made, seen in logins[:known]:
        histories.learn(made.user_id, made.at_us, seen)
    learn(owner, logins[:known])
    merge(owner)
    scored = 0
    for made, seen in logins[-asked:]:
        assert made.user_id is not None
        past = histories.of(made.user_id, made.at_us)
        params = (UUID(bytes=made.user_id), counters.keys(seen), *WEIGHTS)
        row = owner.execute(
            counters.FREEMAN.sql, bind(counters.FREEMAN, params), prepare=True
        ).fetchone()
        assert row is not None
        expected = MODEL.score(seen, past)
        assert row[1:] == (past.n, past.total, past.users)
        if expected.value is None:
            assert row[0] is None
        else:
            assert row[0] == pytest.approx(expected.value, rel=1e-12, abs=0)
            scored += 1
    assert scored > asked / 4


def test_the_score_in_sql_is_the_score_in_python(owner):
    compare(owner, users=60, known=300, asked=300)


@pytest.mark.slow
def test_the_score_in_sql_is_the_score_in_python_on_ten_thousand_logins(owner):
    compare(owner, users=4000, known=4000, asked=10_000)


def test_what_the_counters_give_is_what_the_histories_hold(owner, kit):
    logins = completed(40, 200)
    learn(owner, logins)
    histories = Histories(timedelta(days=9_999))
    for made, seen in logins:
        histories.learn(made.user_id, made.at_us, seen)
    assert kit.risk.merge() == len(logins)
    for made, seen in logins[::7]:
        past = histories.of(made.user_id, made.at_us)
        source, by = made.source, Hdir()
        kit.risk.model = by
        score = kit.risk.score(
            UUID(bytes=made.user_id),
            ip=source.ip,
            asn=source.asn,
            country=source.country,
            user_agent=source.user_agent,
            at=at(made),
        )
        assert score.evidence == gather(seen, past)
        assert score == by.score(seen, past)


def test_what_is_counted_in_bulk_is_what_was_counted_login_by_login(owner):
    learn(owner, completed(60, 300))
    merge(owner)

    def held() -> list[list[tuple]]:
        return [
            owner.execute(f"SELECT {what} ORDER BY {by}").fetchall()
            for what, by in (
                ("user_id, logins FROM authkit.risk_users", "1"),
                ("user_id, key, seen FROM authkit.risk_user_counts", "1, 2"),
                (
                    "key, seen, networks, countries FROM authkit.risk_counts",
                    "1",
                ),
                ("key, place, above, seen FROM authkit.risk_pairs", "1, 2, 3"),
                ("logins, users, distinct_values FROM authkit.risk_totals", "1"),
            )
        ]

    before = held()
    with owner.transaction():
        recount(owner)
    assert held() == before


def test_a_score_reads_as_much_for_whoever_has_a_long_history(owner):
    few, many = uuid7(), uuid7()
    owner.execute(
        "INSERT INTO authkit.risk_user_counts SELECT u, substr(sha256(n::text::bytea),"
        " 1, 16), 1 FROM generate_series(1, 5000) AS n, unnest($1::uuid[]) AS u"
        " WHERE u = $2 OR n <= 10",
        ([few, many], many),
    )
    owner.execute("VACUUM ANALYZE authkit.risk_user_counts")
    wanted = counters.keys(features("192.0.2.1", 64512, "NO", "curl/8.16.0"))

    def blocks(user: UUID) -> int:
        statement = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {counters.EVIDENCE.sql}"
        for _ in (0, 1):  # once for what the server looks up and keeps
            row = owner.execute(statement, (user, None, wanted)).fetchone()
        assert row is not None
        plan = row[0][0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

    assert blocks(many) <= blocks(few) + len(wanted)


def test_a_login_that_is_learned_twice_counts_once(owner):
    logins = completed(10, 5)
    learn(owner, logins)
    learn(owner, logins)
    merge(owner)
    assert owner.execute("SELECT logins FROM authkit.risk_totals").fetchone() == (5,)


def test_after_the_horizon_nothing_is_left_of_any_count(owner, kit):
    logins = completed(40, 200)
    learn(owner, logins)
    merge(owner)
    assert kit.risk.age(timedelta(days=1), most=150) == 150
    assert kit.risk.age(timedelta(days=1)) == len(logins) - 150
    merge(owner)
    for question in (
        "SELECT count(*) FROM authkit.risk_logins",
        "SELECT count(*) FROM authkit.risk_counts",
        "SELECT count(*) FROM authkit.risk_pairs",
        "SELECT count(*) FROM authkit.risk_user_counts",
        "SELECT sum(logins) FROM authkit.risk_users",
        "SELECT logins FROM authkit.risk_totals",
        "SELECT sum(d) FROM authkit.risk_totals, unnest(distinct_values) AS d",
    ):
        assert owner.execute(question).fetchone() == (0,), question


@pytest.mark.parametrize(
    "operation", [*counters.OPERATIONS, *flow.OPERATIONS], ids=lambda o: o.name
)
def test_every_statement_is_what_it_says(owner, operation: AnyOperation):
    name = operation.name.encode()
    prepared = owner.pgconn.prepare(name, operation.sql.encode())
    assert not prepared.error_message
    told = owner.pgconn.describe_prepared(name)
    types = owner.adapters.types
    parameters = []
    for place in range(told.nparams):
        oid = told.param_type(place)
        array = "[]" if oid == types[oid].array_oid else ""
        parameters.append(types[oid].name + array)
    assert tuple(parameters) == operation.types
    columns = [(told.fname(i) or b"").decode() for i in range(told.nfields)]
    declared = getattr(operation.row, "__dataclass_fields__", {})
    assert columns == list(declared)
