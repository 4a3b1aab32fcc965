"""What belongs to the schema and is no table: functions, triggers, views, partitions.

The migrations make them; SQLAlchemy's metadata cannot say them, and autogenerate does
not see them. `authkit db validate` looks for each.
"""

from __future__ import annotations

from authkit.schema.cases import CASE_VIEWS
from authkit.schema.masking import MASKED_VIEWS

# Functions, and whether each runs with its owner's rights.
FUNCTIONS: dict[str, bool] = {
    "refuse": False,
    "raise_user_version": False,
    "raise_versions_of_users": True,
    "raise_versions_of_roles": True,
    "raise_versions_of_holders": True,
    "add_partition": True,
    "attach_partition": True,
    "bare_partition": True,
    "ensure_partitions": True,
    "drop_attempt_partitions": True,
    "audit_append": True,
    "keyed_token": False,
    "address_prefix": False,
    "id_bytes": False,
    "open_case": True,
    "label_attempts": True,
    "unmask": True,
    "forget_pseudonyms": True,
    "risk_merge": True,
    "risk_age": True,
    "risk_freeman_ratio": False,
}

TRIGGERS: frozenset[tuple[str, str]] = frozenset(
    {
        ("audit_logs", "audit_logs_append_only"),
        ("auth_attempts", "auth_attempts_settle_once"),
        ("permissions", "permissions_changed"),
        ("role_permissions", "role_permissions_deleted"),
        ("role_permissions", "role_permissions_identity"),
        ("role_permissions", "role_permissions_inserted"),
        ("roles", "roles_system_kept"),
        ("roles", "roles_system_named"),
        ("roles", "roles_version_rises"),
        ("user_roles", "user_roles_deleted"),
        ("user_roles", "user_roles_identity"),
        ("user_roles", "user_roles_inserted"),
        ("user_roles", "user_roles_updated"),
        ("users", "users_forget_pseudonyms"),
        ("users", "users_version_raised"),
        ("users", "users_version_rises"),
        ("webauthn_credentials", "webauthn_credentials_identity"),
    }
)

VIEWS: frozenset[str] = frozenset((*MASKED_VIEWS, *CASE_VIEWS))

PARTITIONED: frozenset[str] = frozenset({"auth_attempts", "audit_logs"})
