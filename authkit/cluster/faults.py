"""The driver's and the pool's errors as authkit's own: never a raw one goes out.

No message of the server is passed on: its text and its DETAIL may hold row data. What
is passed on is the SQLSTATE, its name, and the constraint's. The driver's error stays
the cause, so that a traceback shows where; text that may hold row data is taken out.
"""

from __future__ import annotations

import psycopg
from psycopg import errors as driver
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from authkit.cluster.classify import Action, Fault, Intent, Phase, decide
from authkit.errors import (
    AlreadyExists,
    AuthkitError,
    Conflict,
    DatabaseError,
    InDoubt,
    NodeLost,
    NoPrimary,
    NotPermitted,
    RetryLater,
    Saturated,
)

POOL_ERRORS = (PoolTimeout, TooManyRequests, PoolClosed)

# Classes whose text quotes values: data exception, integrity constraint, WITH CHECK
# OPTION, and what a function raised.
_QUOTES_ROWS = ("22", "23", "44", "P0")


def ended_for(
    error: BaseException, outside: BaseException | None
) -> BaseException | None:
    """Return what ended a caller, where an error took its place on the way out.

    Args:
        error: what came out.
        outside: what was being handled before; it is no reason for this.
    """
    before = error.__context__
    while isinstance(before, Exception) and before is not outside:
        before = before.__context__
    return None if before is outside else before


def understand(
    error: psycopg.Error, *, phase: Phase, intent: Intent, broken: bool
) -> Fault:
    """Classify what psycopg raised."""
    return decide(
        error.sqlstate,
        phase=phase,
        intent=intent,
        broken=broken,
        source=error.diag.source_function,
    )


def translate(
    error: psycopg.Error, fault: Fault, *, node: str, key: str | None = None
) -> AuthkitError:
    """Return the error to raise `from` the driver's, which loses what it quotes."""
    code = fault.sqlstate
    if error.sqlstate is not None and error.sqlstate.startswith(_QUOTES_ROWS):
        error.args = (f"{_name(error)}; the server's text is withheld, it quotes rows",)
    if fault.action is Action.DOUBT:
        return InDoubt(
            f"the connection to {node} was lost before the write was confirmed", key=key
        )
    if code == "25006":
        if fault.intent is Intent.WRITE:
            return NoPrimary(f"{node} is not the primary any more; nothing was written")
        return DatabaseError(
            "a reader's connection may not write: ask for cluster.writer()",
            sqlstate=code,
        )
    if code == "53300":
        return Saturated(f"{node} has no connection slot left")
    if fault.discard:
        return NodeLost(f"the connection to {node} was lost; nothing was applied")
    if fault.action.repeats:
        return RetryLater(f"{node} rolled the transaction back ({_name(error)})")
    if fault.action is Action.CALLER:
        return RetryLater(f"a lock was not available ({_name(error)})")
    return _refused(error)


def _refused(error: psycopg.Error) -> AuthkitError:
    code = error.sqlstate
    if code is None:
        return DatabaseError(f"the driver refused it: {type(error).__name__}")
    if code.startswith("23"):
        constraint = error.diag.constraint_name
        kind = AlreadyExists if isinstance(error, driver.UniqueViolation) else Conflict
        named = f" by {constraint}" if constraint else ""
        return kind(f"refused{named} ({_name(error)})", constraint=constraint)
    if code == "42501":
        return NotPermitted(f"the database role may not do this ({code})")
    return DatabaseError(
        f"the server refused the statement ({_name(error)})", sqlstate=code
    )


def of_pool(error: Exception, *, node: str, waited_s: float) -> AuthkitError:
    """Return the error for a pool that gave no connection."""
    if isinstance(error, PoolClosed):
        return NodeLost(f"{node} was given up while waiting for a connection")
    return Saturated(
        f"every connection to {node} was in use for {waited_s:.2f} s: "
        "raise the pool's maximum, or hold connections for less long"
    )


def _name(error: psycopg.Error) -> str:
    return f"{type(error).__name__}, SQLSTATE {error.sqlstate}"
