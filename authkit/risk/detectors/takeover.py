"""Takeovers: a valid password from where its owner never was, or a no worn out."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, LiteralString

from authkit.risk.detectors.detector import Detector, Parameter
from authkit.risk.detectors.windows import sliding

_LAST = Parameter("last", 20, "the last 20 successes, as much as fits on a page")
_LEAST = Parameter("least", 1, "at a first login there is nothing to differ from")

_NEW: Final[LiteralString] = """
    WITH passed AS (
      SELECT a.user_id, a.occurred_at, a.id, <value> AS value,
             row_number() OVER (PARTITION BY a.user_id
                                ORDER BY a.occurred_at, a.id) AS place
      FROM authkit.auth_attempts AS a
      WHERE a.occurred_at < %(until)s AND a.outcome = 'succeeded'
        AND a.stage = 'primary' AND a.user_id IS NOT NULL
    ), compared AS (
      SELECT p.user_id, p.occurred_at, p.id, p.value, p.place,
             lag(p.place) OVER (PARTITION BY p.user_id, p.value
                                ORDER BY p.place) AS before
      FROM passed AS p
    )
    SELECT user_id::text, occurred_at, occurred_at, true, ARRAY[id]
    FROM compared
    WHERE occurred_at >= %(since)s AND value IS NOT NULL
      AND place > %(least)s
      AND (before IS NULL OR place - before > %(last)s)
    ORDER BY occurred_at, id
    """


def _new(value: LiteralString) -> LiteralString:
    """Return the statement: a success with a value that the last ones did not have."""
    return _NEW.replace("<value>", value)


TAKEOVER: tuple[Detector, ...] = (
    Detector(
        "new_device",
        "T1078",
        "a valid password from a device that the last successes did not have",
        _new("a.device_fingerprint"),
        (_LAST, Parameter("least", 0, "a device is registered at its first login")),
    ),
    Detector(
        "new_network",
        "T1078",
        "a valid password from a network that the last successes did not have",
        _new("a.asn"),
        (_LAST, _LEAST),
    ),
    Detector(
        "new_country",
        "T1078",
        "a valid password from a country that the last successes did not have",
        _new("a.country"),
        (_LAST, _LEAST),
    ),
    Detector(
        "concurrent_countries",
        "T1078",
        "one user in several countries at once",
        sliding(
            key="a.user_id",
            other="a.country",
            counted="a.outcome = 'succeeded' AND a.user_id IS NOT NULL"
            " AND a.country IS NOT NULL",
            condition="d.kinds >= %(countries)s",
            good="true",
        ),
        (
            Parameter("attempts", 2),
            Parameter("countries", 2),
            Parameter("span", timedelta(minutes=30)),
        ),
    ),
    Detector(
        "mfa_fatigue",
        "T1621",
        "one user says no to a second factor again and again",
        sliding(
            key="a.user_id",
            other="a.id",
            counted="a.stage = 'second_factor' AND a.outcome = 'denied'"
            " AND a.user_id IS NOT NULL",
            condition="true",
            good="a.stage = 'second_factor' AND a.outcome = 'succeeded'",
        ),
        (
            Parameter("attempts", 5),
            Parameter("span", timedelta(minutes=10)),
        ),
    ),
    Detector(
        "dormant_account",
        "T1078",
        "a valid password for an account that nobody has used for long",
        """
    WITH passed AS (
      SELECT a.user_id, a.occurred_at, a.id,
             coalesce(lag(a.occurred_at) OVER (PARTITION BY a.user_id
                                               ORDER BY a.occurred_at, a.id),
                      u.created_at) AS before
      FROM authkit.auth_attempts AS a JOIN authkit.users AS u ON u.id = a.user_id
      WHERE a.occurred_at < %(until)s AND a.outcome = 'succeeded'
        AND a.stage = 'primary'
    )
    SELECT user_id::text, before, occurred_at, true, ARRAY[id]
    FROM passed
    WHERE occurred_at >= %(since)s AND occurred_at - before >= %(unused)s
    ORDER BY occurred_at, id
    """,
        (
            Parameter(
                "unused",
                timedelta(days=90),
                "NIST SP 800-53 AC-2(3) leaves the period to the organisation",
            ),
        ),
    ),
    Detector(
        "listed_address",
        "T1090",
        "an attempt from a network on the operator's own list",
        """
    SELECT host(a.ip), min(a.occurred_at), max(a.occurred_at),
           bool_or(a.outcome = 'succeeded'), array_agg(a.id ORDER BY a.occurred_at)
    FROM authkit.auth_attempts AS a
    WHERE a.occurred_at >= %(since)s AND a.occurred_at < %(until)s
      AND a.ip <<= ANY (%(networks)s::inet[])
    GROUP BY a.ip
    ORDER BY min(a.occurred_at), a.ip
    """,
        (Parameter("networks", [], "given by the operator"),),
    ),
)
