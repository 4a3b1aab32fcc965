"""Counters as millions of logins leave them, made by the server itself.

How often people log in is log-normal: the median of five logins a user at ten on
average, the 99th percentile about fifteen times that, as in public login data. Each has
a home network with a few addresses, now and then another one, and up to three browsers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg

from authkit.errors import InvalidInput
from authkit.risk import features
from authkit.risk.counters import keys
from authkit.risk.features import (
    AGENT,
    FACETS,
    MOVED,
    NETWORK,
    ON_DEVICE,
    ON_SYSTEM,
    Features,
)
from authkit.risk.recount import recount

Progress = Callable[[str, int, int], None]

# What a standing lab holds of another one is not measured as if it were this one's.
FILLING: Final = 3
_NETWORKS: Final = 5_000
_VERSIONS: Final = range(80, 145)
_SYSTEMS: Final = (
    "(Windows NT 10.0; Win64; x64)",
    "(Macintosh; Intel Mac OS X 10_15_7)",
    "(X11; Linux x86_64)",
    "(Linux; Android 14; K)",
    "(Linux; Android 10; K)",
)
_COUNTRIES: Final = ("NO", "SE", "DK", "FI", "DE", "NL", "GB", "FR", "PL", "US", "BR")
_HOUR_US: Final = 3_600_000_000
_SOME: Final = "192.0.2.1"  # a network's key of new addresses needs an address, any
# What a network and a browser tell of a login, in the order of the tables' columns.
_OF_NETWORK: Final = ("asn", "country", NETWORK, MOVED)
_OF_AGENT: Final = (*AGENT, ON_SYSTEM, ON_DEVICE)
_PART: Final = 50_000  # people in one statement: what progress is told of

_TABLES: Final[LiteralString] = """
    CREATE SCHEMA IF NOT EXISTS authkit_bench;
    DROP TABLE IF EXISTS authkit_bench.people, authkit_bench.networks,
        authkit_bench.agents;
    CREATE UNLOGGED TABLE authkit_bench.people (
        number integer PRIMARY KEY, id uuid, logins integer, network integer,
        base bigint, agent integer);
    CREATE UNLOGGED TABLE authkit_bench.networks (
        number integer PRIMARY KEY, asn bigint, country text,
        of_asn bytea, of_country bytea, of_network bytea, of_moved bytea);
    CREATE UNLOGGED TABLE authkit_bench.agents (
        number integer PRIMARY KEY, user_agent text, of_agent bytea,
        of_browser bytea, of_system bytea, of_device bytea,
        of_browser_on_system bytea, of_system_on_device bytea)
    """
# For all of them: `recount` deletes what is in the others, row by row.
_EMPTY: Final[LiteralString] = """
    TRUNCATE authkit.risk_logins, authkit.risk_users, authkit.risk_user_counts,
        authkit.risk_counts, authkit.risk_pairs, authkit.risk_deltas
    """
# Box and Muller's way to a normal deviate; ids in order, as UUIDv7 are.
_PEOPLE: Final[LiteralString] = """
    INSERT INTO authkit_bench.people
    SELECT n, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
           1 + floor(%(median)s * exp(1.17 * sqrt(-2 * ln(1 - random()))
                                      * cos(2 * pi() * random()))),
           floor(random() ^ 2 * %(networks)s), floor(random() * 60000),
           floor(random() ^ 2 * %(agents)s)
    FROM generate_series(1, %(users)s) AS n
    """
_DRAWN: Final[LiteralString] = """
    FROM authkit_bench.people AS p CROSS JOIN LATERAL <times> AS s (n)
    CROSS JOIN LATERAL (  -- of each login: without `s` it would be drawn once a user
      SELECT CASE WHEN random() < 0.08 + 0 * s.n
                  THEN floor(random() * %(networks)s)::integer
                  ELSE p.network END AS network,
             p.base + floor(random() ^ 2 * (1 + p.logins / 3)) AS host,
             (p.agent + floor(random() ^ 3 * 3)::integer) %% %(agents)s AS agent,
             mod(p.base + floor(random() * 10)::bigint, 24)::integer AS hour
    ) AS d
    CROSS JOIN LATERAL (
      SELECT host('16.0.0.0'::inet + (d.network * 65536::bigint
                                      + mod(d.host::bigint, 65536))) AS ip
    ) AS a
    JOIN authkit_bench.networks AS l ON l.number = d.network
    JOIN authkit_bench.agents AS g ON g.number = d.agent
    """
# The key of a value, as `counters.keys` makes it.
_KEYED: Final[LiteralString] = (
    "substr(sha256(convert_to('<facet>' || chr(31) || <value>, 'UTF8')), 1, 16)"
)
_IP: Final[LiteralString] = _KEYED.replace("<facet>", "ip").replace("<value>", "ip")
_PREFIX: Final[LiteralString] = _KEYED.replace("<facet>", "prefix").replace(
    "<value>", "network(set_masklen(ip::inet, 24))::text"
)
# In the order of `FACETS`; the last one is kept of an address that is new to its user.
# People come within ten hours of the day, each at their own. `gen_random_uuid` would
# take as long as all the rest.
_KEPT: Final[LiteralString] = """
    INSERT INTO authkit.risk_logins (user_id, occurred_at, attempt_id, facets)
    SELECT id, at, md5(number || '/' || n)::uuid,
           ARRAY[<ip>, of_asn, of_country, of_agent, of_browser, of_system, of_device,
                 of_network, of_browser_on_system, of_system_on_device, <prefix>,
                 (%(hours)s::bytea[])[1 + hour], (%(between)s::bytea[])[1 + hour],
                 CASE WHEN row_number() OVER (
                   PARTITION BY number, network, host ORDER BY at) = 1
                 THEN of_moved END]
    FROM (SELECT p.number, p.id, s.n, d.network, d.host, d.hour, a.ip, l.of_asn,
                 l.of_country, l.of_network, l.of_moved, g.of_agent, g.of_browser,
                 g.of_system, g.of_device, g.of_browser_on_system,
                 g.of_system_on_device,
                 date_trunc('day', now(), 'UTC') - interval '1 day'
                   * (1 + floor(random() * 180)) + interval '1 hour' * d.hour AS at
    """
_LOGINS: Final[LiteralString] = (
    _KEPT.replace("<ip>", _IP).replace("<prefix>", _PREFIX)
    + _DRAWN.replace("<times>", "generate_series(1, p.logins)")
    + """
          WHERE p.number > %(after)s AND p.number <= %(upto)s) AS drawn
    """
)
_SAMPLE: Final[LiteralString] = (
    "SELECT p.id, a.ip, l.asn, l.country, g.user_agent"
    + _DRAWN.replace("<times>", "generate_series(1, 1)")
    + " WHERE p.number = ANY (%(numbers)s)"
)


@dataclass(frozen=True, slots=True)
class Size:
    """How many completed logins the counters hold, about, and of how many users."""

    attempts: int
    users: int

    def __post_init__(self) -> None:
        if not 1 <= self.users <= self.attempts:
            raise InvalidInput("there are at least as many attempts as users, and one")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One login to score."""

    user_id: UUID
    ip: str
    asn: int
    country: str
    user_agent: str


