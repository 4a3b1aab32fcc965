"""The rows that every stack works on, and pgbench: the server's own limit on them."""

from __future__ import annotations

import random
import re
import subprocess
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import psycopg

from authkit.errors import LabError
from authkit.harness.drills.progress import Progress, silent
from authkit.hot import attempts, rate_limits, sessions
from authkit.hot.operation import AnyOperation
from authkit.lab import Lab
from authkit.lab.configuration import DATABASE

OPERATIONS: Final = ("validate", "touch", "attempt", "limiter")
USER: Final = UUID(int=0x70008000 << 64 | 1)
_SESSION: Final = 0x70009000 << 64
STEP: Final = 250_000
_TPS: Final = re.compile(r"tps = ([0-9.]+)")

_USERS: Final = """
    INSERT INTO authkit.users (id, email) VALUES (%s, 'bench@example.com')
"""
_SESSIONS: Final = """
    INSERT INTO authkit.active_sessions (
      id, token_digest, user_id, methods, ip, user_agent, idle_timeout, expires_at)
    SELECT ('00000000-7000-9000-0000-' || lpad(to_hex(n), 12, '0'))::uuid,
           sha256(lpad(n::text, 43, '0')::bytea),
           ('00000000-7000-8000-0000-' || lpad(to_hex(mod(n, 10007)), 12, '0'))::uuid,
           '{pwd}', '192.0.2.1', 'Mozilla/5.0', '20 days', now() + interval '30 days'
    FROM generate_series(%s::int, %s::int) AS n
"""
_ATTEMPTS: Final = """
    INSERT INTO authkit.auth_attempts (occurred_at, id, subject_hash, outcome)
    SELECT clock_timestamp(), (lpad(to_hex(n), 12, '0') || repeat('7', 20))::uuid,
           sha256(n::text::bytea), 'failed'
    FROM generate_series(%s::int, %s::int) AS n
"""
_LIMITS: Final = """
    INSERT INTO authkit.rate_limit_tracking (identifier, resource, policy)
    SELECT 'key:' || n, 'bench', 'bench' FROM generate_series(%s::int, %s::int) AS n
"""
# Each index of the sessions: how it is dropped, and how it is made again.
_INDEXES: Final = """
    SELECT coalesce(
             'ALTER TABLE authkit.active_sessions DROP CONSTRAINT '
               || quote_ident(c.conname),
             'DROP INDEX authkit.' || quote_ident(r.relname)),
           coalesce(
             'ALTER TABLE authkit.active_sessions ADD CONSTRAINT '
               || quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid),
             pg_get_indexdef(i.indexrelid))
    FROM pg_index AS i
    JOIN pg_class AS r ON r.oid = i.indexrelid
    LEFT JOIN pg_constraint AS c
      ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid
    WHERE i.indrelid = 'authkit.active_sessions'::regclass
"""

