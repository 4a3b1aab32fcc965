"""Counts in the database: what a score reads, and what a completed login moves.

Every value has a key, a digest of its facet and itself, so that a row is small and a
score is a fixed number of reads by key, however much history there is. Counts over
everybody are as they were last merged (`MERGE`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from authkit.hot import Intent, Operation
from authkit.hot.operation import AnyOperation
from authkit.risk.evidence import Count, Evidence, settled
from authkit.risk.features import FACETS, Features, facets

KEY_BYTES = 16
_APART = b"\x1f"


_AGENT = FACETS.index("user_agent")


@lru_cache(maxsize=65_536)
def keys(features: Features) -> list[bytes | None]:
    """Return the key of each facet's value, None where it is not known."""
    return [
        None if value is None else _key(facet, value)
        for facet, value in zip(FACETS, facets(features), strict=True)
    ]


def _key(facet: str, value: str) -> bytes:
    return sha256(facet.encode() + _APART + value.encode()).digest()[:KEY_BYTES]


@dataclass(slots=True)
class Counted:
    """The counters of one login; a place is that of `FACETS`, None is unknown."""

    n: int
    total: int
    users: int
    distinct: list[int]
    seen: list[int | None]
    everybody: list[int | None]
    networks: int
    countries: int

    def evidence(self) -> Evidence:
        """Return them as a model reads them."""
        agent = self.everybody[_AGENT] or self.seen[_AGENT]
        counts: list[Count] = []
        for place, facet in enumerate(FACETS):
            seen, everybody = self.seen[place], self.everybody[place]
            if seen is None or everybody is None:
                continue
            under = int(bool(agent))
            if facet == "asn":
                under = self.networks
            elif facet == "country":
                under = self.countries
            counts.append(Count(facet, seen, everybody, self.distinct[place], under))
        return settled(self.n, self.total, self.users, counts)


# One read by key for each value, never all that a user has: a join would read those.
EVIDENCE: Final = Operation(
    name="risk.evidence",
    sql="""
    WITH who AS MATERIALIZED (
      SELECT coalesce($1, (SELECT user_id FROM authkit.user_auth_cache
                           WHERE email_hash = $2)) AS user_id
    )
    SELECT
      coalesce((SELECT logins FROM authkit.risk_users
                WHERE user_id = who.user_id), 0) AS n,
      t.logins AS total, t.users, t.distinct_values AS distinct,
      ARRAY(SELECT CASE WHEN k.key IS NOT NULL THEN coalesce(
              (SELECT c.seen FROM authkit.risk_user_counts AS c
               WHERE c.user_id = who.user_id AND c.key = k.key), 0) END
            FROM unnest($3::bytea[]) AS k (key)) AS seen,
      ARRAY(SELECT CASE WHEN k.key IS NOT NULL THEN coalesce(
              (SELECT c.seen FROM authkit.risk_counts AS c WHERE c.key = k.key), 0) END
            FROM unnest($3::bytea[]) AS k (key)) AS everybody,
      coalesce(a.networks, 0) AS networks, coalesce(a.countries, 0) AS countries
    FROM who CROSS JOIN authkit.risk_totals AS t
    LEFT JOIN authkit.risk_counts AS a ON a.key = ($3::bytea[])[1]
    """,
    parameters=("user_id", "subject_hash", "facets"),
    types=("uuid", "bytea", "bytea[]"),
    row=Counted,
    intent=Intent.READ,
    idempotent=True,
)


@dataclass(slots=True)
class SqlScore:
    """S of `freeman2016`, computed by the server; None is unscored."""

    value: float | None
    n: int
    total: int
    users: int


