"""Every invariant that `authkit fsck` asks for, in the order in which it asks.

All are asked in one snapshot; what must change together changes in one transaction, so
none of these is ever broken for a moment by work that goes on meanwhile.
"""

from __future__ import annotations

from typing import Final

from authkit.ops.fsck.chain import CHAIN
from authkit.ops.fsck.invariant import Invariant
from authkit.ops.fsck.tokens import TOKENS

_SESSIONS: Final = (
    Invariant(
        "session_cap",
        "No user has more live sessions than the cap.",
        """
        SELECT user_id::text FROM authkit.active_sessions
         WHERE revoked_at IS NULL AND expires_at > now()
           AND last_activity + idle_timeout > now()
         GROUP BY user_id HAVING count(*) > %(session_cap)s::bigint
        """,
        "look for sessions created without a cap; revoke the oldest of these users'",
    ),
    Invariant(
        "disabled_user_has_session",
        "Nobody who is disabled or erased has a live session.",
        """
        SELECT s.id::text FROM authkit.active_sessions AS s
          JOIN authkit.users AS u ON u.id = s.user_id
         WHERE s.revoked_at IS NULL AND s.expires_at > now()
           AND s.last_activity + s.idle_timeout > now()
           AND u.disabled_at IS NOT NULL
        """,
        "revoke them at once (sessions.revoke_user); users are disabled through the"
        " unit of work, which does",
    ),
    Invariant(
        "session_without_user",
        "Every session, cached login and linked token belongs to a user.",
        """
        SELECT 'session ' || s.id FROM authkit.active_sessions AS s
         WHERE NOT EXISTS (SELECT FROM authkit.users AS u WHERE u.id = s.user_id)
        UNION ALL
        SELECT 'cached login ' || c.user_id FROM authkit.user_auth_cache AS c
         WHERE NOT EXISTS (SELECT FROM authkit.users AS u WHERE u.id = c.user_id)
        UNION ALL
        SELECT 'provider token of ' || t.user_id FROM authkit.oauth_token_cache AS t
         WHERE NOT EXISTS (SELECT FROM authkit.users AS u WHERE u.id = t.user_id)
        UNION ALL
        SELECT 'token family ' || f.id FROM authkit.oauth_token_families AS f
         WHERE f.user_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM authkit.users AS u WHERE u.id = f.user_id)
        """,
        "users are erased, never deleted: find out who deleted one; then delete these",
    ),
    Invariant(
        "session_without_record",
        "Every live session has its record, of the same user and still open.",
        """
        SELECT s.id::text FROM authkit.active_sessions AS s
          LEFT JOIN authkit.sessions AS r ON r.id = s.id
         WHERE s.revoked_at IS NULL AND s.expires_at > now()
           AND s.last_activity + s.idle_timeout > now()
           AND (r.id IS NULL OR r.user_id <> s.user_id OR r.ended_at IS NOT NULL)
        """,
        "revoke these sessions: one that was ended is alive, or nobody knows of it",
    ),
    Invariant(
        "ended_session_open_record",
        "The record of a session that was revoked says so.",
        """
        SELECT s.id::text FROM authkit.active_sessions AS s
          JOIN authkit.sessions AS r ON r.id = s.id
         WHERE s.revoked_at IS NOT NULL AND r.ended_at IS NULL
        """,
        "set ended_at and end_reason of the record from the session's",
    ),
)

_CACHE: Final = (
    Invariant(
        "cache_ahead",
        "No cached login is of a later version than its user and roles.",
        """
        SELECT c.user_id::text FROM authkit.user_auth_cache AS c
          JOIN authkit.users AS u ON u.id = c.user_id
         WHERE c.authz_version > u.authz_version
            OR EXISTS (
              SELECT FROM unnest(c.role_ids, c.role_versions) AS held (id, version)
                JOIN authkit.roles AS r ON r.id = held.id
               WHERE held.version > r.version)
        """,
        "a version went backwards (a restore of one table?): delete these entries,"
        " they would be served again when the version is reached",
    ),
    Invariant(
        "cache_grants_more",
        "A cached login that may be served grants nothing that its roles do not.",
        """
        SELECT c.user_id::text FROM authkit.user_auth_cache AS c
          JOIN authkit.users AS u ON u.id = c.user_id
         WHERE c.authz_version = u.authz_version AND c.expires_at > now()
           AND NOT EXISTS (
              SELECT FROM unnest(c.role_ids, c.role_versions) AS held (id, version)
                LEFT JOIN authkit.roles AS r ON r.id = held.id
               WHERE r.version IS DISTINCT FROM held.version)
           AND EXISTS (
              SELECT FROM unnest(c.permissions) AS cached (name)
               WHERE NOT EXISTS (
                 SELECT FROM authkit.user_roles AS g
                   JOIN authkit.role_permissions AS rp ON rp.role_id = g.role_id
                   JOIN authkit.permissions AS p ON p.id = rp.permission_id
                  WHERE g.user_id = c.user_id AND p.name = cached.name
                    AND (g.expires_at IS NULL OR g.expires_at > now())))
        """,
        "delete these entries at once, then find out who wrote them",
    ),
    Invariant(
        "cache_outlives_grant",
        "A cached login that may be served expires with the first of its grants.",
        """
        SELECT c.user_id::text FROM authkit.user_auth_cache AS c
          JOIN authkit.users AS u ON u.id = c.user_id
         WHERE c.authz_version = u.authz_version
           AND c.expires_at > (
              SELECT min(g.expires_at) FROM authkit.user_roles AS g
               WHERE g.user_id = c.user_id AND g.role_id = ANY (c.role_ids))
        """,
        "delete these entries: they would grant after the grant has expired",
    ),
)

_ATTEMPTS: Final = (
    Invariant(
        "attempt_settled_early",
        "No attempt was settled before it was made.",
        """
        SELECT id::text FROM authkit.auth_attempts WHERE settled_at < occurred_at
        """,
        "the clocks of two servers differ, or history was written by hand",
    ),
    Invariant(
        "attempt_of_nobody",
        "A user of ours that an attempt names exists.",
        # Ids of ours are UUIDs of version 7. Accounts of other systems, whose logs were
        # ingested, keep ids of their own.
        """
        SELECT a.id::text FROM authkit.auth_attempts AS a
         WHERE get_byte(uuid_send(a.user_id), 6) >> 4 = 7
           AND NOT EXISTS (SELECT FROM authkit.users AS u WHERE u.id = a.user_id)
        """,
        "users are erased, never deleted: find out who deleted one",
    ),
)

_RISK: Final = (
    Invariant(
        "erased_user_counted",
        "No login of anybody who was erased is in the counts of scores.",
        """
        SELECT u.id::text FROM authkit.users AS u
         WHERE u.erased_at IS NOT NULL
           AND (EXISTS (SELECT FROM authkit.risk_logins AS l WHERE l.user_id = u.id)
             OR EXISTS (SELECT FROM authkit.risk_users AS n WHERE n.user_id = u.id)
             OR EXISTS (SELECT FROM authkit.risk_user_counts AS c
                         WHERE c.user_id = u.id))
        """,
        "make the counts anew (authkit risk rebuild), which leaves them out",
    ),
)

INVARIANTS: Final[tuple[Invariant, ...]] = (
    *_SESSIONS,
    *TOKENS,
    *_CACHE,
    *_ATTEMPTS,
    *_RISK,
    *CHAIN,
)
