"""The world as rows of the schema: which columns are written, and their bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from authkit.workload import binary as b
from authkit.workload.attempt import Attempt
from authkit.workload.population import Person
from authkit.workload.sessions import SessionRecord

CLIENT = "web"

Columns = tuple[str, ...]

ATTEMPTS: Columns = (
    "occurred_at",
    "id",
    "user_id",
    "subject_hash",
    "ip",
    "asn",
    "country",
    "user_agent",
    "device_fingerprint",
    "session_id",
    "client_id",
    "stage",
    "method",
    "outcome",
    "failure_reason",
    "risk_score",
    "risk_model",
    "risk_model_version",
    "risk_features",
)
USERS: Columns = (
    "id",
    "email",
    "email_verified_at",
    "name",
    "password_hash",
    "mfa_enabled",
    "last_login_at",
    "last_login_ip",
    "disabled_at",
    "created_at",
    "updated_at",
)
SESSIONS: Columns = (
    "id",
    "user_id",
    "assurance_level",
    "methods",
    "device_info",
    "ip",
    "user_agent",
    "risk_score",
    "created_at",
    "last_activity_at",
    "expires_at",
    "ended_at",
    "end_reason",
)
ACTIVE_SESSIONS: Columns = (
    "id",
    "token_digest",
    "user_id",
    "assurance_level",
    "methods",
    "ip",
    "country",
    "device_fingerprint",
    "user_agent",
    "risk_score",
    "authenticated_at",
    "created_at",
    "last_activity",
    "idle_timeout",
    "expires_at",
    "revoked_at",
    "revoke_reason",
)
LABELS: Columns = ("attempt_id", "occurred_at", "kind", "campaign", "seed")


@dataclass(frozen=True, slots=True)
class Scored:
    """A risk score beside an attempt, by whatever model the caller brought."""

    value: float | None
    model: str
    version: str
    features: dict[str, object]


_UNSCORED = b.NULL * 4


_COLUMNS = len(ATTEMPTS)


@lru_cache(maxsize=1024)
def _ending(stage: str, method: str, outcome: str, reason: str | None) -> bytes:
    return b"".join(map(b.text, (CLIENT, stage, method, outcome, reason)))


def attempt(made: Attempt, scored: Scored | None) -> bytes:
    """Return a row of `auth_attempts`: the one row that a world has many of."""
    user_id, session_id, source = made.user_id, made.session_id, made.source
    risk = _UNSCORED
    if scored is not None:
        risk = (
            b.double(scored.value)
            + b.text(scored.model)
            + b.text(scored.version)
            + b.jsonb(scored.features)
        )
    return b"".join(
        (
            b.opening(_COLUMNS, made.at_us, made.id),
            b.NULL if user_id is None else b.UUID + user_id,
            b.DIGEST,
            made.subject,
            b.address(source.ip, source.asn),
            b.text(source.country),
            b.text(source.user_agent),
            b.DIGEST,
            source.device,
            b.NULL if session_id is None else b.UUID + session_id,
            _ending(made.stage, made.method, made.outcome, made.reason),
            risk,
        )
    )


def label(made: Attempt, seed: int) -> bytes:
    """Return the row that says who really made an attempt."""
    return b.tuples(
        len(LABELS),
        (
            b.raw(made.id),
            b.timestamp(made.at_us),
            b.text(made.kind),
            b.raw(made.campaign),
            b.bigint(seed),
        ),
    )


def user(
    rng: Random,
    person: Person,
    last: tuple[int, str] | None,
    disabled_us: int | None,
) -> bytes:
    """Return a row of `users`; its password hash is of no password at all."""
    salt, digest = (
        base64.b64encode(rng.randbytes(size)).rstrip(b"=").decode() for size in (16, 32)
    )
    verified = person.created_us + int(rng.random() * 3_600_000_000)
    last_us, last_ip = last or (None, None)
    return b.tuples(
        len(USERS),
        (
            b.raw(person.id),
            b.raw(person.email.encode()),
            b.timestamp(verified),
            b.raw(person.name.encode()),
            b.raw(f"$argon2id$v=19$m=65536,t=3,p=4${salt}${digest}".encode()),
            b.boolean(person.mfa),
            b.timestamp(last_us),
            b.inet(last_ip),
            b.timestamp(disabled_us),
            b.timestamp(person.created_us),
            b.timestamp(disabled_us or last_us or person.created_us),
        ),
    )


def _strength(session: SessionRecord) -> tuple[bytes, bytes]:
    methods = ("pwd", "otp", "mfa") if session.second_factor else ("pwd",)
    return b.smallint(2 if session.second_factor else 1), b.texts(methods)


def session_record(session: SessionRecord, score: float | None) -> bytes:
    """Return the detailed row of `sessions`."""
    source = session.attempt.source
    return b.tuples(
        len(SESSIONS),
        (
            b.raw(session.id),
            b.raw(session.user_id),
            *_strength(session),
            b.jsonb({"form": "phone" if session.phone else "desktop"}),
            b.inet(source.ip),
            b.text(source.user_agent),
            b.double(score),
            b.timestamp(session.attempt.at_us),
            b.timestamp(session.last_activity_us),
            b.timestamp(session.expires_us),
            b.timestamp(session.ended_us),
            b.text(session.reason),
        ),
    )


def active_session(
    session: SessionRecord, score: float | None, token_digest: bytes
) -> bytes:
    """Return the hot row of `active_sessions`; nobody holds its token."""
    source = session.attempt.source
    return b.tuples(
        len(ACTIVE_SESSIONS),
        (
            b.raw(session.id),
            b.raw(token_digest),
            b.raw(session.user_id),
            *_strength(session),
            b.inet(source.ip),
            b.text(source.country),
            b.raw(source.device),
            b.text(source.user_agent),
            b.double(score),
            b.timestamp(session.attempt.at_us),
            b.timestamp(session.attempt.at_us),
            b.timestamp(session.last_activity_us),
            b.interval(session.idle_timeout_us),
            b.timestamp(session.expires_us),
            b.timestamp(session.ended_us if session.revoked else None),
            b.text(session.reason if session.revoked else None),
        ),
    )
