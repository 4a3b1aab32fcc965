"""A row's whole life: written, read back, seen on each replica, refused, removed.

The row goes to `rate_limit_tracking`, where the application may delete, under a key
that nobody else has. Every wait is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Timer
from uuid import uuid4

import psycopg

from authkit.errors import AlreadyExists, AuthkitError, Conflict
from authkit.ops.connection import named
from authkit.ops.findings import Finding, fault, good

_RESOURCE = "db-test"
_WAIT_S = 10.0
_PAUSE_S = 0.005


@dataclass(slots=True)
class Trial:
    """One trial's row and what was measured on the way."""

    primary: psycopg.Connection
    where: str
    key: str = field(default_factory=lambda: f"db-test:{uuid4()}")
    commit_ms: float | None = None
    replica_ms: dict[str, float] = field(default_factory=dict[str, float])

    def run(self, replicas: Mapping[str, psycopg.Connection]) -> Iterable[Finding]:
        """Go through all of it; the row is gone afterwards, whatever happened."""
        wrote = self._write()
        yield wrote
        if wrote.name != "wrote":
            return
        try:
            yield self._read_back()
            end = self._position()
            for where, replica in replicas.items():
                yield self._see(replica, where, end)
                yield self._refused_by_replica(replica, where)
            yield self._refused(
                "duplicate",
                "a second row of the same key",
                AlreadyExists,
                lambda: self._insert(self.primary, hits=0),
            )
            yield self._refused(
                "invalid",
                "a row that breaks a constraint",
                Conflict,
                lambda: self._insert(self.primary, hits=-1, suffix="-invalid"),
            )
        finally:
            cleaned = self._clean()
        yield cleaned

    def _write(self) -> Finding:
        # A commit that waits for a replica that is gone ends by no statement_timeout.
        alarm = Timer(_WAIT_S, self.primary.cancel)
        notices: list[str | None] = []
        self.primary.add_notice_handler(lambda said: notices.append(said.sqlstate))
        alarm.start()
        began = time.perf_counter()
        try:
            self._insert(self.primary, hits=0)
        except psycopg.Error as exc:
            return _cannot(self.where, "write", exc)
        finally:
            alarm.cancel()
        self.commit_ms = (time.perf_counter() - began) * 1000
        if "01000" in notices:
            self._clean()
            return fault(
                self.where,
                "commit_waits",
                f"a commit waited {_WAIT_S:.0f} s for a synchronous replica in vain",
                "bring the replica back, or clear synchronous_standby_names",
            )
        return good(
            self.where, "wrote", f"wrote a row, committed in {self.commit_ms:.1f} ms"
        )

    def _read_back(self) -> Finding:
        if self._is_there(self.primary):
            return good(self.where, "read_back", "read the row back")
        return fault(
            self.where,
            "read_back",
            "the row that was just written is not there",
            "look for a trigger or rule that is not ours: authkit db validate",
        )

    def _see(self, replica: psycopg.Connection, where: str, end: str) -> Finding:
        began = time.perf_counter()
        try:
            while not self._has_replayed(replica, end):
                if time.perf_counter() - began > _WAIT_S:
                    return fault(
                        where,
                        "lags",
                        f"did not replay the write within {_WAIT_S:.0f} s",
                        "look at pg_stat_replication on the primary",
                    )
                time.sleep(_PAUSE_S)
            seen = self._is_there(replica)
        except psycopg.Error as exc:
            return _cannot(where, "read", exc)
        elapsed = (time.perf_counter() - began) * 1000
        self.replica_ms[where] = elapsed
        if seen:
            return good(
                where, "replicated", f"has the row too, at most {elapsed:.1f} ms later"
            )
        return fault(
            where,
            "not_replicated",
            "replayed past the write and does not have the row",
            "check that it is a replica of this primary, and of this database",
        )

    def _refused_by_replica(self, replica: psycopg.Connection, where: str) -> Finding:
        try:
            self._insert(replica, hits=0)
        except psycopg.errors.ReadOnlySqlTransaction:
            return good(where, "refuses_writes", "refuses to write, as a replica must")
        except psycopg.Error as exc:
            return _cannot(where, "read", exc)
        return fault(
            where,
            "writable_replica",
            "accepted a write: it is no replica any more",
            "authkit db test again: it may have been promoted meanwhile",
        )

    def _refused(
        self,
        name: str,
        what: str,
        kind: type[AuthkitError],
        attempt: Callable[[], None],
    ) -> Finding:
        try:
            attempt()
        except psycopg.Error as exc:
            error = named(exc)
            if isinstance(error, kind):
                return good(
                    self.where,
                    f"refuses_{name}",
                    f"refuses {what}, and the error is named: {kind.__name__}"
                    f" ({exc.diag.constraint_name})",
                )
            return _cannot(self.where, "write", exc)
        return fault(
            self.where,
            f"accepts_{name}",
            f"accepted {what}",
            "a constraint is missing: authkit db validate",
        )

    def _clean(self) -> Finding:
        try:
            # Nobody waits for this, least of all on a replica that is gone.
            self.primary.execute("SET synchronous_commit = local")
            gone = self.primary.execute(
                "DELETE FROM authkit.rate_limit_tracking"
                " WHERE identifier IN (%s, %s) AND resource = %s",
                [self.key, f"{self.key}-invalid", _RESOURCE],
            ).rowcount
        except psycopg.Error as exc:
            return _cannot(self.where, "delete", exc)
        if gone == 1:
            return good(self.where, "cleaned", "removed the row")
        return fault(
            self.where,
            "cleaned",
            f"removed {gone} rows where one was written",
            "look for a trigger or rule that is not ours: authkit db validate",
        )

    def _insert(
        self, connection: psycopg.Connection, *, hits: int, suffix: str = ""
    ) -> None:
        connection.execute(
            "INSERT INTO authkit.rate_limit_tracking"
            " (identifier, resource, policy, hits) VALUES (%s, %s, %s, %s)",
            [self.key + suffix, _RESOURCE, _RESOURCE, hits],
        )

    def _is_there(self, connection: psycopg.Connection) -> bool:
        found = connection.execute(
            "SELECT FROM authkit.rate_limit_tracking"
            " WHERE identifier = %s AND resource = %s",
            [self.key, _RESOURCE],
        ).fetchone()
        return found is not None

    def _position(self) -> str:
        row = self.primary.execute(
            "SELECT pg_current_wal_insert_lsn()::text"
        ).fetchone()
        return "0/0" if row is None else str(row[0])

    @staticmethod
    def _has_replayed(replica: psycopg.Connection, end: str) -> bool:
        row = replica.execute(
            "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [end]
        ).fetchone()
        return row is not None and bool(row[0])


def _cannot(where: str, what: str, exc: psycopg.Error) -> Finding:
    return fault(
        where,
        f"cannot_{what}",
        f"cannot {what}: {named(exc)}",
        "authkit db setup makes the tables; authkit db validate compares privileges",
    )
