"""The organisation as rows: roles of teams, grants, accounts, credentials."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from authkit.errors import SchemaMismatch
from authkit.workload import binary as b
from authkit.workload.identifiers import uuid7_bytes
from authkit.workload.organisation import (
    CONTRACTOR,
    ON_CALL,
    PERMISSIONS,
    TEAMS,
    Granted,
    Held,
)
from authkit.workload.population import DAY_US, Person

Columns = tuple[str, ...]

USER_ROLES: Columns = ("user_id", "role_id", "granted_by", "granted_at", "expires_at")
ACCOUNTS: Columns = (
    "id",
    "user_id",
    "type",
    "provider",
    "issuer",
    "subject",
    "created_at",
    "updated_at",
)
CREDENTIALS: Columns = (
    "id",
    "user_id",
    "rp_id",
    "credential_id",
    "public_key",
    "sign_count",
    "uv_initialized",
    "backup_eligible",
    "backup_state",
    "transports",
    "name",
    "created_at",
    "last_used_at",
    "retired_at",
)
_LINKED = 0.35  # people who also sign in through somebody else
_STAFF_SSO = 0.5  # of those links of who has an office
_CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
_MICROSOFT = f"https://login.microsoftonline.com/{_CONSUMER_TENANT}/v2.0"
# COSE_Key, EC2 on P-256 for ES256 (RFC 9053, sections 2.1 and 7.1.1).
_COSE = bytes.fromhex("a5010203262001215820"), bytes.fromhex("225820")

_PERMISSION = """
INSERT INTO authkit.permissions
    (id, name, resource, action, description, conditions, created_at, updated_at)
VALUES (%s, %s, split_part(%s, ':', 1), split_part(%s, ':', 2), %s, %s, %s, %s)
ON CONFLICT (resource, action) DO NOTHING
"""
_ROLE = """
WITH fresh AS (
    INSERT INTO authkit.roles (id, name, description, created_at, updated_at)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING RETURNING id
)
INSERT INTO authkit.role_permissions (role_id, permission_id)
SELECT fresh.id, p.id FROM fresh, authkit.permissions AS p WHERE p.name = ANY (%s)
"""


def roles(
    connection: psycopg.Connection, rng: Random, founded_us: int
) -> dict[str, bytes]:
    """Make the roles of the teams where they are missing; every role's id by name.

    Raises:
        SchemaMismatch: the roles of every installation are not there.
    """
    at = datetime.fromtimestamp(founded_us / 1_000_000, UTC)
    for name, (about, conditions) in PERMISSIONS.items():
        made = UUID(bytes=uuid7_bytes(rng, founded_us))
        connection.execute(
            _PERMISSION, (made, name, name, name, about, Jsonb(conditions), at, at)
        )
    for team in (*TEAMS, CONTRACTOR, ON_CALL):
        made = UUID(bytes=uuid7_bytes(rng, founded_us))
        given = list(team.permissions)
        connection.execute(_ROLE, (made, team.name, team.description, at, at, given))
    found = {
        str(name): bytes(id_)
        for name, id_ in connection.execute(
            "SELECT name, uuid_send(id) FROM authkit.roles"
        )
    }
    if missing := {"admin", "moderator", "user"} - set(found):
        raise SchemaMismatch(
            f"the database has no role {', '.join(sorted(missing))}:"
            " run `authkit db setup`"
        )
    return found


def user_role(granted: Granted, roles: dict[str, bytes]) -> bytes:
    """Return a row of `user_roles`."""
    return b.tuples(
        len(USER_ROLES),
        (
            b.raw(granted.person.id),
            b.raw(roles[granted.role]),
            b.raw(None if granted.by is None else granted.by.id),
            b.timestamp(granted.at_us),
            b.timestamp(granted.until_us),
        ),
    )


def account(rng: Random, person: Person, end_us: int) -> bytes | None:
    """Return a row of `accounts` for those who linked one."""
    if rng.random() >= _LINKED:
        return None
    # Half came in through it on their first day, the others linked it later.
    linked_us = person.created_us
    if rng.random() < 0.5:
        linked_us += int(rng.random() * max(0, end_us - person.created_us))
    provider, issuer, subject = _identity(rng, person)
    return b.tuples(
        len(ACCOUNTS),
        (
            b.raw(uuid7_bytes(rng, linked_us)),
            b.raw(person.id),
            b.text("oidc"),
            b.text(provider),
            b.text(issuer),
            b.raw(subject.encode()),
            b.timestamp(linked_us),
            b.timestamp(linked_us),
        ),
    )


def credential(rng: Random, held: Held) -> bytes:
    """Return a row of `webauthn_credentials`; its public key is on no curve."""
    synced = held.synced
    x, y = rng.randbytes(32), rng.randbytes(32)
    days = max(0, (held.used_us or held.at_us) - held.at_us) // DAY_US
    return b.tuples(
        len(CREDENTIALS),
        (
            b.raw(uuid7_bytes(rng, held.at_us)),
            b.raw(held.person.id),
            b.text(held.person.email.partition("@")[2]),
            b.raw(rng.randbytes(20 if synced else 48)),
            b.raw(_COSE[0] + x + _COSE[1] + y),
            # Synced passkeys do not count (WebAuthn Level 3, section 6.1.1).
            b.bigint(0 if synced else 1 + days // 3),
            b.boolean(synced),
            b.boolean(synced),
            b.boolean(synced),
            b.texts(("internal", "hybrid") if synced else ("usb", "nfc")),
            b.text(held.name),
            b.timestamp(held.at_us),
            b.timestamp(held.used_us),
            b.timestamp(held.retired_us),
        ),
    )


def _identity(rng: Random, person: Person) -> tuple[str, str, str]:
    """Return provider, issuer and a subject in that issuer's shape, never one twice."""
    choice, number = rng.random(), rng.getrandbits(128)
    if "work" in person.lines and choice < _STAFF_SSO:
        domain = person.email.partition("@")[2]
        return "workforce", f"https://sso.{domain}", f"00u{number:032x}"
    if choice < 0.75:
        return "google", "https://accounts.google.com", f"1{number % 10**20:020d}"
    if choice < 0.9:
        subject = base64.urlsafe_b64encode(rng.randbytes(32)).rstrip(b"=").decode()
        return "microsoft", _MICROSOFT, subject
    subject = f"{number % 1999:06d}.{number:032x}.{number % 2400:04d}"
    return "apple", "https://appleid.apple.com", subject
