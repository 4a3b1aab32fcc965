"""fsck: every invariant holds after ordinary work, and each planted fault is found."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

import authkit
from authkit.errors import SchemaMismatch
from authkit.hot import Cap, GrantedTokens, NewSession
from authkit.lab import Lab
from authkit.ops.database import setup
from authkit.ops.fsck import INVARIANTS, check
from authkit.ops.fsck.checking import broken
from authkit.settings import Settings

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.fixture(scope="module")
def worked(pair: Lab, template_db: str) -> Iterator[tuple[str, str]]:
    """A database in which people logged in, rotated, were disabled: its two URLs."""
    name = f"fsck_{secrets.token_hex(6)}"
    pair.create_database(name, template=template_db)
    url = pair.url(database=name)
    setup(url)
    key = base64.b64encode(os.urandom(32)).decode()
    settings = Settings.load(
        env_file=None,
        database_url=url,
        authkit_sealing_keys=SecretStr(f"one:{key}"),
        authkit_token_key=SecretStr(key),
    )
    with authkit.connect(settings) as kit:
        _work(kit)
    pair.wait_replayed()
    yield url, pair.url("replica", database=name)
    pair.drop_database(name)


def _work(kit: authkit.Kit) -> None:
    uri = "https://client.example/cb"
    until = datetime.now(UTC) + timedelta(days=30)
    for number in range(3):
        email = f"person{number}@example.com"
        with kit.unit_of_work() as uow:
            user_id = uow.users.create(email).id
            uow.roles.grant(user_id, "user", expires_at=until)
        for _ in range(3):
            kit.sessions.create(user_id, cap=Cap(2))
        kit.auth_cache.put(user_id, kit.keyed_hash.subject(email))
        session = kit.sessions.create(user_id)
        assert isinstance(session, NewSession)
        code = kit.oauth.codes.create(
            client_id="client",
            user_id=user_id,
            session_id=session.id,
            redirect_uri=uri,
            code_challenge=CHALLENGE,
        )
        tokens = kit.oauth.codes.redeem(
            code.code, client_id="client", redirect_uri=uri, code_verifier=VERIFIER
        )
        assert isinstance(tokens, GrantedTokens)
        kit.oauth.tokens.rotate(tokens.refresh_token, client_id="client")
        kit.sessions.revoke(session.id)
    with kit.unit_of_work() as uow:
        uow.users.disable(user_id)


@pytest.fixture
def planted(worked: tuple[str, str]) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's transaction that no trigger guards, rolled back afterwards."""
    with psycopg.connect(worked[0]) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection
        connection.rollback()


def test_every_invariant_holds_after_ordinary_work_on_both_nodes(
    worked: tuple[str, str],
):
    for url, replica in zip(worked, (False, True), strict=True):
        found = check(url, session_cap=3)
        assert found.clean, [v.finding for v in found.violations]
        assert found.replica is replica
        assert {i.name for i in found.held} == {i.name for i in INVARIANTS}


