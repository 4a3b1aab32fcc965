"""Ask the data for each invariant, in one read-only snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import psycopg
from psycopg import sql

from authkit.errors import AuthkitError, SchemaMismatch
from authkit.figures import Figure, figure
from authkit.ops.connection import connect, member_of, named, where
from authkit.ops.findings import Finding, fault, good, note
from authkit.ops.fsck.invariant import Invariant
from authkit.ops.fsck.invariants import INVARIANTS
from authkit.schema.roles import APP, BACKUP

SHOWN = 5
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold: how many rows break it, and some of them."""

    invariant: Invariant
    count: int
    examples: tuple[str, ...]

    @property
    def finding(self) -> Finding:
        """The violation in words."""
        some = ", ".join(self.examples)
        more = "" if self.count <= len(self.examples) else ", ..."
        return fault(
            self.invariant.name,
            self.invariant.name,
            f"broken {self.count:,} times ({some}{more}): {self.invariant.sentence}",
            self.invariant.advice,
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found; `skipped` are invariants that had nothing to be held to."""

    where: str
    replica: bool
    postgres: str
    seconds: float
    held: tuple[Invariant, ...]
    violations: tuple[Violation, ...]
    skipped: tuple[Invariant, ...]

    @property
    def clean(self) -> bool:
        """True when every invariant holds."""
        return not self.violations

    @property
    def findings(self) -> Iterable[Finding]:
        """Every invariant in words."""
        for violation in self.violations:
            yield violation.finding
        for invariant in self.held:
            yield good(invariant.name, invariant.name, invariant.sentence)
        for invariant in self.skipped:
            yield note(
                invariant.name,
                "not_asked",
                "no session cap was given to hold sessions to",
                "--session-cap N",
            )

    @property
    def figures(self) -> tuple[Figure, ...]:
        """How many rows break each invariant; the goal is none."""
        broken = {v.invariant.name: v.count for v in self.violations}
        asked = (*self.held, *(v.invariant for v in self.violations))
        return tuple(
            figure(i.name, broken.get(i.name, 0), "rows", goal=("==", 0)) for i in asked
        )


def check(
    url: str,
    *,
    session_cap: int | None = None,
    pruned: bool = False,
    invariants: Sequence[Invariant] = INVARIANTS,
    tell: Told | None = None,
) -> Checked:
    """Check a database; changes nothing and works on a replica.

    Args:
        url: where it is; members of authkit_app and authkit_backup may look.
        session_cap: how many live sessions a user may have; None: not asked.
        pruned: old partitions of the audit trail were dropped on purpose.
        invariants: which ones.
        tell: called with ("Checking", done, whole) after each.

    Raises:
        SchemaMismatch: it was never migrated, or not to the newest revision.
        NotPermitted: the role may not read a table.
        RetryLater: a replica's replay cancelled it (hot standby conflict).
        AuthkitError: the server cannot be reached.
    """
    began = perf_counter()
    wanted = [
        i for i in invariants if session_cap is not None or i.name != "session_cap"
    ]
    with connect(url, autocommit=False) as connection:
        try:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            replica, version = _self(connection)
            violations = broken(
                connection, wanted, session_cap=session_cap, pruned=pruned, tell=tell
            )
        except psycopg.Error as exc:
            raise _explained(exc) from exc
    names = {violation.invariant.name for violation in violations}
    return Checked(
        where(url),
        replica,
        version,
        perf_counter() - began,
        tuple(i for i in wanted if i.name not in names),
        violations,
        tuple(i for i in invariants if i not in wanted),
    )


def broken(
    connection: psycopg.Connection,
    invariants: Sequence[Invariant] = INVARIANTS,
    *,
    session_cap: int | None = None,
    pruned: bool = False,
    tell: Told | None = None,
) -> tuple[Violation, ...]:
    """Return what does not hold, as the transaction of the caller sees it.

    For a test that looks at what it has not committed; `check` opens a snapshot of its
    own. Nothing is written. One statement for each invariant: they are of one moment
    only where the transaction is REPEATABLE READ.

    Args:
        connection: open, of a role that may read every table (authkit_app or
            authkit_backup); a transaction is begun on it, unless it commits by itself.
        invariants: which ones, in this order.
        session_cap: how many live sessions a user may have; None: nobody has too many.
        pruned: old partitions of the audit trail were dropped on purpose.
        tell: called with ("Checking", done, whole) after each.

    Returns:
        One for each that does not hold, with the number of rows that break it and the
        first five of them; empty when all hold.

    Raises:
        psycopg.Error: the server refused a statement: untranslated, for the caller
            knows its own transaction.
    """
    parameters = {"session_cap": session_cap, "pruned": pruned}
    found: list[Violation] = []
    for done, invariant in enumerate(invariants, start=1):
        violation = _ask(connection, invariant, parameters)
        if violation is not None:
            found.append(violation)
        if tell is not None:
            tell("Checking", done, len(invariants))
    return tuple(found)


def _explained(exc: psycopg.Error) -> AuthkitError:
    if isinstance(exc, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return SchemaMismatch(
            "the database lacks a table of the newest schema: authkit db migrate"
        )
    return named(exc, enough=member_of(APP, BACKUP))


def _self(connection: psycopg.Connection) -> tuple[bool, str]:
    row = connection.execute(
        "SELECT pg_is_in_recovery(), current_setting('server_version')"
    ).fetchone()
    if row is None:
        raise psycopg.OperationalError("no answer")
    return bool(row[0]), str(row[1])


def _ask(
    connection: psycopg.Connection,
    invariant: Invariant,
    parameters: dict[str, Any],
) -> Violation | None:
    rows = connection.execute(
        sql.SQL(
            "SELECT found.what, count(*) OVER () FROM ({}) AS found (what)"
            " ORDER BY found.what LIMIT {}"
        ).format(sql.SQL(invariant.sql), sql.Literal(SHOWN)),
        parameters,
    ).fetchall()
    if not rows:
        return None
    return Violation(invariant, int(rows[0][1]), tuple(str(row[0]) for row in rows))
