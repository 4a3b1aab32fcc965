"""How often an operation asks the server, and what a lost connection leaves."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from authkit.cluster import Cluster, NodeConnection
from authkit.crypto import KeyRing
from authkit.errors import DatabaseError, InDoubt
from authkit.hot import Cap, Hot, Intent, Operation, Routed, sessions
from authkit.hot._sync import statement
from authkit.hot.sessions import Locked
from authkit.ids import uuid7
from authkit.settings import Settings
from authkit.testing.waiting import until

KILL_BLOCKED = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def hot(database) -> Iterator[Hot]:
    """On one connection, so that everything is prepared once."""
    ring = KeyRing.random()
    single = Settings.load(
        None, database_url=database.url, database_pool_min=1, database_pool_max=1
    )
    with Cluster(single) as cluster:
        yield Hot(Routed(cluster), lambda: ring)


@pytest.fixture
def trips(monkeypatch) -> list[None]:
    """One entry for each time that a connection of the cluster waited for an answer."""
    made: list[None] = []
    wait = NodeConnection.wait

    def counted(self, *arguments, **options):
        if self.out:
            made.append(None)
        return wait(self, *arguments, **options)

    monkeypatch.setattr(NodeConnection, "wait", counted)
    return made


def test_an_operation_is_one_round_trip_and_a_rotation_two(hot, user_id, trips):
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    here = "https://app.example/cb"

    def code() -> str:
        return hot.oauth.codes.create(
            client_id="app",
            user_id=user_id,
            redirect_uri=here,
            code_challenge=challenge.decode().rstrip("="),
        ).code

    def redeem(presented: str):
        return hot.oauth.codes.redeem(
            presented, client_id="app", redirect_uri=here, code_verifier=verifier
        )

    def once(operation, *arguments, **options):
        trips.clear()
        answer = operation(*arguments, **options)
        return len(trips), answer

    # What is prepared for the first time costs another trip.
    for _ in range(2):
        created, made = once(hot.sessions.create, user_id, cap=Cap(5))
        validated, _ = once(hot.sessions.validate, made.token)
        revoked, ended = once(hot.sessions.revoke, made.id)
        all_revoked, rest = once(hot.sessions.revoke_all, user_id)
        redeemed, granted = once(redeem, code())
        rotated, _ = once(
            hot.oauth.tokens.rotate, granted.refresh_token, client_id="app"
        )
    assert (created, validated, revoked, all_revoked, redeemed) == (1, 1, 1, 1, 1)
    # The successor is derived from the row with a key that the server never sees.
    assert rotated == 2
    assert ended.token is not None
    assert rest.token.lsn >= ended.token.lsn


def test_a_failed_step_undoes_the_one_before_it(kit, user_id):
    broken = Operation(
        name="scratch.broken",
        sql="SELECT $1::uuid AS id FROM (SELECT 1 / (random() * 0)::int) AS never",
        parameters=("id",),
        types=("uuid",),
        row=Locked,
        intent=Intent.WRITE,
        idempotent=True,
    )
    made = kit.sessions.create(user_id)
    touch = (sessions.TOUCH_WITHIN, (made.id, timedelta(0)))
    before = kit.sessions.list(user_id)
    runner = Routed(kit.cluster)
    for _ in range(2):
        with pytest.raises(DatabaseError) as caught:
            runner.write(broken, (made.id,), behind=touch, token=True)
        assert caught.value.sqlstate == "22012"
    assert kit.sessions.list(user_id) == before
    with kit.cluster.writer() as connection:
        statement.together(connection, [(sessions.LOCK_USER, (user_id,))], token=False)
        connection.execute("DEALLOCATE ALL")
        found, token = statement.together(
            connection, [(sessions.LOCK_USER, (user_id,))], token=True
        )
    assert found == [Locked(user_id)]
    assert token is not None


def test_a_group_that_was_cut_off_is_in_doubt_and_did_not_happen_by_halves(
    kit, database, user_id
):
    with psycopg.connect(database.url) as locker, ThreadPoolExecutor() as threads:
        locker.execute("SELECT FROM authkit.users WHERE id = %s FOR UPDATE", (user_id,))
        running = threads.submit(kit.sessions.create, user_id, cap=Cap(3))
        with psycopg.connect(database.url, autocommit=True) as killer:
            until(
                lambda: running.done() or killer.execute(KILL_BLOCKED).fetchall(),
                "the blocked backend was ended",
            )
        with pytest.raises(InDoubt):
            running.result(30)
    assert kit.sessions.list(user_id) == []
    assert kit.sessions.revoke(uuid7()).ended == ()