def fill(
    connection: psycopg.Connection[Any], size: Size, progress: Progress, name: str
) -> int:
    """Fill a migrated database with counters of a size; returns the exact logins.

    The counts are made by the same statements as those of `authkit risk rebuild`.
    """
    agents = _agents()
    given: dict[str, object] = {"networks": _NETWORKS, "agents": len(agents)}
    with connection.transaction():
        connection.execute("SET LOCAL work_mem = '256MB'")
        connection.execute("SET LOCAL synchronous_commit = off")
        connection.execute(_TABLES)
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO authkit_bench.networks VALUES (%s, %s, %s, %s, %s, %s, %s)",
            _networks(),
        )
        cursor.executemany(
            "INSERT INTO authkit_bench.agents VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            agents,
        )
        # The mean over the median is 1.98; half a login is lost to `floor`.
        median = max(0.0, size.attempts / size.users - 0.45) / 1.98
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_PEOPLE, {**given, "median": median, "users": size.users})
        connection.execute("ANALYZE authkit_bench.people, authkit_bench.networks")
        connection.execute(_EMPTY)
        given.update(hours=_windows("hours"), between=_windows("hours_between"))
        for after in range(0, size.users, _PART):
            upto = min(after + _PART, size.users)
            connection.execute(_LOGINS, {**given, "after": after, "upto": upto})
            progress(f"{name}: users", upto, size.users)
        recount(
            connection, lambda _, done, whole: progress(f"{name}: counts", done, whole)
        )
    connection.execute("VACUUM ANALYZE authkit.risk_logins, authkit.risk_users")
    connection.execute("VACUUM ANALYZE authkit.risk_user_counts, authkit.risk_counts")
    connection.execute("VACUUM ANALYZE authkit.risk_pairs")
    return counted(connection)


def counted(connection: psycopg.Connection[Any]) -> int:
    """Return how many logins a database's counters hold."""
    row = connection.execute("SELECT logins FROM authkit.risk_totals").fetchone()
    return 0 if row is None else int(row[0])


def draw(
    connection: psycopg.Connection[Any], size: Size, numbers: list[int]
) -> list[Drawn]:
    """Return logins of the users of these numbers, drawn as the kept ones were."""
    given = {
        "networks": _NETWORKS,
        "agents": len(_agents()),
        "numbers": [1 + number % size.users for number in numbers],
    }
    return [Drawn(*row) for row in connection.execute(_SAMPLE, given)]


def _networks() -> Iterator[tuple[object, ...]]:
    for number in range(_NETWORKS):
        asn, country = 64_512 + number, _COUNTRIES[number % len(_COUNTRIES)]
        found = features(_SOME, asn, country, None)
        yield number, asn, country, *_keys(found, *_OF_NETWORK)


def _agents() -> list[tuple[object, ...]]:
    made = [
        f"Mozilla/5.0 {system} AppleWebKit/537.36 (KHTML, like Gecko)"
        f" Chrome/{version}.0.0.0 Safari/537.36"
        for version in reversed(_VERSIONS)
        for system in _SYSTEMS
    ]
    return [
        (number, agent, *_keys(features(None, None, None, agent), *_OF_AGENT))
        for number, agent in enumerate(made)
    ]


def _windows(facet: str) -> list[bytes | None]:
    """Return the key of one grid of the day for each hour."""
    at = (hour * _HOUR_US for hour in range(24))
    return [_keys(features(None, None, None, None, us), facet)[0] for us in at]


def _keys(found: Features, *names: str) -> list[bytes | None]:
    made = keys(found)
    return [made[FACETS.index(name)] for name in names]
