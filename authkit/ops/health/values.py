"""What a node answered, and what the whole amounts to. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Self

from authkit.ops.findings import Finding


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot, and how much WAL it keeps from being removed."""

    name: str
    active: bool
    wal_status: str | None
    held_bytes: int


@dataclass(frozen=True, slots=True)
class TableActivity:
    """One table since its statistics began; `hot`: updates that touched no index."""

    name: str
    live: int
    dead: int
    updates: int
    hot: int


@dataclass(frozen=True, slots=True)
class Carried:
    """What a database carries of ours; `closed`: the login may not look.

    `unpurged_s` is how long ago the oldest row of each table expired.
    """

    revision: str | None = None
    unpurged_s: Mapping[str, float] = field(default_factory=dict[str, float])
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One node as it presented itself; None where its role may not see it."""

    where: str
    round_trip_s: float
    round_trips: int
    clock_skew_s: float
    replica: bool
    version: str
    version_number: int
    system: str
    timeline: int
    lsn_bytes: int
    behind_bytes: int
    streaming: bool
    replay_paused: bool
    settings: Mapping[str, str]
    standbys: int | None
    confirming: int | None
    archive_failing: bool
    archived_ago_s: float | None
    connections: int
    longest_transaction_s: float | None
    longest_idle_s: float | None
    prepared_s: float | None
    xid_age: int
    slots: tuple[Slot, ...]
    tables: tuple[TableActivity, ...]
    days: tuple[date, ...]
    carried: Carried

    @property
    def role(self) -> str:
        """What it is now."""
        return "replica" if self.replica else "primary"

    @classmethod
    def read(
        cls,
        said: Mapping[str, Any],
        carried: Carried,
        *,
        where: str,
        sent: float,
        received: float,
        round_trips: int,
    ) -> Self:
        """Take what a node said of itself.

        Args:
            said: the decoded JSON of the probe; sizes are in bytes, ages in seconds.
            carried: what the database carries of ours.
            where: the node's host and port.
            sent: when the question went out, our clock, seconds since 1970.
            received: when the answer was here; the node's clock is compared with the
                middle of the two, so its skew is known to half of their difference.
            round_trips: how many the look took.

        Raises:
            KeyError, TypeError, ValueError: it is not what the probe asks for.
        """
        return cls(
            where=where,
            round_trip_s=received - sent,
            round_trips=round_trips,
            # Its clock, read about half-way between the two times on ours.
            clock_skew_s=float(said["now"]) - (sent + received) / 2,
            replica=said["replica"],
            version=said["version"],
            version_number=said["version_number"],
            system=said["system"],
            timeline=said["timeline"],
            lsn_bytes=int(said["lsn_bytes"]),
            behind_bytes=int(said["behind_bytes"] or 0),
            streaming=said["streaming"],
            replay_paused=said["replay_paused"],
            settings={name: value or "" for name, value in said["settings"].items()},
            standbys=said["standbys"],
            confirming=said["confirming"],
            archive_failing=said["archive_failing"],
            archived_ago_s=said["archived_ago_s"],
            connections=said["connections"],
            longest_transaction_s=said["longest_transaction_s"],
            longest_idle_s=said["longest_idle_s"],
            prepared_s=said["prepared_s"],
            xid_age=said["xid_age"],
            slots=tuple(
                Slot(s["name"], s["active"], s["wal_status"], int(s["held_bytes"] or 0))
                for s in said["slots"]
            ),
            tables=tuple(TableActivity(**table) for table in said["tables"]),
            days=tuple(
                datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date()
                for day in said["days"]
            ),
            carried=carried,
        )


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A node that gave no answer, and why."""

    where: str
    reason: str


class Condition(Enum):
    """Healthy; degraded: it serves, and somebody must act; down: it does not."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Readiness:
    """An answer for a load balancer: serve `status` with `body` as JSON."""

    ok: bool
    reason: str

    @property
    def status(self) -> int:
        """The HTTP status: 200, or 503 (RFC 9110 section 15.6.4)."""
        return 200 if self.ok else 503

    @property
    def body(self) -> dict[str, object]:
        """What to send: no host, no version, nothing that helps a stranger."""
        return {"ok": self.ok, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Health:
    """Everything that was found at one moment."""

    at: datetime
    seconds: float
    condition: Condition
    answers: tuple[Answer, ...]
    unreachable: tuple[Unreachable, ...]
    findings: tuple[Finding, ...]
    open: bool = True

    @property
    def liveness(self) -> Readiness:
        """Whether this process should go on; no fault of the database restarts it."""
        if self.open:
            return Readiness(ok=True, reason="running")
        return Readiness(ok=False, reason="the connections are closed")

    @property
    def readiness(self) -> Readiness:
        """Whether requests should come here: logins need a primary."""
        if not self.open:
            return self.liveness
        if self.condition is Condition.DOWN:
            return Readiness(ok=False, reason="the database cannot be written")
        return Readiness(ok=True, reason=self.condition.value)

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 degraded, 2 down."""
        return list(Condition).index(self.condition)

    @property
    def postgres(self) -> str | None:
        """The version of the first node that answered."""
        return self.answers[0].version if self.answers else None
