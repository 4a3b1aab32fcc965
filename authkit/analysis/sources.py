"""What can be read, column by column, masked or clear, under the same names.

The analyst's role reads `security_barrier` views in which people, addresses and devices
are tokens. A frame has the same columns either way, so that a plot or a detector does
not know the difference: `user` is a token or a user id, `address` a token or an
address, `network` the /24 or /48 around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from uuid import UUID

from authkit.analysis.window import Window
from authkit.errors import InvalidInput, NotPermitted

_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a frame and the SQL it comes from; None: not shown when masked."""

    name: str
    clear: str
    masked: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of a WHERE clause with one `{}` where its parameter's number goes."""

    sql: str
    value: object


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of rows: where they stand, their time, their columns."""

    name: str
    table: str
    view: str | None
    time: str
    columns: tuple[Column, ...]
    condition: str | None = None

    def relation(self, *, masked: bool) -> str:
        """Return the table, or the view that masks it.

        Raises:
            NotPermitted: there is no masked view of it.
        """
        if not masked:
            return self.table
        if self.view is None:
            raise NotPermitted(
                f"{self.name} has no masked view, so the analyst's role may not read"
                " it: use Frames(..., masked=False) with a role that may"
            )
        return self.view

    def select(
        self,
        within: Window,
        conditions: Sequence[Condition],
        wanted: Sequence[str] | None,
        *,
        masked: bool,
    ) -> tuple[str, list[object]]:
        """Return the SELECT of a window in order of time, and its parameters.

        Raises:
            InvalidInput: a column is not there, or not when masked.
            NotPermitted: there is no masked view of it.
        """
        held = list(conditions)
        if within.since is not None:
            held.append(Condition(f"{self.time} >= {{}}", within.since))
        if within.until is not None:
            held.append(Condition(f"{self.time} < {{}}", within.until))
        relation = self.relation(masked=masked)
        listed = ", ".join(
            f'{column.masked if masked else column.clear} AS "{column.name}"'
            for column in self.chosen(wanted, masked=masked)
        )
        where = [self.condition] if self.condition else []
        where += [
            condition.sql.format(f"${number}")
            for number, condition in enumerate(held, start=1)
        ]
        filtered = f" WHERE {' AND '.join(where)}" if where else ""
        return (
            f"SELECT {listed} FROM {relation}{filtered} ORDER BY {self.time}",  # noqa: S608 # names of our own; every value is a parameter
            [condition.value for condition in held],
        )

    def chosen(
        self, wanted: Sequence[str] | None, *, masked: bool
    ) -> tuple[Column, ...]:
        """Return the columns of a frame, all of them where none are named.

        Raises:
            InvalidInput: one is not there, or not when masked.
        """
        there = {c.name: c for c in self.columns if not masked or c.masked is not None}
        if wanted is None:
            return tuple(there.values())
        if isinstance(wanted, str):
            raise InvalidInput("columns is a list of names, not one text")
        if missing := [name for name in wanted if name not in there]:
            raise InvalidInput(
                f"{self.name} has no column {', '.join(missing)}"
                f"{' when masked' if masked else ''}; it has: {', '.join(there)}"
            )
        if not wanted:
            raise InvalidInput("columns is empty")
        return tuple(there[name] for name in dict.fromkeys(wanted))


def same(name: str, column: str | None = None) -> Column:
    """Return a column that is shown as it is."""
    return Column(name, column or name, column or name)


_NETWORK = "authkit.address_prefix(ip)::text"

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
        Column("device", "encode(device_fingerprint, 'hex')", "device_token"),
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
        Column("device", "encode(device_fingerprint, 'hex')", "device_token"),
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


SOURCES = {s.name: s for s in (ATTEMPTS, SESSIONS, SCORES, AUDIT, RATE_LIMITS)}


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


def of_address(value: str, *, masked: bool) -> Condition:
    """Return the condition for an address, a network, or a token of one when masked.

    Raises:
        InvalidInput: it is none of them, or a clear address when masked.
    """
    text = value.strip().lower()
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