# What each parameter is for pgbench: the key is drawn by it, the rest is fixed.
_ARRIVES: Final = (
    "(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::int8), 12, '0')"
    " || '7' || substr(md5(random()::text), 1, 3)"
    " || '8' || substr(md5(random()::text), 1, 15))::uuid"
)
_GIVEN: Final[Mapping[str, Mapping[str, str]]] = {
    "validate": {"token_digest": "sha256(lpad(:key::text, 43, '0')::bytea)"},
    "touch": {
        "id": "('00000000-7000-9000-0000-' || lpad(to_hex(:key::int8), 12, '0'))::uuid",
        "every": "interval '0'",
    },
    "attempt": {
        "id": _ARRIVES,
        "subject_hash": "sha256(:key::text::bytea)",
        "ip": "inet '192.0.2.1'",
        "user_agent": "'Mozilla/5.0'",
        "stage": "'primary'",
        "method": "'password'",
        "outcome": "'failed'",
    },
    "limiter": {
        "identifier": "('key:' || :key::text)",
        "resource": "'bench'",
        "policy": "'bench'",
        "increment": "interval '1 second'",
        "tolerance": "interval '20 seconds'",
    },
}
SINGLE: Final[Mapping[str, AnyOperation]] = {
    "validate": sessions.VALIDATE,
    "touch": sessions.TOUCH,
    "attempt": attempts.RECORD,
    "limiter": rate_limits.CHECK,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows there are; keys are drawn with Zipf's law, exponent 1."""

    sessions: int = 1_000_000
    attempts: int = 1_000_000
    limits: int = 100_000

    def keys(self, operation: str) -> int:
        """Return how many keys an operation draws from."""
        return self.limits if operation == "limiter" else self.sessions


def load(url: str, sizes: Sizes, progress: Progress = silent) -> None:
    """Fill a migrated database.

    Args:
        url: of a superuser.
        sizes: how many rows.
        progress: told of each part.
    """
    tables = (
        (_SESSIONS, sizes.sessions),
        (_ATTEMPTS, sizes.attempts),
        (_LIMITS, sizes.limits),
    )
    total, done = sum(count for _, count in tables), 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(_USERS, (USER,))
        for sql, count in tables:
            for first in range(1, count + 1, STEP):
                last = min(first + STEP - 1, count)
                connection.execute(sql.encode(), (first, last))
                done += last - first + 1
                progress("loading", done, total)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def grow(url: str, count: int, to: int, progress: Progress = silent) -> None:
    """Add sessions to those of `load`.

    The indexes are dropped meanwhile and built of everything at the end: keys that come
    in no order would fetch a page each.

    Args:
        url: of a superuser.
        count: how many there are.
        to: how many there shall be.
        progress: told of every step.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '256MB'")
        found = [
            (str(drop).encode(), str(make).encode())
            for drop, make in connection.execute(_INDEXES).fetchall()
        ]
        for drop, _ in found:
            connection.execute(drop)
        steps = range(count + 1, to + 1, STEP)
        total = len(steps) + len(found)
        for done, first in enumerate(steps, start=1):
            connection.execute(_SESSIONS, (first, min(first + STEP - 1, to)))
            progress("growing", done, total)
        for done, (_, make) in enumerate(found, start=len(steps) + 1):
            connection.execute(make)
            progress("growing", done, total)
        connection.execute("VACUUM ANALYZE authkit.active_sessions")
        connection.execute("CHECKPOINT")


def by_socket(lab: Lab, *, database: str = DATABASE) -> str:
    """Return the URL of a lab's primary by its Unix socket.

    A socket of the loopback network costs the client a third more for each call, and
    every stack the same: it would hide what the stacks themselves cost.
    """
    server = lab.server("primary")
    login = lab.url().rpartition("@")[0]
    where = urlencode({"host": str(server.sockets), "port": server.port})
    return f"{login}@/{database}?{where}"


def drawn(sizes: Sizes, operation: str, count: int, seed: int = 1) -> list[int]:
    """Return keys, some of them often: Zipf with exponent 1, beginning at 1."""
    keys = range(1, sizes.keys(operation) + 1)
    weights = array("d", accumulate(1 / key for key in keys))
    return random.Random(seed).choices(keys, cum_weights=weights, k=count)  # noqa: S311 # a benchmark, no secret


def token(key: int) -> str:
    """Return the token of a session."""
    return str(key).rjust(43, "0")


def session_id(key: int) -> UUID:
    """Return the id of a session."""
    return UUID(int=_SESSION | key)


def script(operation: str, sizes: Sizes) -> str:
    """Write pgbench's script: the very statement of the hot path."""
    single, given = SINGLE[operation], _GIVEN[operation]
    sql = single.sql
    numbered = list(zip(single.parameters, single.types, strict=True))
    for place in range(len(numbered), 0, -1):
        name, kind = numbered[place - 1]
        sql = re.sub(
            rf"\${place}(::\w+)?\b", f"({given.get(name, 'NULL')})::{kind}", sql
        )
    one_line = " ".join(sql.split())
    return f"\\set key random_zipfian(1, {sizes.keys(operation)}, 1.001)\n{one_line};\n"


def pgbench(
    lab: Lab, folder: Path, operation: str, clients: int, seconds: float, sizes: Sizes
) -> float:
    """Return transactions a second at so many clients, statements prepared.

    Raises:
        LabError: pgbench failed; its last words are in the message.
    """
    path = folder / f"{operation}.sql"
    path.write_text(script(operation, sizes), encoding="utf-8")
    program = lab.server("primary").programs.path("pgbench")
    command: Sequence[str] = (
        *(str(program), "-n", "-M", "prepared", "-f", str(path)),
        *("-c", str(clients), "-j", str(min(clients, 2)), "-T", str(round(seconds))),
        by_socket(lab),
    )
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _TPS.search(ran.stdout)
    if ran.returncode:
        words = ran.stderr.strip().rsplit("\n", 1)[-1]
        raise LabError(f"pgbench could not measure {operation}: {words}")
    # It gives no rate where nothing was done in time: on a machine that is overloaded.
    return 0.0 if found is None else float(found[1])
