"""One database for all tests of the schema; each test's work is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from authkit.ids import uuid7
from authkit.lab import Lab
from authkit.testing.plugin import Database
from authkit.testing.waiting import until

_NAME = "schema_tests"
_WAITING = """
    SELECT FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND %s = ANY (pg_blocking_pids(pid))
"""
_DEFAULTS: dict[str, Callable[[], dict[str, object]]] = {
    "users": lambda: {"id": uuid7(), "email": f"{uuid7()}@example.org"},
    "active_sessions": lambda: {
        "id": uuid7(),
        "token_digest": uuid7().bytes * 2,
        "user_id": uuid7(),
        "expires_at": "2100-01-01T00:00:00Z",
    },
    "auth_attempts": lambda: {"id": uuid7()},
    "user_auth_cache": lambda: {
        "user_id": uuid7(),
        "email_hash": uuid7().bytes * 2,
        "authz_version": 1,
        "expires_at": "2100-01-01T00:00:00Z",
    },
    "rate_limit_tracking": lambda: {
        "identifier": str(uuid7()),
        "resource": "login",
        "policy": "login",
    },
    "oauth_token_families": lambda: {
        "id": uuid7(),
        "client_id": "web",
        "expires_at": "2100-01-01T00:00:00Z",
    },
    "oauth_auth_codes": lambda: {
        "code_digest": uuid7().bytes * 2,
        "client_id": "web",
        "user_id": uuid7(),
        "family_id": uuid7(),
        "redirect_uri": "https://example.org/cb",
        "code_challenge": uuid7().bytes * 2,
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-01T00:10:00Z",
    },
    "oauth_state_tracking": lambda: {
        "state_digest": uuid7().bytes * 2,
        "provider": "example",
        "issuer": "https://id.example.org",
        "browser_binding_digest": uuid7().bytes * 2,
        "redirect_uri": "https://example.org/cb",
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-01T00:10:00Z",
    },
    "oauth_token_cache": lambda: {
        "user_id": uuid7(),
        "provider": "example",
        "provider_account_id": str(uuid7()),
        "access_token_sealed": b"sealed",
        "sealing_key_id": "k1",
    },
    "write_keys": lambda: {"key": str(uuid7()), "status": "applied"},
    "subject_keys": lambda: {
        "subject_id": uuid7(),
        "key_sealed": b"sealed",
        "sealing_key_id": "k1",
    },
    "roles": lambda: {"id": uuid7(), "name": f"r{uuid7().hex}"},
}


class Rows:
    """Inserts valid rows, with what a test wants to be different."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def insert(self, table: str, **values: object) -> dict[str, object]:
        row = {**_DEFAULTS.get(table, dict)(), **values}
        self.connection.execute(
            sql.SQL("INSERT INTO authkit.{} ({}) VALUES ({})").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(sql.Placeholder() * len(row)),
            ),
            list(row.values()),
        )
        return row

    def user(self, **values: object) -> UUID:
        return UUID(str(self.insert("users", **values)["id"]))

    def credential(self, **values: object) -> dict[str, object]:
        return self.insert(
            "webauthn_credentials",
            **{
                "id": uuid7(),
                "user_id": values.get("user_id") or self.user(),
                "rp_id": "example.org",
                "credential_id": uuid7().bytes,
                "public_key": b"cose",
                **values,
            },
        )

    def token(self, **values: object) -> dict[str, object]:
        family = self.insert("oauth_token_families")["id"]
        return self.insert(
            "oauth_issued_tokens",
            **{
                "id": uuid7(),
                "token_digest": uuid7().bytes * 2,
                "kind": "refresh",
                "family_id": family,
                "generation": 0,
                "client_id": "web",
                "expires_at": "2099-01-01T00:00:00Z",
                "family_expires_at": "2100-01-01T00:00:00Z",
                **values,
            },
        )

    def value(self, query: str, *parameters: object) -> object:
        row = self.connection.execute(query, parameters).fetchone()
        assert row is not None
        return row[0]

    def refused(self, act: Callable[[], object]) -> str | None:
        """Return the constraint under whose name the server refuses an act."""
        with (
            pytest.raises(psycopg.IntegrityError) as refusal,
            self.connection.transaction(),
        ):
            act()
        return refusal.value.diag.constraint_name


@pytest.fixture(scope="session")
def schema_url(pair: Lab, template_db: str) -> Iterator[str]:
    pair.create_database(_NAME, template=template_db)
    yield pair.url(database=_NAME)
    pair.drop_database(_NAME)


@pytest.fixture
def rows(schema_url: str) -> Iterator[Rows]:
    connection = psycopg.connect(schema_url)
    try:
        yield Rows(connection)
    finally:
        connection.rollback()
        connection.close()


Waiting = Callable[
    [Callable[[], object], psycopg.Connection[Any]], AbstractContextManager[Future[Any]]
]


@pytest.fixture
def waiting(database: Database) -> Iterator[Waiting]:
    """`with waiting(act, connection) as acting:` begins an act in a thread.

    The block runs as soon as it waits for a lock of the connection, or is over.
    """
    with psycopg.connect(database.url, autocommit=True) as looking:

        @contextmanager
        def begun(
            act: Callable[[], object], on: psycopg.Connection[Any]
        ) -> Generator[Future[Any]]:
            pid = on.info.backend_pid
            with ThreadPoolExecutor(1) as thread:
                acting = thread.submit(act)
                until(
                    lambda: acting.done() or looking.execute(_WAITING, (pid,)).rowcount,
                    "it waits for a lock",
                )
                yield acting

        yield begun