# The weights come from the model, finest level first; facets 1 to 3 are the address's,
# 4 to 7 the browser's.
FREEMAN: Final = Operation(
    name="risk.freeman2016",
    sql="""
    WITH read AS MATERIALIZED (
      SELECT
        coalesce((SELECT logins FROM authkit.risk_users WHERE user_id = $1), 0) AS n,
        t.logins, t.users, t.distinct_values,
        ARRAY(SELECT CASE WHEN k.key IS NOT NULL THEN coalesce(
                (SELECT c.seen FROM authkit.risk_user_counts AS c
                 WHERE c.user_id = $1 AND c.key = k.key), 0) END
              FROM unnest($2::bytea[]) AS k (key)) AS seen,
        ARRAY(SELECT CASE WHEN k.key IS NOT NULL THEN coalesce(
                (SELECT c.seen FROM authkit.risk_counts AS c
                 WHERE c.key = k.key), 0) END
              FROM unnest($2::bytea[]) AS k (key)) AS everybody,
        ARRAY[1, coalesce(a.networks, 0), coalesce(a.countries, 0)]::bigint[] AS above
      FROM authkit.risk_totals AS t
      LEFT JOIN authkit.risk_counts AS a ON a.key = ($2::bytea[])[1]
    ), shaped AS MATERIALIZED (
      SELECT n, greatest(logins, n) AS total, greatest(users, 1) AS users, seen,
             everybody, distinct_values, above,
             least(greatest(everybody[4], seen[4], 0), 1) AS agent
      FROM read
    ), judged AS MATERIALIZED (
      SELECT n, total, users,
        CASE WHEN n > 0 THEN authkit.risk_freeman_ratio(
          $3, seen[1:3], everybody[1:3], distinct_values[1:3], above, n, total)
        END AS address,
        CASE WHEN n > 0 THEN authkit.risk_freeman_ratio(
          $4, seen[4:7], everybody[4:7], distinct_values[4:7],
          ARRAY[agent, agent, agent, agent], n, total)
        END AS agent
      FROM shaped
    )
    SELECT CASE WHEN address IS NOT NULL OR agent IS NOT NULL THEN
             total::float8 / (n::float8 * users)
             * coalesce(address, 1) * coalesce(agent, 1)
           END AS value, n, total, users
    FROM judged
    """,
    parameters=("user_id", "facets", "address_weights", "agent_weights"),
    types=("uuid", "bytea[]", "float8[]", "float8[]"),
    row=SqlScore,
    intent=Intent.READ,
    idempotent=True,
)

# The user's own row is locked first, so that logins of one user queue there. The last
# facet (`MOVED`) is kept of a login from an address that is new to its user.
LEARN: Final[Operation[None]] = Operation(
    name="risk.learn",
    sql="""
    WITH kept AS (
      INSERT INTO authkit.risk_logins (user_id, occurred_at, attempt_id, facets)
      SELECT $1, $2, $3, array_append(($4::bytea[])[1:13], CASE WHEN NOT EXISTS (
        SELECT FROM authkit.risk_user_counts AS c
        WHERE c.user_id = $1 AND c.key = ($4::bytea[])[1] AND c.seen > 0
      ) THEN ($4::bytea[])[14] END)
      ON CONFLICT DO NOTHING
      RETURNING user_id, facets
    ), counted AS (
      INSERT INTO authkit.risk_users AS u (user_id, logins)
      SELECT user_id, 1 FROM kept
      ON CONFLICT (user_id) DO UPDATE SET logins = u.logins + 1
      RETURNING user_id, (xmax = 0)::int AS fresh
    ), moved AS (
      INSERT INTO authkit.risk_user_counts AS c (user_id, key, seen)
      SELECT counted.user_id, k.key, 1
      FROM counted, kept, unnest(kept.facets) AS k (key)
      WHERE k.key IS NOT NULL
      ON CONFLICT (user_id, key) DO UPDATE SET seen = c.seen + 1
    )
    INSERT INTO authkit.risk_deltas (attempt_id, step, users, facets)
    SELECT $3, 1, fresh, kept.facets FROM counted, kept
    """,
    parameters=("user_id", "occurred_at", "attempt_id", "facets"),
    types=("uuid", "timestamptz", "uuid", "bytea[]"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)


@dataclass(slots=True)
class Moved:
    """How many logins were merged, or forgotten."""

    logins: int


MERGE: Final = Operation(
    name="risk.merge",
    sql="SELECT authkit.risk_merge($1) AS logins",
    parameters=("most",),
    types=("int8",),
    row=Moved,
    intent=Intent.WRITE,
    idempotent=False,
)
AGE: Final = Operation(
    name="risk.age",
    sql="SELECT authkit.risk_age($1, $2) AS logins",
    parameters=("before", "most"),
    types=("timestamptz", "int8"),
    row=Moved,
    intent=Intent.WRITE,
    idempotent=False,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (EVIDENCE, FREEMAN, LEARN, MERGE, AGE)
