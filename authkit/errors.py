"""Every error that authkit raises, named by what the caller can do next.

One root, `AuthkitError`. Messages are sentences without secrets, tokens, passwords
or row detail. An outcome with a security effect (denied, replayed, locked) is a
value and never one of these: raising would roll back the very count it reports.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class AuthkitError(Exception):
    """Root of every error that authkit raises on purpose."""


# --- Mend the configuration or the call -------------------------------------------


class ConfigError(AuthkitError):
    """The configuration must change; `problems` lists every fault found at once."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("; ".join(self.problems))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[str, ...]]]:
        """Be copied and pickled by its problems: not by its message's letters."""
        return type(self), (self.problems,)


class InvalidInput(AuthkitError, ValueError):
    """An argument is not acceptable; the database was not asked."""


class SchemaMismatch(AuthkitError):
    """The database is of another schema version than this code; migrate or upgrade."""


class NotPermitted(AuthkitError):
    """The database role may not do this (SQLSTATE 42501); use another role."""


class LabError(AuthkitError):
    """The embedded cluster cannot do what was asked; the message says what to do."""


class BackupError(AuthkitError):
    """A backup was not made, is not whole, or cannot be restored as asked."""


# --- Look at the data --------------------------------------------------------------


class NotFound(AuthkitError):
    """The row that was named does not exist (any more)."""


class Conflict(AuthkitError):
    """A constraint forbids it (SQLSTATE 23xxx); `constraint` names which one."""

    def __init__(self, message: str, *, constraint: str | None = None) -> None:
        self.constraint: str | None = constraint
        super().__init__(message)


class AlreadyExists(Conflict):
    """A row with the same unique key is there (SQLSTATE 23505)."""


# --- Try again ---------------------------------------------------------------------


class RetryLater(AuthkitError):
    """The server rolled the transaction back; running all of it again is safe."""


class Unavailable(AuthkitError):
    """No node can serve this now; nothing was applied, trying again later is safe."""


class NoPrimary(Unavailable):
    """No node is known to be the primary: writes must wait."""


class NoReplica(Unavailable):
    """No replica satisfies the asked lag or token, and the primary is not reachable."""


class SplitBrain(Unavailable):
    """Two primaries share the highest timeline: writes are refused until one yields."""


class NodeLost(Unavailable):
    """The node went away in the middle of it; nothing was applied, try again now."""


class Saturated(Unavailable):
    """Every connection of the node is in use and the wait for one ran out."""


class DeadlineExceeded(Unavailable):
    """The deadline of the call ended before the work was sent."""


class Closed(Unavailable):
    """The cluster, kit or pool was closed, or belongs to another process."""


# --- Find out first ----------------------------------------------------------------


class InDoubt(AuthkitError):
    """The commit was sent and its answer never came: applied or not is unknown.

    `key` is the idempotency key the write was given, if any; with it
    `cluster.resolve(key)` says which of the two happened.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        self.key: str | None = key
        super().__init__(message)


class TokenLost(AuthkitError):
    """A consistency token points past the end of its timeline: its write is gone."""


# --- Report it ---------------------------------------------------------------------


class DatabaseError(AuthkitError):
    """The server refused a statement; `sqlstate` says why (PostgreSQL appendix A)."""

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        self.sqlstate: str | None = sqlstate
        super().__init__(message)
