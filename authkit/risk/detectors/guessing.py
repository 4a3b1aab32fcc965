"""Guessing: many passwords for one account, a few for many, leaked pairs, codes."""

from __future__ import annotations

from datetime import timedelta
from typing import LiteralString

from authkit.risk.detectors.detector import Detector, Parameter
from authkit.risk.detectors.windows import FIRSTS, SECONDS, sliding

_OWASP = "OWASP Authentication Cheat Sheet: lock after about ten failures"
_TEN = Parameter("attempts", 10, _OWASP)
# A success from an address of the finding.
_THEIRS: LiteralString = """a.outcome = 'succeeded' AND a.stage = 'primary'
               AND EXISTS (
                 SELECT FROM authkit.auth_attempts AS e
                 WHERE e.id = ANY (f.evidence)
                   AND e.occurred_at BETWEEN f.first_at AND f.last_at
                   AND e.ip = a.ip)"""

GUESSING: tuple[Detector, ...] = (
    Detector(
        "brute_force",
        "T1110.001",
        "many wrong passwords for one name from one address",
        sliding(
            key="encode(a.subject_hash, 'hex') || ' ' || host(a.ip)",
            other="a.ip",
            counted="a.outcome IN ('failed', 'denied') AND a.stage = 'primary'",
            condition="true",
            good="a.outcome = 'succeeded'",
        ),
        (_TEN, Parameter("span", timedelta(minutes=15))),
    ),
    Detector(
        "distributed_brute_force",
        "T1110.001",
        "many wrong passwords for one name from many addresses",
        sliding(
            key="encode(a.subject_hash, 'hex')",
            other="a.ip",
            counted="a.outcome IN ('failed', 'denied') AND a.stage = 'primary'",
            condition="d.kinds >= %(addresses)s",
            good="a.outcome = 'succeeded'",
        ),
        (
            _TEN,
            Parameter("addresses", 5),
            Parameter("span", timedelta(minutes=30)),
        ),
    ),
    Detector(
        "password_spray",
        "T1110.003",
        "a few passwords for many names from one address",
        sliding(
            key="host(a.ip)",
            other="encode(a.subject_hash, 'hex')",
            counted="a.outcome IN ('failed', 'denied') AND a.stage = 'primary'",
            condition="d.few >= %(users)s",
            good="a.outcome = 'succeeded'",
        ),
        (
            Parameter("attempts", 15),
            Parameter("users", 5),
            Parameter("span", timedelta(minutes=5)),
        ),
    ),
    Detector(
        "distributed_spray",
        "T1110.003",
        "a few passwords for many names from many addresses that share the work",
        sliding(
            key="'everybody'",
            other="host(a.ip) || ' ' || encode(a.subject_hash, 'hex')",
            counted="""a.outcome IN ('failed', 'denied') AND a.stage = 'primary'
              AND a.user_id IS NOT NULL AND EXISTS (
                SELECT FROM authkit.auth_attempts AS b
                WHERE b.ip = a.ip AND b.user_id <> a.user_id
                  AND b.outcome IN ('failed', 'denied') AND b.stage = 'primary'
                  AND b.occurred_at BETWEEN a.occurred_at - %(span)s::interval
                                        AND a.occurred_at + %(span)s::interval)""",
            condition=FIRSTS + " >= %(addresses)s AND " + SECONDS + " >= %(users)s",
            good=_THEIRS,
        ),
        (
            Parameter("attempts", 25),
            Parameter("addresses", 5),
            Parameter("users", 8),
            Parameter("span", timedelta(minutes=15)),
        ),
    ),
    Detector(
        "credential_stuffing",
        "T1110.004",
        "leaked pairs of name and password, once or twice each, from one address",
        sliding(
            key="host(a.ip)",
            other="encode(a.subject_hash, 'hex')",
            counted="a.stage = 'primary'",
            condition="d.rare >= %(users)s",
            good="a.outcome = 'succeeded'",
        ),
        (
            Parameter("attempts", 25),
            Parameter("users", 15),
            Parameter("span", timedelta(minutes=15)),
        ),
    ),
    Detector(
        "distributed_stuffing",
        "T1110.004",
        "leaked pairs, once or twice each, from addresses that share the work",
        sliding(
            key="'everybody'",
            other="encode(a.subject_hash, 'hex')",
            counted="""a.outcome IN ('failed', 'denied') AND a.stage = 'primary'
              AND (SELECT count(DISTINCT b.subject_hash)
                FROM authkit.auth_attempts AS b
                WHERE b.ip = a.ip
                  AND b.outcome IN ('failed', 'denied') AND b.stage = 'primary'
                  AND b.occurred_at BETWEEN a.occurred_at - %(span)s::interval
                                        AND a.occurred_at + %(span)s::interval)
                >= %(each)s""",
            condition="d.rare >= %(users)s",
            good=_THEIRS,
        ),
        (
            Parameter("attempts", 25),
            Parameter("users", 15),
            Parameter("each", 4),
            Parameter("span", timedelta(minutes=15)),
        ),
    ),
    Detector(
        "totp_guessing",
        "T1110.001",
        "many wrong one-time codes for one user, over many logins",
        sliding(
            key="a.user_id",
            # A code is asked for before there is a session: its login is then the
            # accepted password before it.
            other="""coalesce(a.session_id, (
                SELECT b.id FROM authkit.auth_attempts AS b
                WHERE b.user_id = a.user_id AND b.stage = 'primary'
                  AND b.outcome = 'succeeded' AND b.occurred_at <= a.occurred_at
                  AND b.occurred_at > a.occurred_at - interval '1 hour'
                ORDER BY b.occurred_at DESC, b.id DESC LIMIT 1), a.id)""",
            counted="a.method = 'totp' AND a.outcome = 'failed'"
            " AND a.user_id IS NOT NULL",
            condition="d.kinds >= %(sessions)s",
            good="a.method = 'totp' AND a.outcome = 'succeeded'",
        ),
        (
            Parameter("attempts", 20),
            Parameter("sessions", 10),
            Parameter("span", timedelta(minutes=9)),
        ),
    ),
)
