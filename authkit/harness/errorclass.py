"""Names errors for statistics: SQLSTATE classes and class names, never messages.

Locust groups errors by `repr(exc)`; PostgreSQL's DETAIL repeats the row's values, so
that would put addresses and tokens into reports.
"""

from __future__ import annotations

from typing import Final

# Appendix A of the PostgreSQL documentation, the classes a client of ours can meet.
_CLASSES: Final = {
    "08": "connection",
    "22": "data",
    "23": "constraint",
    "25": "transaction state",
    "26": "prepared statement",
    "28": "authorization",
    "40": "rollback",
    "42": "syntax or access",
    "53": "resources",
    "55": "object state",
    "57": "operator intervention",
    "58": "system",
    "XX": "internal",
}


def error_class(error: BaseException) -> str:
    """Return a name for an error that holds nothing of its data.

    `NoPrimary` for an error of ours, `40 rollback` for one of the server's (its
    SQLSTATE class), the name of its class for any other.
    """
    state = _sqlstate(error) or _sqlstate(error.__cause__)
    name = type(error).__name__
    if type(error).__module__.startswith("authkit."):
        return name if state is None else f"{name} ({state[:2]})"
    if state is None:
        return name
    return f"{state[:2]} {_CLASSES.get(state[:2], 'other')}"


def _sqlstate(error: BaseException | None) -> str | None:
    state: object = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) and len(state) == 5 else None


class CallFailed(Exception):
    """What locust is told of a failed call: the class of its error and no more."""

    def __repr__(self) -> str:
        return str(self)
