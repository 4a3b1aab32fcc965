"""Sliding windows over attempts, as SQL: what counts, by what key, what is too much.

A window ends at every attempt and reaches `span` back. Windows that fulfil the
condition and touch are one finding, with the attempts of all of them.
"""

from __future__ import annotations

from typing import Final, LiteralString

# How many distinct first and second words there are of what is told apart.
FIRSTS: Final[LiteralString] = """(SELECT count(DISTINCT split_part(o.other, ' ', 1))
                FROM unnest(f.others) AS o (other))"""
SECONDS: Final[LiteralString] = """(SELECT count(DISTINCT split_part(o.other, ' ', 2))
                FROM unnest(f.others) AS o (other))"""
_TEMPLATE: Final[LiteralString] = """
    WITH counted AS (
      SELECT (<key>)::text AS key, (<other>)::text AS other, a.occurred_at, a.id
      FROM authkit.auth_attempts AS a
      WHERE a.occurred_at >= %(since)s AND a.occurred_at < %(until)s
        AND (<counted>) AND (<key>) IS NOT NULL
    ), framed AS (
      SELECT key, occurred_at, count(*) OVER w AS attempts,
             array_agg(other) OVER w AS others, array_agg(id) OVER w AS ids
      FROM counted
      WINDOW w AS (PARTITION BY key ORDER BY occurred_at
                   RANGE BETWEEN %(span)s::interval PRECEDING AND CURRENT ROW)
    ), hits AS (
      SELECT f.key, f.occurred_at, f.ids
      FROM framed AS f CROSS JOIN LATERAL (
        SELECT count(*) AS kinds, count(*) FILTER (WHERE n BETWEEN 2 AND 8) AS few,
               count(*) FILTER (WHERE n <= 2) AS rare
        FROM (SELECT count(*) AS n FROM unnest(f.others) AS o (other)
              GROUP BY o.other) AS each
      ) AS d
      WHERE f.attempts >= %(attempts)s AND (<condition>)
    ), marked AS (
      SELECT key, occurred_at, ids,
             occurred_at - lag(occurred_at) OVER (PARTITION BY key ORDER BY occurred_at)
               <= %(span)s::interval AS goes_on
      FROM hits
    ), islands AS (
      SELECT key, occurred_at, ids,
             count(*) FILTER (WHERE goes_on IS NOT TRUE)
               OVER (PARTITION BY key ORDER BY occurred_at) AS island
      FROM marked
    ), found AS (
      SELECT i.key, min(c.occurred_at) AS first_at, max(i.occurred_at) AS last_at,
             array_agg(DISTINCT e.id) AS evidence
      FROM islands AS i CROSS JOIN LATERAL unnest(i.ids) AS e (id)
      JOIN counted AS c ON c.id = e.id
      GROUP BY i.key, i.island
    )
    SELECT f.key, f.first_at, f.last_at, EXISTS (
             SELECT FROM authkit.auth_attempts AS a
             WHERE a.occurred_at BETWEEN f.first_at AND f.last_at + %(span)s::interval
               AND (<good>) AND (<key>)::text = f.key) AS critical,
           f.evidence
    FROM found AS f
    ORDER BY f.first_at, f.key
    """


def sliding(
    *,
    key: LiteralString,
    other: LiteralString,
    counted: LiteralString,
    condition: LiteralString,
    good: LiteralString,
) -> LiteralString:
    """Return the statement of a detector.

    Args:
        key: what a window is about, of an attempt `a`.
        other: what is told apart in it: `kinds` are the distinct ones, `few` those
            with 2 to 8 attempts, `rare` those with at most 2.
        counted: which attempts count.
        condition: over `attempts`, `kinds`, `few`, `rare`, and `FIRSTS` and `SECONDS`
            where two things are told apart, with a space between.
        good: what an attempt of the same key must be to make a finding critical.
    """
    return (
        _TEMPLATE.replace("<counted>", counted)
        .replace("<condition>", condition)
        .replace("<good>", good)
        .replace("<other>", other)
        .replace("<key>", key)
    )
