"""The rows that every stack works on, and pgbench: the server's own limit on them."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import psycopg

from authkit.errors import LabError
from authkit.hot import attempts, rate_limits, sessions
from authkit.hot.operation import AnyOperation

if TYPE_CHECKING:
    from authkit.lab import Lab

OPERATIONS: Final = ("validate", "touch", "attempt", "limiter")
USER: Final = UUID(int=0x70008000 << 64 | 1)
_SESSION: Final = 0x70009000 << 64
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
    FROM generate_series(1, %s::int) AS n
"""
_ATTEMPTS: Final = """
    INSERT INTO authkit.auth_attempts (occurred_at, id, subject_hash, outcome)
    SELECT clock_timestamp(), (lpad(to_hex(n), 12, '0') || repeat('7', 20))::uuid,
           sha256(n::text::bytea), 'failed'
    FROM generate_series(1, %s::int) AS n
"""
_LIMITS: Final = """
    INSERT INTO authkit.rate_limit_tracking (identifier, resource, policy)
    SELECT 'key:' || n, 'bench', 'bench' FROM generate_series(1, %s::int) AS n
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


def load(lab: Lab, sizes: Sizes) -> None:
    """Fill a migrated lab."""
    with psycopg.connect(lab.url(), autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(_USERS, (USER,))
        connection.execute(_SESSIONS, (sizes.sessions,))
        connection.execute(_ATTEMPTS, (sizes.attempts,))
        connection.execute(_LIMITS, (sizes.limits,))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def drawn(sizes: Sizes, operation: str, count: int, seed: int = 1) -> list[int]:
    """Return keys, some of them often: Zipf with exponent 1, beginning at 1."""
    keys = range(1, sizes.keys(operation) + 1)
    weights = list(accumulate(1 / key for key in keys))
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
        lab.url(),
    )
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _TPS.search(ran.stdout)
    if ran.returncode:
        words = ran.stderr.strip().rsplit("\n", 1)[-1]
        raise LabError(f"pgbench could not measure {operation}: {words}")
    # It gives no rate where nothing was done in time: on a machine that is overloaded.
    return 0.0 if found is None else float(found[1])
