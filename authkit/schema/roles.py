"""The group roles of the database, and what each may do: the least that it needs.

They cannot log in; whoever administers the server gives one of them to a login role.
What stands here is what the migrations grant; `authkit db validate` compares it with
what a database really grants.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from authkit.schema.cases import CASE_TABLES, CASE_VIEWS
from authkit.schema.masking import MASKED_VIEWS

APP = "authkit_app"
ANALYST = "authkit_analyst"
MAINTENANCE = "authkit_maintenance"
BACKUP = "authkit_backup"
ROLES = (APP, ANALYST, MAINTENANCE, BACKUP)

VERSION_TABLE = "alembic_version"

_READ = frozenset({"SELECT"})
_KEEP = frozenset({"SELECT", "INSERT", "UPDATE"})
_ALL = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_APPEND = frozenset({"INSERT"})
_DELETE = frozenset({"DELETE"})
_LOCK = frozenset({"SELECT", "UPDATE"})

# What is ended or marked, and so never deleted by the application.
_KEPT = (
    "users",
    "subject_keys",
    "sessions",
    "webauthn_credentials",
    "active_sessions",
    "auth_attempts",
    "write_keys",
    "oauth_token_families",
    "oauth_issued_tokens",
    "oauth_state_tracking",
    "oauth_auth_codes",
)
# What may be made again, or is revoked by being gone.
_DELETED = (
    "accounts",
    "user_backup_codes",
    "user_totp",
    "roles",
    "permissions",
    "user_roles",
    "role_permissions",
    "rate_limit_tracking",
    "user_auth_cache",
    "oauth_token_cache",
    "risk_logins",
    "risk_users",
    "risk_user_counts",
)
# What only merging moves.
_MERGED = ("risk_counts", "risk_totals")
_APPENDED = ("risk_deltas",)
_SEEN = (VERSION_TABLE, "audit_logs", "audit_chain_heads")
# What grows, and so is purged by maintenance: which row, and how old, is all it sees. A
# row's digests, sealed values, addresses and devices stay unread.
_PURGED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "active_sessions": ("id", "created_at", "expires_at"),
        "auth_attempts": ("occurred_at", "id"),
        "sessions": ("id", "created_at", "expires_at"),
        "rate_limit_tracking": (
            "identifier",
            "resource",
            "theoretical_arrival_at",
            "blocked_until",
            "updated_at",
        ),
        "write_keys": ("key", "created_at"),
        "user_roles": ("user_id", "role_id", "granted_at", "expires_at"),
        "user_auth_cache": ("user_id", "cached_at", "expires_at"),
        "oauth_token_cache": (
            "user_id",
            "provider",
            "provider_account_id",
            "created_at",
            "updated_at",
        ),
        "oauth_token_families": ("id", "created_at", "expires_at"),
        "oauth_issued_tokens": ("id", "created_at", "expires_at"),
        "oauth_state_tracking": ("state_digest", "created_at", "expires_at"),
        "oauth_auth_codes": ("code_digest", "created_at", "expires_at"),
    }
)
# FOR UPDATE SKIP LOCKED asks for UPDATE on some column; one that decides nothing will
# do.
_LOCKED = frozenset({"created_at", "updated_at", "granted_at", "cached_at"})
# Its other column is.
_NOT_LOCKED = frozenset({"oauth_token_cache.updated_at"})
_EVERYTHING = (
    *_KEPT,
    *_DELETED,
    *_MERGED,
    "risk_pairs",
    *_APPENDED,
    *_SEEN,
    "masking_keys",
    *CASE_TABLES,
    *MASKED_VIEWS,
    *CASE_VIEWS,
)

Privileges = Mapping[str, frozenset[str]]


def _each(
    names: tuple[str, ...], privileges: frozenset[str]
) -> dict[str, frozenset[str]]:
    return dict.fromkeys(names, privileges)


TABLE_PRIVILEGES: Mapping[str, Privileges] = MappingProxyType(
    {
        APP: _each(_KEPT, _KEEP)
        | _each(_DELETED, _ALL)
        | _each(_MERGED, _READ)
        | _each(_APPENDED, _APPEND)
        | _each(_SEEN, _READ),
        ANALYST: _each((*MASKED_VIEWS, *CASE_VIEWS), _READ),
        MAINTENANCE: _each(tuple(_PURGED), _DELETE) | _each(_SEEN, _READ),
        BACKUP: _each(_EVERYTHING, _READ),
    }
)

# `table.column`.
COLUMN_PRIVILEGES: Mapping[str, Privileges] = MappingProxyType(
    {
        MAINTENANCE: {
            f"{table}.{column}": _LOCK
            if column in _LOCKED and f"{table}.{column}" not in _NOT_LOCKED
            else _READ
            for table, columns in _PURGED.items()
            for column in columns
        }
        # Counted by its own name: rows that came at a time without a partition.
        | _each(("auth_attempts_default.occurred_at",), _READ)
    }
)

FUNCTION_PRIVILEGES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        APP: frozenset({"audit_append", "risk_freeman_ratio"}),
        ANALYST: frozenset(
            {"keyed_token", "address_prefix", "id_bytes", "label_attempts"}
        ),
        MAINTENANCE: frozenset(
            {
                "audit_append",
                "ensure_partitions",
                "drop_attempt_partitions",
                "risk_merge",
                "risk_age",
                "open_case",
                "unmask",
            }
        ),
        BACKUP: frozenset(),
    }
)
