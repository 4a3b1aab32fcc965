"""The organisation of a world: its rows, and a trail that they do not contradict."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

from authkit.relational import conditions
from authkit.workload.load import seed
from authkit.workload.organisation import PERMISSIONS

END = datetime(2026, 11, 23, 12, tzinfo=UTC)
# What the rows would contradict: each asks for what must not be there.
CONTRADICTIONS = {
    "a grant that nobody holds": """
        SELECT FROM authkit.audit_logs AS e WHERE action = 'role.grant'
          AND details ? 'role' AND NOT EXISTS (
            SELECT FROM authkit.user_roles AS g
            JOIN authkit.roles AS r ON r.id = g.role_id
            WHERE 'user:' || g.user_id = e.target AND r.name = e.details ->> 'role'
              AND 'user:' || g.granted_by IS NOT DISTINCT FROM
                CASE WHEN e.actor LIKE 'user:%' THEN e.actor END
              AND date_trunc('milliseconds', g.granted_at) = e.occurred_at
              AND g.expires_at IS NOT DISTINCT FROM
                (e.details ->> 'expires_at')::timestamptz)""",
    "a grant by who may not grant": """
        SELECT FROM authkit.user_roles AS g WHERE g.granted_by IS NOT NULL
          AND NOT EXISTS (
            SELECT FROM authkit.user_roles AS held
            JOIN authkit.role_permissions AS rp USING (role_id)
            JOIN authkit.permissions AS p ON p.id = rp.permission_id
            WHERE held.user_id = g.granted_by AND p.name = 'role:grant'
              AND held.granted_at <= g.granted_at)""",
    "an account that was disabled and is not": """
        SELECT FROM authkit.audit_logs AS e
        JOIN authkit.users AS u ON 'user:' || u.id = e.target
        WHERE e.action = 'user.disable' AND u.disabled_at IS NULL AND NOT EXISTS (
            SELECT FROM authkit.audit_logs AS later
            WHERE later.target = e.target AND later.action = 'user.enable'
              AND later.occurred_at > e.occurred_at)""",
    "somebody who is disabled and was here after it": """
        SELECT FROM authkit.users AS u LEFT JOIN authkit.sessions AS s
          ON s.user_id = u.id
        WHERE greatest(u.last_login_at, s.last_activity_at) > u.disabled_at""",
    "a session that was revoked and lives": """
        SELECT FROM authkit.audit_logs AS e LEFT JOIN authkit.sessions AS s
          ON s.id = (e.details ->> 'session')::uuid AND 'user:' || s.user_id = e.target
        WHERE e.action = 'session.revoke'
          AND s.end_reason IS DISTINCT FROM 'compromised'""",
    "a key that was retired and is not": """
        SELECT FROM authkit.audit_logs AS e WHERE e.action = 'credential.retire'
          AND NOT EXISTS (
            SELECT FROM authkit.webauthn_credentials AS c
            WHERE 'user:' || c.user_id = e.target
              AND date_trunc('milliseconds', c.retired_at) = e.occurred_at)""",
    "a key that was used before it was there": """
        SELECT FROM authkit.webauthn_credentials
        WHERE created_at > least(last_used_at, retired_at)
          OR last_used_at > retired_at""",
    "a second factor by key of who has none": """
        SELECT FROM authkit.auth_attempts AS a WHERE a.method = 'webauthn'
          AND a.outcome = 'succeeded' AND NOT EXISTS (
            SELECT FROM authkit.webauthn_credentials AS c
            WHERE c.user_id = a.user_id AND NOT c.backup_eligible)""",
    "something that is yet to come": """
        SELECT FROM authkit.user_roles AS g, authkit.accounts AS a
        WHERE greatest(g.granted_at, a.created_at) > '2026-11-23 12:00:00+00'""",
}


def test_the_rows_and_the_trail_of_an_organisation_agree(database):
    seed(database.url, users=400, days=6, seed=11, end=END)
    with psycopg.connect(database.url) as connection:
        for what, sought in CONTRADICTIONS.items():
            assert connection.execute(sought).fetchall() == [], what
        held = dict(
            connection.execute(
                "SELECT r.name, count(*) FROM authkit.user_roles AS g"
                " JOIN authkit.roles AS r ON r.id = g.role_id GROUP BY 1"
            )
        )
        told = connection.execute("SELECT DISTINCT action FROM authkit.audit_logs")
        actions = {action for (action,) in told}
    few = held["admin"] + held["moderator"]
    assert few < held["finance"] < held["engineering"] < held["user"] == 400
    assert {"contractor", "on-call"} < set(held)
    assert {"credential.register", "role.grant", "user.disable"} < actions


def test_conditions_of_the_organisations_permissions_are_understood():
    for _, rule in PERMISSIONS.values():
        assert conditions.parse(rule) == rule
