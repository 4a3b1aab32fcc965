"""Impossible travel: two successes further apart than anybody could have gone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg

from authkit.risk.detectors.detector import Detector, Parameter
from authkit.risk.networks import Networks
from authkit.risk.places import PLACES


def places(known: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return degrees north and east by country or address, as a parameter is given."""
    return [f"{name} {north} {east}" for name, (north, east) in known.items()]


_SEEN: Final[LiteralString] = """
    SELECT DISTINCT host(a.ip) FROM authkit.auth_attempts AS a
    WHERE a.occurred_at >= %s AND a.occurred_at < %s
      AND a.outcome = 'succeeded' AND a.user_id IS NOT NULL AND a.ip IS NOT NULL
    """


def located(
    connection: psycopg.Connection[Any],
    networks: Networks,
    since: datetime,
    until: datetime,
) -> list[str]:
    """Return the addresses of successes that the operator's city data place.

    Raises:
        ConfigError: a file of it cannot be read.
    """
    if not networks.has_cities:
        return []
    known: dict[str, tuple[float, float]] = {}
    for (ip,) in connection.execute(_SEEN, (since, until)):
        place = networks.look(ip).place
        if place is not None:
            known[ip] = place
    return places(known)


# Neighbours in time are compared; what nobody can place is not there. The distance is
# that of the haversine formula on a sphere of 6,371 km.
_SQL: Final[LiteralString] = """
    WITH countries AS MATERIALIZED (
      SELECT split_part(p, ' ', 1) AS code, split_part(p, ' ', 2)::float8 AS north,
             split_part(p, ' ', 3)::float8 AS east
      FROM unnest(%(places)s::text[]) AS p
    ), located AS MATERIALIZED (
      SELECT split_part(p, ' ', 1)::inet AS ip, split_part(p, ' ', 2)::float8 AS north,
             split_part(p, ' ', 3)::float8 AS east
      FROM unnest(%(located)s::text[]) AS p
    ), passed AS (
      SELECT a.user_id, a.occurred_at, a.id,
             radians(coalesce(l.north, c.north)) AS north,
             radians(coalesce(l.east, c.east)) AS east
      FROM authkit.auth_attempts AS a
      LEFT JOIN located AS l ON l.ip = a.ip
      LEFT JOIN countries AS c ON c.code = a.country
      WHERE a.occurred_at >= %(since)s AND a.occurred_at < %(until)s
        AND a.outcome = 'succeeded' AND a.user_id IS NOT NULL
        AND (l.ip IS NOT NULL OR c.code IS NOT NULL)
    ), pairs AS (
      SELECT user_id, occurred_at, id, north, east,
             lag(occurred_at) OVER w AS left_at, lag(id) OVER w AS left_id,
             lag(north) OVER w AS from_north, lag(east) OVER w AS from_east
      FROM passed
      WINDOW w AS (PARTITION BY user_id ORDER BY occurred_at, id)
    ), measured AS (
      SELECT user_id, occurred_at, id, left_at, left_id,
             greatest(extract(epoch FROM occurred_at - left_at), 1) / 3600 AS hours,
             2 * 6371 * asin(sqrt(least(1, sin((north - from_north) / 2) ^ 2
               + cos(north) * cos(from_north) * sin((east - from_east) / 2) ^ 2))) AS km
      FROM pairs
      WHERE left_at IS NOT NULL
    )
    SELECT user_id::text, left_at, occurred_at, true, ARRAY[left_id, id]
    FROM measured
    WHERE km >= %(km)s AND km / hours > %(km_per_hour)s
    ORDER BY occurred_at, id
    """

TRAVEL: tuple[Detector, ...] = (
    Detector(
        "impossible_travel",
        "T1078",
        "two successes of one user that no journey joins",
        _SQL,
        (
            Parameter("km", 500, "far above the error of address databases"),
            Parameter(
                "km_per_hour", 800, "an airliner, with the way to and from the airport"
            ),
            Parameter(
                "places", places(PLACES), "The World Factbook: one point per country"
            ),
            Parameter("located", [], "addresses by the operator's own city data"),
        ),
    ),
)
