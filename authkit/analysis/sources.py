"""What can be read, column by column, masked or clear, under the same names.

The analyst's role reads `security_barrier` views in which people, addresses and devices
are tokens. A frame has the same columns either way, so that a plot or a detector does
not know the difference: `user` is a token or a user id, `address` a token or an
address, `network` the /24 or /48 around it.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from uuid import UUID

from authkit.analysis.source import Column, Condition, Source, same
from authkit.errors import InvalidInput

_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


# Whole, so that what is found in a frame is found in the database too.
_DEVICE = "encode(device_fingerprint, 'hex')"
_NETWORK = "authkit.address_prefix(ip)::text"
# The trigger auth_attempts_settle_once keeps it true.
_PENDING = "outcome = 'pending'"

ATTEMPTS = Source(
    "attempts",
    "authkit.auth_attempts",
    "authkit.attempts_masked",
    "occurred_at",
    (
        same("occurred_at"),
        same("id", "id::text"),
        Column("subject", "encode(subject_hash, 'hex')", "subject_token"),
        Column("user", "user_id::text", "user_token"),
        Column("address", "host(ip)", "ip_token"),
        Column("network", _NETWORK, "ip_prefix::text"),
        same("asn"),
        same("country"),
        same("user_agent"),
        Column("device", _DEVICE, "device_token"),
        Column("session", "session_id::text", "session_token"),
        same("client", "client_id"),
        same("stage"),
        same("method"),
        same("outcome"),
        same("failure_reason"),
        same("settled_at"),
        same("risk_score"),
        same("risk_model"),
        same("risk_model_version"),
    ),
    unsettled=_PENDING,
)
SESSIONS = Source(
    "sessions",
    "authkit.active_sessions",
    "authkit.sessions_masked",
    "created_at",
    (
        same("created_at"),
        Column("session", "id::text", "session_token"),
        Column("user", "user_id::text", "user_token"),
        same("assurance_level"),
        same("methods"),
        Column("address", "host(ip)", "ip_token"),
        Column("network", _NETWORK, "ip_prefix::text"),
        same("country"),
        Column("device", _DEVICE, "device_token"),
        same("user_agent"),
        same("risk_score"),
        same("authenticated_at"),
        same("last_activity"),
        same("idle_timeout"),
        same("expires_at"),
        same("rotated_at"),
        same("revoked_at"),
        same("revoke_reason"),
        same(
            "live",
            "revoked_at IS NULL AND expires_at > now()"
            " AND last_activity + idle_timeout > now()",
        ),
    ),
)
_LINKING = ("subject", "session")  # known under the same token in other cases
CASE_ATTEMPTS = Source(
    "case",
    "authkit.case_attempts_masked",
    "authkit.case_attempts_masked",
    "occurred_at",
    tuple(
        column
        for column in ATTEMPTS.columns
        if column.name not in {*_LINKING, "settled_at"}
    ),
)
SCORES = Source(
    "scores",
    "authkit.auth_attempts",
    "authkit.attempts_masked",
    "occurred_at",
    (
        same("occurred_at"),
        same("id", "id::text"),
        Column("user", "user_id::text", "user_token"),
        same("country"),
        same("stage"),
        same("outcome"),
        same("score", "risk_score"),
        same("model", "risk_model"),
        same("version", "risk_model_version"),
        Column("n", "(risk_features ->> 'n')::bigint", None),
        Column("total", "(risk_features ->> 'N')::bigint", None),
        Column("unscored", "risk_features ->> 'unscored'", None),
        Column("parameters", "risk_features ->> 'parameters'", None),
        Column("terms", "risk_features -> 'terms'", None),
    ),
    condition="risk_model IS NOT NULL",
    unsettled=_PENDING,
)
AUDIT = Source(
    "audit",
    "authkit.audit_logs",
    "authkit.audit_masked",
    "recorded_at",
    (
        same("recorded_at"),
        same("at", "coalesce(occurred_at, recorded_at)"),
        same("shard"),
        same("seq"),
        Column("actor", "actor", "actor_token"),
        same("action"),
        Column("target", "target", "target_token"),
        same("outcome"),
        Column("before", "before", None),
        Column("after", "after", None),
        Column("details", "details", None),
        Column("address", "host(ip)", "ip_token"),
        Column("network", _NETWORK, "ip_prefix::text"),
        Column("correlation", "correlation_id", "correlation_token"),
    ),
)
RATE_LIMITS = Source(
    "rate_limits",
    "authkit.rate_limit_tracking",
    None,
    "updated_at",
    (
        same("updated_at"),
        same("identifier"),
        same("resource"),
        same("policy"),
        same("theoretical_arrival_at"),
        same("hits"),
        same("window_started_at"),
        same("blocked_until"),
    ),
)
TOKENS = Source(
    "tokens",
    "authkit.oauth_issued_tokens AS t"
    " JOIN authkit.oauth_token_families AS f ON f.id = t.family_id",
    None,
    "t.created_at",
    (
        same("created_at", "t.created_at"),
        same("token", "t.id::text"),
        same("family", "t.family_id::text"),
        same("kind", "t.kind"),
        same("generation", "t.generation"),
        same("client", "t.client_id"),
        same("user", "t.user_id::text"),
        same("session", "f.session_id::text"),
        same("expires_at", "t.expires_at"),
        same("rotated_at", "t.rotated_at"),
        same("revoked_at", "f.revoked_at"),
        same("revoke_reason", "f.revoke_reason"),
    ),
)

SOURCES = {s.name: s for s in (ATTEMPTS, SESSIONS, SCORES, AUDIT, RATE_LIMITS, TOKENS)}


def named(name: str) -> Source:
    """Return the source of a name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in SOURCES:
        raise InvalidInput(f"{name} is none of {', '.join(SOURCES)}")
    return SOURCES[name]


def of_user(value: str | UUID, *, masked: bool) -> Condition:
    """Return the condition for one user: a user id, or its token when masked.

    Raises:
        InvalidInput: it is not of that kind.
    """
    text = str(value).strip().lower()
    if masked:
        if _TOKEN.fullmatch(text) is None:
            raise InvalidInput(
                "when masked, a user is the token of the `user` column"
                " (32 hexadecimal digits): an id or e-mail cannot be turned into one"
            )
        return Condition("user_token = {}", text)
    try:
        return Condition("user_id = {}::uuid", str(UUID(text)))
    except ValueError:
        raise InvalidInput("the user is not a user id (a UUID)") from None


def of_address(value: object, *, masked: bool) -> Condition:
    """Return the condition for an address, a network, or a token of one when masked.

    Raises:
        InvalidInput: it is none of them, or a clear address when masked.
    """
    text = str(value).strip().lower()
    if masked and _TOKEN.fullmatch(text):
        return Condition("ip_token = {}", text)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise InvalidInput("the IP address or network is not valid") from None
    if not masked:
        return Condition("ip <<= {}::inet", str(network))
    if network.prefixlen > (24 if network.version == 4 else 48):
        raise InvalidInput(
            "when masked, an address is the token of the `address` column, and a"
            " network a /24 (IPv6: /48) or larger"
        )
    return Condition("ip_prefix <<= {}::cidr", str(network))
