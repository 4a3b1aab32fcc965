"""What is done with what a login gave: sessions and refresh tokens in other hands."""

from __future__ import annotations

from datetime import timedelta

from authkit.risk.detectors.detector import Detector, Parameter
from authkit.risk.detectors.windows import FIRSTS, SECONDS, sliding

SESSIONS: tuple[Detector, ...] = (
    Detector(
        "session_hijack",
        "T1539",
        "one session from several devices and addresses",
        sliding(
            key="a.session_id",
            other="encode(a.device_fingerprint, 'hex') || ' ' || host(a.ip)",
            counted="a.session_id IS NOT NULL AND a.device_fingerprint IS NOT NULL"
            " AND a.ip IS NOT NULL",
            condition=FIRSTS + " >= %(devices)s AND " + SECONDS + " >= %(addresses)s",
            good="a.outcome = 'succeeded'",
        ),
        (
            Parameter("attempts", 4, "as many as devices"),
            Parameter("devices", 4),
            Parameter("addresses", 2),
            Parameter("span", timedelta(hours=24), "as long as a session lives"),
        ),
    ),
    # The family is revoked by the very statement that saw the reuse; what was refused
    # is logged as an attempt too where the application does so.
    Detector(
        "refresh_reuse",
        "T1550.001",
        "a refresh token that was exchanged before is presented again",
        """
    WITH ended AS (
      SELECT f.id, f.user_id, f.client_id, f.session_id, f.revoked_at
      FROM authkit.oauth_token_families AS f
      WHERE f.revoked_at >= %(since)s AND f.revoked_at < %(until)s
        AND f.revoke_reason = %(reason)s
        AND EXISTS (SELECT FROM authkit.oauth_issued_tokens AS t
                    WHERE t.family_id = f.id AND t.kind = 'refresh'
                      AND t.rotated_at IS NOT NULL)
    ), refused AS (
      SELECT a.id, a.user_id, a.client_id, a.session_id, a.occurred_at
      FROM authkit.auth_attempts AS a
      WHERE a.occurred_at >= %(since)s AND a.occurred_at < %(until)s
        AND a.method = 'refresh_token' AND a.failure_reason = %(reason)s
    ), found AS (
      SELECT coalesce(e.user_id::text, e.client_id) AS key,
             (SELECT min(t.rotated_at) FROM authkit.oauth_issued_tokens AS t
              WHERE t.family_id = e.id AND t.kind = 'refresh') AS first_at,
             e.revoked_at AS last_at,
             -- The login that it began with, and what was refused of it; the tokens
             -- themselves where neither was logged.
             coalesce((SELECT array_agg(a.id ORDER BY a.occurred_at, a.id)
                       FROM authkit.auth_attempts AS a
                       WHERE a.session_id = e.session_id
                         AND a.user_id = e.user_id AND a.occurred_at < %(until)s),
                      (SELECT array_agg(t.id ORDER BY t.generation)
                       FROM authkit.oauth_issued_tokens AS t
                       WHERE t.family_id = e.id AND t.kind = 'refresh')) AS evidence
      FROM ended AS e
      UNION ALL
      SELECT coalesce(r.user_id::text, r.client_id, 'nobody'), r.occurred_at,
             r.occurred_at, ARRAY[r.id]
      FROM refused AS r
      WHERE NOT EXISTS (SELECT FROM ended AS e WHERE e.session_id = r.session_id)
    )
    SELECT key, least(first_at, last_at), last_at, true, evidence
    FROM found
    ORDER BY last_at, key
    """,
        (
            Parameter(
                "reason", "token-reused", "RFC 9700 section 4.14.2: any reuse counts"
            ),
        ),
    ),
)
