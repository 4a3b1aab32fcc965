"""Parameters for every operation, drawn from a seeded database.

A parameter is drawn by its name, or else by its type; an operation whose parameters
belong together, or mean something of their own, has an entry in `TOGETHER`. The same
database, seed and `until` draw the same parameters, ids and digests included.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection

from authkit.hot._sync import statement
from authkit.hot.operation import AnyOperation
from authkit.hot.registry import BY_NAME as BY_OPERATION

Values = Mapping[str, Any]
_KEPT = 32


class Samples:
    """Draws parameters; the pools are read once.

    `until` is where the seeded attempts end: now, unless the caller knows better.
    """

    def __init__(
        self, connection: Connection[Any], *, until: datetime | None = None
    ) -> None:
        self._connection = connection
        self.until = until or datetime.now(UTC)
        self._ids = 0
        self._last = ""
        self._kept: list[Values] = []
        self.random = random.Random(1)  # noqa: S311 # a benchmark, no secret

        def column(sql: str) -> list[Any]:
            return [row[0] for row in connection.execute(sql).fetchall()]  # pyright: ignore[reportArgumentType] # constants below

        self.users = column(
            "SELECT id FROM authkit.users WHERE disabled_at IS NULL ORDER BY id"
        )
        live = connection.execute(
            "SELECT id, token_digest FROM authkit.active_sessions"
            " WHERE revoked_at IS NULL AND expires_at > now() ORDER BY id"
        ).fetchall()
        self.sessions = [row[0] for row in live]
        self.digests = [row[1] for row in live]
        self.addresses = column(
            "SELECT DISTINCT host(ip) FROM authkit.auth_attempts WHERE ip IS NOT NULL"
            " ORDER BY 1 LIMIT 5000"
        )
        self.subjects = column(
            "SELECT DISTINCT subject_hash FROM authkit.auth_attempts"
            " WHERE subject_hash IS NOT NULL ORDER BY 1 LIMIT 5000"
        ) or [bytes(32)]
        self.devices = column(
            "SELECT DISTINCT device_fingerprint FROM authkit.auth_attempts"
            " WHERE device_fingerprint IS NOT NULL ORDER BY 1 LIMIT 5000"
        ) or [bytes(32)]

    def draw(self, operation: AnyOperation) -> tuple[Any, ...]:
        """Return parameters in the order of the operation."""
        if operation.name != self._last:  # which may have ended what was kept
            self._last = operation.name
            self._kept.clear()
        return self._drawn(operation)

    def _drawn(self, operation: AnyOperation) -> tuple[Any, ...]:
        together = TOGETHER.get(operation.name)
        given = {} if together is None else together(self)
        named = zip(operation.parameters, operation.types, strict=True)
        return tuple(
            given[name] if name in given else self._one(name, kind)
            for name, kind in named
        )

    def _one(self, name: str, kind: str) -> Any:
        if name in BY_NAME:
            found = BY_NAME[name](self)
            many = kind.endswith("[]") and not isinstance(found, list)
            return [found] if many else found
        if kind.endswith("[]"):
            return [BY_TYPE[kind.removesuffix("[]")](self)]
        return BY_TYPE[kind](self)

    def uuid(self) -> UUID:
        """Make the next id, as a UUIDv7 of the clock would be: always a larger one."""
        self._ids += 1
        made = int(self.until.timestamp() * 1000) + self._ids
        tail = self.random.getrandbits(62)
        return UUID(int=made << 80 | 0x7 << 76 | 0b10 << 62 | tail)

    def digest(self) -> bytes:
        """Make a digest that nobody has."""
        return self.random.randbytes(32)

    def pending(self) -> tuple[datetime, Any]:
        """Make an attempt that waits to be settled; return its key."""
        record = BY_OPERATION["attempts.record"]
        values = dict(zip(record.parameters, self._drawn(record), strict=True))
        values |= {"outcome": "pending", "failure_reason": None}
        drawn = [values[name] for name in record.parameters]
        made = statement.fetch_one(self._connection, record, drawn)
        return made.occurred_at, made.id

    def made(self, name: str, **given: Any) -> dict[str, Any]:
        """Run an operation that makes something; return the parameters it had."""
        making = BY_OPERATION[name]
        values = dict(zip(making.parameters, self._drawn(making), strict=True)) | given
        drawn = [values[parameter] for parameter in making.parameters]
        run = statement.execute if making.row is None else statement.fetch_all
        run(self._connection, making, drawn)
        return values

    def kept(self, made: Callable[[Samples], Values]) -> Values:
        """Return one of a few of what was made: for calls that leave it as it was."""
        if len(self._kept) < _KEPT:
            self._kept.append(made(self))
            return self._kept[-1]
        return self.one(self._kept)

    def one(self, pool: list[Any]) -> Any:
        """Choose one value of a pool."""
        return self.random.choice(pool)


def _since(samples: Samples) -> datetime:
    return samples.until - timedelta(days=30)


BY_NAME: Mapping[str, Callable[[Samples], Any]] = {
    "id": lambda s: s.one(s.sessions),
    "user_id": lambda s: s.one(s.users),
    "session_id": lambda s: s.one(s.sessions),
    "token_digest": lambda s: s.one(s.digests),
    "new_token_digest": lambda s: s.digest(),
    "ip": lambda s: s.one(s.addresses),
    "subject_hash": lambda s: s.one(s.subjects),
    "device_fingerprint": lambda s: s.one(s.devices),
    "assurance_level": lambda _: 1,
    "methods": lambda _: ["password"],
    "country": lambda _: "CH",
    "asn": lambda _: 64_500,
    "user_agent": lambda _: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)",
    "device_info": lambda _: {},
    "client_id": lambda _: None,
    "risk_score": lambda s: s.random.random(),
    "risk_model": lambda _: "mismatch",
    "risk_model_version": lambda _: "1",
    "risk_features": lambda _: {},
    "idle_timeout": lambda _: timedelta(hours=1),
    "lifetime": lambda _: timedelta(hours=8),
    "every": lambda _: timedelta(0),
    "duration": lambda _: timedelta(minutes=1),
    "family_lifetime": lambda _: timedelta(days=1),
    "refresh_lifetime": lambda _: timedelta(hours=8),
    "access_lifetime": lambda _: timedelta(hours=1),
    "grace": lambda _: timedelta(seconds=10),
    "keep": lambda _: timedelta(days=1),
    "cap": lambda _: None,
    "evict": lambda _: False,
    "authenticated": lambda _: False,
    "reason": lambda _: "logout",
    "stage": lambda _: "primary",
    "method": lambda _: "password",
    "outcome": lambda _: "failed",
    "failure_reason": lambda _: "wrong_password",
    "since": _since,
    "until": lambda s: s.until,
    "occurred_at": lambda _: None,
    "before": lambda _: None,
    "before_id": lambda _: None,
    "below": lambda _: None,
    "below_id": lambda _: None,
    "after_user": lambda _: None,
    "threshold": lambda _: 0.8,
    "addresses": lambda _: 2,
    "devices": lambda _: 4,
    "countries": lambda _: 2,
    "limit": lambda _: 20,
    "top": lambda _: 10,
}


BY_TYPE: Mapping[str, Callable[[Samples], Any]] = {
    "uuid": lambda s: s.uuid(),
    "bytea": lambda s: s.digest(),
    "text": lambda _: "sample",
    "inet": lambda s: s.one(s.addresses),
    "jsonb": lambda _: {},
    "bool": lambda _: False,
    "int2": lambda _: 1,
    "int4": lambda _: 1,
    "int8": lambda _: 1,
    "float8": lambda s: s.random.random(),
    "interval": lambda _: timedelta(minutes=1),
    "timestamptz": lambda _: None,
}


def _new(samples: Samples) -> Values:
    return {"id": samples.uuid(), "token_digest": samples.digest()}


def _pending(samples: Samples) -> Values:
    occurred_at, attempt_id = samples.pending()
    return {"occurred_at": occurred_at, "id": attempt_id}


def _everything(_: Samples) -> Values:
    return {"keep": None}


def _of_a_client(samples: Samples) -> Values:
    # Of a session that is in use, which is nobody's whom another call has ended.
    made = samples.made("sessions.create")
    return {
        "client_id": "sample",
        "user_id": made["user_id"],
        "session_id": made["id"],
    }


def _elsewhere(samples: Samples) -> Values:
    return {"provider_account_id": samples.digest().hex()}


def _many(samples: Samples) -> Values:
    record = BY_OPERATION["attempts.record"]
    drawn = zip(record.parameters, samples.draw(record), strict=True)
    one = dict(drawn) | {"risk_features": "{}"}
    return {name: [value] for name, value in one.items()}


def _short_lived(samples: Samples) -> Values:
    # Codes live for ten minutes at most.
    return {"client_id": "sample", "lifetime": timedelta(minutes=5)}


def _made_out(samples: Samples) -> Values:
    return {**_of_a_client(samples), **_short_lived(samples)}


def _cached(samples: Samples) -> Values:
    return samples.made("auth_cache.put")


def _begun(samples: Samples) -> Values:
    return samples.made("oauth_states.create")


def _coded(samples: Samples) -> Values:
    return samples.made("oauth_codes.create") | _fresh_tokens(samples)


def _fresh_tokens(samples: Samples) -> Values:
    return {
        "refresh_id": samples.uuid(),
        "refresh_digest": samples.digest(),
        "access_id": samples.uuid(),
        "access_digest": samples.digest(),
    }


def _issued(samples: Samples) -> Values:
    made = samples.made("oauth_tokens.issue")
    found = {"token_digest": made["refresh_digest"], "id": made["refresh_id"]}
    return {**made, **found, **_fresh_tokens(samples)}


def _issued_before(samples: Samples) -> Values:
    return samples.kept(_issued)


def _linked(samples: Samples) -> Values:
    made = samples.made("oauth_providers.put")
    return {**made, "old_access_token_sealed": made["access_token_sealed"]}


# What is looked for is there: the way of a hit is what a budget is for.
HITS_CACHED = ("auth_cache.get", "auth_cache.get_by_email", "auth_cache.invalidate")
LEAVES_ISSUED = (
    "oauth_tokens.introspect",
    "oauth_tokens.derivation",
    "oauth_tokens.lock_family",
)
HITS_ISSUED = (
    "oauth_tokens.mark_used",
    "oauth_tokens.revoke_family",
    "oauth_tokens.revoke_user",
    "oauth_tokens.revoke",
    "oauth_tokens.rotate",
)
HITS_LINKED = (
    "oauth_providers.of_user",
    "oauth_providers.delete",
    "oauth_providers.reseal",
)

TOGETHER: Mapping[str, Callable[[Samples], Values]] = {
    "sessions.create": _new,
    "sessions.revoke_user": _everything,
    "attempts.record": _new,
    "attempts.record_many": _many,
    "attempts.fail": _pending,
    "attempts.succeed": _pending,
    "oauth_states.create": _short_lived,
    "oauth_codes.create": _made_out,
    "oauth_tokens.issue": _of_a_client,
    "oauth_providers.put": _elsewhere,
    # The address is believed: no sample knows whose it is.
    "auth_cache.put": lambda _: {"current_email": None},
    **dict.fromkeys(HITS_CACHED, _cached),
    "oauth_states.consume": _begun,
    "oauth_codes.lock_family": _coded,
    "oauth_codes.redeem": _coded,
    **dict.fromkeys(HITS_ISSUED, _issued),
    **dict.fromkeys(LEAVES_ISSUED, _issued_before),
    **dict.fromkeys(HITS_LINKED, _linked),
    "oauth_providers.sealed_by_others": lambda s: _linked(s) | {"sealing_key_id": "z"},
}
