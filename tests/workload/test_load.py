from __future__ import annotations

import gc
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

import authkit
from authkit.errors import AlreadyExists, InvalidInput, SchemaMismatch, Unavailable
from authkit.risk import PastOnly
from authkit.schema import hot, metadata
from authkit.workload import World, binary, members, rows
from authkit.workload.lane import Lane, statement_of
from authkit.workload.load import SeedSummary, seed

END = datetime(2026, 11, 23, 12, tzinfo=UTC)
TABLES = {
    "auth_attempts": rows.ATTEMPTS,
    "users": rows.USERS,
    "user_roles": members.USER_ROLES,
    "accounts": members.ACCOUNTS,
    "webauthn_credentials": members.CREDENTIALS,
    "sessions": rows.SESSIONS,
    "active_sessions": rows.ACTIVE_SESSIONS,
}


def fill(url: str, **changed: object) -> SeedSummary:
    given: dict[str, object] = {"users": 150, "days": 6, "seed": 11, "end": END}
    return seed(url, **{**given, **changed})  # type: ignore[arg-type] # all given above


def fetch(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def content(url: str) -> dict[str, object]:
    """Return a checksum of what was written into each table."""
    written = {f"authkit.{table}": columns for table, columns in TABLES.items()}
    written["authkit_world.labels"] = rows.LABELS
    return {
        table: fetch(
            url,
            "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text))"
            f" FROM (SELECT {', '.join(columns)} FROM {table}) AS t",
        )
        for table, columns in written.items()
    }


@pytest.mark.parametrize("table", TABLES)
def test_every_written_column_is_one_of_the_schema(table: str):
    assert set(TABLES[table]) <= set(metadata.tables[f"authkit.{table}"].c.keys())


def test_no_token_of_a_session_is_known_to_anybody():
    assert "token_digest" in hot.active_sessions.c
    assert "token" not in rows.ACTIVE_SESSIONS


def test_the_same_seed_gives_the_same_rows(database, pair, template_db: str):
    pair.create_database("twin", template=template_db)
    try:
        twin = pair.url(database="twin")
        fill(database.url, score=PastOnly())
        fill(twin, score=PastOnly())
        assert content(database.url) == content(twin)
    finally:
        pair.drop_database("twin")


def test_both_layers_are_filled_and_counted(database):
    made = fill(database.url, score=PastOnly())
    counted = fetch(
        database.url,
        "SELECT (SELECT count(*) FROM authkit.users),"
        " (SELECT count(*) FROM authkit.user_roles),"
        " (SELECT count(*) FROM authkit.accounts),"
        " (SELECT count(*) FROM authkit.webauthn_credentials),"
        " (SELECT count(*) FROM authkit.auth_attempts),"
        " (SELECT count(*) FROM authkit.auth_attempts WHERE outcome = 'succeeded'),"
        " (SELECT count(*) FROM authkit_world.labels),"
        " (SELECT count(risk_score) FROM authkit.auth_attempts),"
        " (SELECT count(*) FROM authkit.sessions),"
        " (SELECT count(*) FROM authkit.active_sessions),"
        " (SELECT count(*) FROM authkit.audit_logs)",
    )
    assert counted == [
        (
            made.users,
            made.grants,
            made.accounts,
            made.credentials,
            made.attempts,
            made.succeeded,
            made.attack_attempts,
            made.scored,
            made.sessions,
            made.active_sessions,
            made.audit_entries,
        )
    ]
    assert min(counted[0]) > 0


def test_rows_hold_what_the_world_says(database):
    fill(database.url)
    world = World(seed=11, users=150, days=6, end=END)
    stored = fetch(
        database.url,
        "SELECT id, (extract(epoch FROM occurred_at) * 1000000)::bigint, user_id,"
        " subject_hash, host(ip), asn, country, user_agent, device_fingerprint,"
        " session_id, stage, method, outcome, failure_reason"
        " FROM authkit.auth_attempts ORDER BY id",
    )
    expected = [
        (
            UUID(bytes=a.id),
            a.at_us,
            None if a.user_id is None else UUID(bytes=a.user_id),
            a.subject,
            *a.source,
            None if a.session_id is None else UUID(bytes=a.session_id),
            a.stage,
            a.method,
            a.outcome,
            a.reason,
        )
        for a in sorted(world.attempts(), key=lambda a: a.id)
    ]
    assert [(*row[:4], *row[4:]) for row in stored] == expected


def test_every_day_has_its_partition(database):
    fill(database.url)
    assert fetch(
        database.url, "SELECT count(*) FROM authkit.auth_attempts_default"
    ) == [(0,)]


def test_hot_sessions_are_those_that_live_or_ended_within_a_day(database):
    fill(database.url)
    strays = fetch(
        database.url,
        "SELECT count(*) FROM authkit.active_sessions AS a"
        " LEFT JOIN authkit.sessions AS s USING (id)"
        " WHERE s.id IS NULL OR s.user_id <> a.user_id"
        " OR s.ended_at < '2026-11-22 12:00:00+00'",
    )
    live = fetch(
        database.url,
        "SELECT count(*) FROM authkit.active_sessions WHERE revoked_at IS NULL"
        " AND expires_at > '2026-11-23 12:00:00+00'"
        " AND last_activity + idle_timeout > '2026-11-23 12:00:00+00'",
    )
    assert strays == [(0,)]
    assert live[0][0] > 0


def test_scores_are_those_of_a_replay_over_the_stream(database):
    fill(database.url, score=PastOnly())
    scorer = PastOnly()
    expected: dict[UUID, float | None] = {}
    for a in World(seed=11, users=150, days=6, end=END).attempts():
        made = scorer(
            at_us=a.at_us,
            user_id=a.user_id,
            ip=a.source.ip,
            asn=a.source.asn,
            country=a.source.country,
            user_agent=a.source.user_agent,
            completed=a.completes,
        )
        if made is not None:
            expected[UUID(bytes=a.id)] = made.value
    stored = dict(
        fetch(
            database.url,
            "SELECT id, risk_score FROM authkit.auth_attempts"
            " WHERE risk_model IS NOT NULL",
        )
    )
    assert stored == expected
    unscored = fetch(
        database.url,
        "SELECT DISTINCT risk_features->>'unscored' FROM authkit.auth_attempts"
        " WHERE risk_model IS NOT NULL AND risk_score IS NULL",
    )
    assert unscored == [("no_history",)]


def test_the_trail_tells_what_was_granted_and_what_was_refused(database):
    fill(database.url)
    granted = fetch(
        database.url,
        "SELECT DISTINCT outcome FROM authkit.audit_logs WHERE action = 'role.grant'"
        " ORDER BY outcome",
    )
    assert granted == [("denied",), ("succeeded",)]


def test_the_trail_is_a_chain_that_holds(database, settings):
    made = fill(database.url)
    with (
        authkit.connect(settings) as kit,
        kit.unit_of_work(read_only=True) as work,
    ):
        found = work.audit.verify()
    assert (found.broken, found.entries) == (None, made.audit_entries)


def test_a_second_world_of_the_seed_is_refused_and_leaves_nothing(database):
    fill(database.url)
    before = content(database.url)
    with pytest.raises(AlreadyExists, match="seed 11"):
        fill(database.url, days=3)
    assert content(database.url) == before


def test_two_worlds_of_different_seeds_fit_into_one_database(database):
    first, second = fill(database.url), fill(database.url, seed=12)
    users = fetch(database.url, "SELECT count(*) FROM authkit.users")
    assert users == [(first.users + second.users,)]


def test_a_load_that_fails_half_way_leaves_nothing(database):
    def stumble(phase: str, done: int, whole: int) -> None:
        if phase == "users":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(database.url, progress=stumble)
    assert fetch(database.url, "SELECT count(*) FROM authkit.auth_attempts") == [(0,)]
    assert gc.isenabled()


def test_a_scorer_that_fails_amid_the_rows_is_heard_and_leaves_nothing(database):
    asked = iter(range(400))

    def stumble(**seen: object) -> None:
        if next(asked) == 300:
            raise RuntimeError("no score")

    counted = "SELECT count(*) FROM pg_inherits"
    before = fetch(database.url, counted)
    with pytest.raises(RuntimeError, match="no score"):
        fill(database.url, score=stumble)
    assert fetch(database.url, counted) == before
    assert fill(database.url).attempts > 300


def send(connection: psycopg.Connection) -> None:
    refused = binary.tuples(1, [binary.bigint(-1)])
    with Lane(connection) as lane:
        lane.run(statement_of("pg_temp", "small", ("n",)))
        lane.rows(binary.SIGNATURE + refused + binary.TRAILER)
        lane.end()


def test_a_row_that_the_server_refuses_in_a_lane_is_told_and_the_connection_lives(
    database,
):
    with psycopg.connect(database.url) as connection:
        connection.execute("CREATE TEMPORARY TABLE small (n bigint CHECK (n > 0))")
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            send(connection)
        assert connection.execute("SELECT count(*) FROM small").fetchone() == (0,)


def test_progress_ends_where_everything_is_done(database):
    seen: dict[str, tuple[int, int]] = {}
    fill(
        database.url,
        progress=lambda phase, done, whole: seen.update({phase: (done, whole)}),
    )
    assert seen == {"attempts": (6, 6), "users": (150, 150)}


def test_a_database_without_the_tables_is_named(pair):
    pair.create_database("bare")
    try:
        with pytest.raises(SchemaMismatch, match="authkit db setup"):
            fill(pair.url(database="bare"))
    finally:
        pair.drop_database("bare")


def test_a_database_that_does_not_answer_is_named():
    with pytest.raises(Unavailable):
        fill("postgresql://authkit:secret@127.0.0.1:1/none")


def test_a_world_without_people_is_refused_before_the_database_is_asked():
    with pytest.raises(InvalidInput):
        fill("postgresql://authkit@127.0.0.1:1/none", users=0)
