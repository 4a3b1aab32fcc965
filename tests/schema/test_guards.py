"""Rules about change: what a row may become, and what its change must raise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import psycopg
import pytest

from authkit.ids import uuid7

ADMIN = "00000000-0000-7000-8000-000000000001"
USER = "00000000-0000-7000-8000-000000000003"


def version_of_user(rows: Any, user: object) -> int:
    return int(
        rows.value("SELECT authz_version FROM authkit.users WHERE id = %s", user)
    )


def version_of_role(rows: Any, role: object) -> int:
    return int(rows.value("SELECT version FROM authkit.roles WHERE id = %s", role))


def test_an_attempt_is_settled_once(rows: Any):
    attempt = rows.insert("auth_attempts")["id"]
    settle = "UPDATE authkit.auth_attempts SET outcome = %s WHERE id = %s"
    rows.connection.execute(settle, ["failed", attempt])
    refused = rows.refused(
        lambda: rows.connection.execute(settle, ["succeeded", attempt])
    )
    assert refused == "auth_attempts_settle_once"


def test_a_settled_attempt_never_becomes_pending_again(rows: Any):
    attempt = rows.insert("auth_attempts", outcome="failed")["id"]
    refused = rows.refused(
        lambda: rows.connection.execute(
            "UPDATE authkit.auth_attempts SET outcome = 'pending' WHERE id = %s",
            [attempt],
        )
    )
    assert refused == "auth_attempts_settle_once"


@pytest.mark.parametrize(
    "change",
    ["subject_hash = sha256('x')", "ip = '192.0.2.9'", "user_agent = 'other'"],
)
def test_settling_an_attempt_does_not_change_who_made_it(rows: Any, change: str):
    attempt = rows.insert("auth_attempts", ip="192.0.2.1", user_agent="one")["id"]
    refused = rows.refused(
        lambda: rows.connection.execute(
            f"UPDATE authkit.auth_attempts SET outcome = 'failed', {change}"
            " WHERE id = %s",
            [attempt],
        )
    )
    assert refused == "auth_attempts_settle_once"


def test_settling_an_attempt_may_name_the_user(rows: Any):
    attempt = rows.insert("auth_attempts")["id"]
    rows.connection.execute(
        "UPDATE authkit.auth_attempts SET outcome = 'succeeded', user_id = %s"
        " WHERE id = %s",
        [uuid7(), attempt],
    )


@pytest.mark.parametrize("eligible", [True, False])
def test_backup_eligibility_of_a_credential_never_changes(rows: Any, eligible: bool):
    key = rows.credential(backup_eligible=eligible)["id"]
    refused = rows.refused(
        lambda: rows.connection.execute(
            "UPDATE authkit.webauthn_credentials"
            " SET backup_eligible = NOT backup_eligible WHERE id = %s",
            [key],
        )
    )
    assert refused == "webauthn_credentials_identity"


def test_using_and_renaming_a_credential_is_allowed(rows: Any):
    key = rows.credential()["id"]
    rows.connection.execute(
        "UPDATE authkit.webauthn_credentials"
        " SET sign_count = 7, name = 'key', last_used_at = now() WHERE id = %s",
        [key],
    )


def test_a_system_role_is_neither_deleted_nor_renamed(rows: Any):
    execute = rows.connection.execute
    assert (
        rows.refused(
            lambda: execute("DELETE FROM authkit.roles WHERE id = %s", [ADMIN])
        )
        == "roles_system_kept"
    )
    rename = "UPDATE authkit.roles SET name = 'root' WHERE id = %s"
    assert rows.refused(lambda: execute(rename, [ADMIN])) == "roles_system_named"


def test_granting_changing_and_revoking_a_role_each_raise_the_users_version(rows: Any):
    user = rows.user()
    seen = [version_of_user(rows, user)]
    rows.insert("user_roles", user_id=user, role_id=USER)
    seen.append(version_of_user(rows, user))
    rows.connection.execute(
        "UPDATE authkit.user_roles SET expires_at = '2100-01-01' WHERE user_id = %s",
        [user],
    )
    seen.append(version_of_user(rows, user))
    rows.connection.execute("DELETE FROM authkit.user_roles WHERE user_id = %s", [user])
    seen.append(version_of_user(rows, user))
    assert seen == [1, 2, 3, 4]


def test_many_grants_in_one_statement_raise_each_version_once(rows: Any):
    users = [rows.user() for _ in range(3)]
    rows.connection.execute(
        "INSERT INTO authkit.user_roles (user_id, role_id)"
        " SELECT u, r.id FROM unnest(%s::uuid[]) AS u, authkit.roles AS r",
        [users],
    )
    assert [version_of_user(rows, user) for user in users] == [2, 2, 2]


def test_a_change_of_a_roles_permissions_raises_the_role_and_no_user(rows: Any):
    user = rows.user()
    rows.insert("user_roles", user_id=user, role_id=USER)
    before = version_of_user(rows, user), version_of_role(rows, USER)
    permission = rows.value("SELECT id FROM authkit.permissions LIMIT 1")
    rows.insert("role_permissions", role_id=USER, permission_id=permission)
    rows.connection.execute(
        "DELETE FROM authkit.role_permissions WHERE role_id = %s", [USER]
    )
    after = version_of_user(rows, user), version_of_role(rows, USER)
    assert after == (before[0], before[1] + 2)


def test_a_permissions_new_conditions_raise_every_role_that_carries_it(rows: Any):
    before = version_of_role(rows, ADMIN), version_of_role(rows, USER)
    rows.connection.execute(
        """UPDATE authkit.permissions SET conditions = '{"owner": true}'
        WHERE name = 'user:read'"""
    )
    after = version_of_role(rows, ADMIN), version_of_role(rows, USER)
    assert after == (before[0] + 1, before[1])


def test_deleting_a_permission_raises_every_role_that_carried_it(rows: Any):
    before = version_of_role(rows, ADMIN)
    rows.connection.execute("DELETE FROM authkit.permissions WHERE name = 'user:read'")
    assert version_of_role(rows, ADMIN) == before + 1


def test_deleting_a_role_raises_every_user_that_held_it(rows: Any):
    user, role = rows.user(), rows.insert("roles")["id"]
    rows.insert("user_roles", user_id=user, role_id=role)
    before = version_of_user(rows, user)
    rows.connection.execute("DELETE FROM authkit.roles WHERE id = %s", [role])
    assert version_of_user(rows, user) == before + 1


@pytest.mark.parametrize(
    "change",
    [
        "disabled_at = now()",
        "mfa_enabled = true",
        "password_hash = '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$c29tZWhhc2hvZml0'",
        "email = 'other@example.org'",
    ],
)
def test_a_change_of_what_a_login_reads_raises_the_users_version(
    rows: Any, change: str
):
    user = rows.user()
    rows.connection.execute(f"UPDATE authkit.users SET {change} WHERE id = %s", [user])
    assert version_of_user(rows, user) == 2


def test_counting_a_failure_does_not_raise_the_users_version(rows: Any):
    user = rows.user()
    rows.connection.execute(
        "UPDATE authkit.users SET failed_attempts = 1, last_login_at = now()"
        " WHERE id = %s",
        [user],
    )
    assert version_of_user(rows, user) == 1


@pytest.mark.parametrize(
    ("table", "column", "guard"),
    [
        ("users", "authz_version", "users_version_rises"),
        ("roles", "version", "roles_version_rises"),
    ],
)
def test_a_version_never_falls(rows: Any, table: str, column: str, guard: str):
    key = rows.insert(table, **{column: 5})["id"]
    lower = f"UPDATE authkit.{table} SET {column} = 4 WHERE id = %s"
    assert rows.refused(lambda: rows.connection.execute(lower, [key])) == guard


def test_grants_to_the_same_users_in_opposite_orders_do_not_deadlock(schema_url: str):
    users = [uuid7() for _ in range(40)]
    roles = [uuid7(), uuid7()]
    rounds = 15
    barrier = Barrier(2, timeout=30)

    def grant_and_revoke(role: UUID, order: list[UUID]) -> None:
        with psycopg.connect(schema_url, autocommit=True) as connection:
            for _ in range(rounds):
                barrier.wait()
                connection.execute(
                    "INSERT INTO authkit.user_roles (user_id, role_id)"
                    " SELECT u, %s FROM unnest(%s::uuid[]) AS u",
                    [role, order],
                )
                barrier.wait()
                connection.execute(
                    "DELETE FROM authkit.user_roles WHERE role_id = %s", [role]
                )

    with psycopg.connect(schema_url, autocommit=True) as setup:
        setup.execute(
            "INSERT INTO authkit.roles (id, name)"
            " SELECT r, 'r' || replace(r::text, '-', '') FROM unnest(%s::uuid[]) AS r",
            [roles],
        )
        setup.execute(
            "INSERT INTO authkit.users (id, email)"
            " SELECT u, u || '@example.org' FROM unnest(%s::uuid[]) AS u",
            [users],
        )
        with ThreadPoolExecutor(2) as pool:
            done = [
                pool.submit(grant_and_revoke, roles[0], users),
                pool.submit(grant_and_revoke, roles[1], users[::-1]),
            ]
            for each in done:
                each.result(timeout=60)
        versions = setup.execute(
            "SELECT DISTINCT authz_version FROM authkit.users WHERE id = ANY (%s)",
            [users],
        ).fetchall()
        setup.execute("DELETE FROM authkit.users WHERE id = ANY (%s)", [users])
        setup.execute("DELETE FROM authkit.roles WHERE id = ANY (%s)", [roles])
    assert versions == [(1 + 2 * 2 * rounds,)]