PLANTS = {
    "session_cap": """
        INSERT INTO authkit.active_sessions (id, token_digest, user_id, expires_at)
        SELECT gen_random_uuid(), sha256(n::text::bytea), s.user_id, now() + '1 day'
        FROM generate_series(1, 9) AS n,
             (SELECT user_id FROM authkit.active_sessions LIMIT 1) AS s""",
    "disabled_user_has_session": """
        UPDATE authkit.users SET disabled_at = now() WHERE id IN (
          SELECT user_id FROM authkit.active_sessions WHERE revoked_at IS NULL LIMIT 1)
        """,
    "session_without_user": """
        DELETE FROM authkit.users WHERE disabled_at IS NOT NULL""",
    "session_without_record": """
        DELETE FROM authkit.sessions WHERE id IN (
          SELECT id FROM authkit.active_sessions WHERE revoked_at IS NULL LIMIT 1)""",
    "ended_session_open_record": """
        UPDATE authkit.sessions SET ended_at = NULL, end_reason = NULL WHERE id IN (
          SELECT id FROM authkit.active_sessions WHERE revoked_at IS NOT NULL LIMIT 1)
        """,
    "family_forked": """
        UPDATE authkit.oauth_token_families SET revoked_at = NULL, revoke_reason = NULL;
        UPDATE authkit.oauth_issued_tokens SET rotated_at = NULL
         WHERE kind = 'refresh' AND generation = 0""",
    "generation_repeated": """
        ALTER TABLE authkit.oauth_issued_tokens
          DROP CONSTRAINT oauth_issued_tokens_family_id_generation_kind_key;
        INSERT INTO authkit.oauth_issued_tokens (id, token_digest, kind, family_id,
          generation, client_id, user_id, created_at, expires_at, family_expires_at)
        SELECT gen_random_uuid(), sha256('twice'), kind, family_id, generation,
          client_id, user_id, created_at, expires_at, family_expires_at
        FROM authkit.oauth_issued_tokens WHERE kind = 'access' LIMIT 1""",
    "code_redeemed_twice": """
        UPDATE authkit.oauth_issued_tokens SET created_at = created_at - interval '1 s'
         WHERE generation = 0""",
    "token_outlives_family": """
        UPDATE authkit.oauth_token_families
           SET expires_at = created_at + interval '1 s'""",
    "token_of_another": """
        UPDATE authkit.oauth_issued_tokens SET client_id = 'thief'""",
    "ended_session_live_family": """
        UPDATE authkit.oauth_token_families SET revoked_at = NULL, revoke_reason = NULL
        """,
    "cache_ahead": """
        UPDATE authkit.user_auth_cache SET authz_version = authz_version + 7""",
    "cache_grants_more": """
        UPDATE authkit.user_auth_cache AS c
           SET permissions = permissions || '{user:erase}'::text[],
               authz_version = u.authz_version
          FROM authkit.users AS u WHERE u.id = c.user_id""",
    "cache_outlives_grant": """
        UPDATE authkit.user_auth_cache AS c
           SET expires_at = now() + interval '1 year', authz_version = u.authz_version
          FROM authkit.users AS u WHERE u.id = c.user_id""",
    "attempt_settled_early": """
        INSERT INTO authkit.auth_attempts (id, outcome, settled_at)
        VALUES (gen_random_uuid(), 'failed', now() - interval '1 s')""",
    "attempt_of_nobody": """
        INSERT INTO authkit.auth_attempts (id, outcome, user_id)
        VALUES (gen_random_uuid(), 'failed', '01993c00-0000-7000-8000-000000000000'),
               (gen_random_uuid(), 'failed', '01993c00-0000-8000-8000-000000000000'),
               (gen_random_uuid(), 'failed', '01993c00-0000-4000-8000-000000000000')
        """,
    "erased_user_counted": """
        UPDATE authkit.users SET erased_at = now() WHERE disabled_at IS NOT NULL;
        INSERT INTO authkit.risk_users (user_id, logins)
        SELECT id, 1 FROM authkit.users WHERE erased_at IS NOT NULL""",
    "chain_hash": """
        UPDATE authkit.audit_logs SET canonical = canonical || ' '::bytea""",
    "chain_link": """
        DELETE FROM authkit.audit_logs WHERE seq = 1""",
    "chain_head": """
        UPDATE authkit.audit_chain_heads SET seq = seq + 1 WHERE seq > 0""",
}


def test_a_fault_is_planted_for_every_invariant():
    assert set(PLANTS) == {invariant.name for invariant in INVARIANTS}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found_and_named(
    planted: psycopg.Connection[Any], name: str
):
    before = {v.invariant.name for v in broken(planted, session_cap=3)}
    for statement in PLANTS[name].split(";"):
        planted.execute(statement.encode())
    found = {v.invariant.name: v for v in broken(planted, session_cap=3)}
    assert name in found
    assert name not in before
    assert found[name].count >= 1
    assert found[name].examples
    assert "@" not in found[name].finding.what
    assert found[name].finding.advice


def test_dropped_audit_partitions_are_no_gap_where_they_are_declared(
    planted: psycopg.Connection[Any],
):
    planted.execute("DELETE FROM authkit.audit_logs WHERE seq = 1")
    assert {v.invariant.name for v in broken(planted)} >= {"chain_link"}
    assert broken(planted, pruned=True) == ()


def test_a_database_without_our_tables_is_one_clear_error(empty_url: str):
    with pytest.raises(SchemaMismatch, match="authkit db migrate"):
        check(empty_url)
