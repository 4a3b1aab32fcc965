"""Driver errors by what may be done about them: SQLSTATE x phase x intent. Pure.

SQLSTATEs are PostgreSQL's (documentation, appendix A), matched as codes and classes,
never by message: messages are translated by the server. An error of the connect phase
carries none; the phase says enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Phase(Enum):
    """How far a transaction had come when it failed."""

    CONNECT = "connect"
    WORK = "work"
    COMMIT = "commit"
    AUTOCOMMIT = "autocommit"

    @property
    def may_have_committed(self) -> bool:
        """Whether the server may have applied it without our hearing of it."""
        return self in {Phase.COMMIT, Phase.AUTOCOMMIT}


class Intent(Enum):
    """What the caller said it would do."""

    READ = "read"
    WRITE = "write"


class Action(Enum):
    """What may be done with the transaction now."""

    REPEAT = "repeat all of it"
    ELSEWHERE = "repeat all of it on another node"
    RECONNECT = "repeat all of it on a new connection"
    DEALLOCATE = "forget the prepared statements and repeat it once"
    DOUBT = "find out whether it was applied"
    CALLER = "the caller decides"
    STOP = "do not repeat it"

    @property
    def repeats(self) -> bool:
        """Whether running the whole transaction again is safe."""
        return self in {
            Action.REPEAT,
            Action.ELSEWHERE,
            Action.RECONNECT,
            Action.DEALLOCATE,
        }


class Blame(Enum):
    """What the error says of the node."""

    NOTHING = "nothing"
    SUSPECT = "look closer"
    FAILURE = "count it and look closer"
    DEMOTED = "it is no primary any more"


@dataclass(frozen=True, slots=True)
class Fault:
    """An error, understood. `discard` says that its connection is of no more use."""

    sqlstate: str | None
    phase: Phase
    intent: Intent
    action: Action
    blame: Blame = Blame.NOTHING
    discard: bool = False


# Rolled back by the server, whole: serialization failure, deadlock, integrity
# constraint that a concurrent transaction made fail.
ROLLED_BACK = frozenset({"40000", "40001", "40002", "40P01"})
# The server ended an idle session: it sends these before it reads the next statement.
SESSION_ENDED = frozenset({"57P05", "25P03", "25P04"})
# Statement or transaction completion unknown, transaction resolution unknown.
OUTCOME_UNKNOWN = frozenset({"40003", "08007"})
# Disk full, out of memory, system error, corrupted data or index, internal error.
NODE_SICK = ("53100", "53200", "58", "XX")
# The function of the server that says "cached plan must not change result type"
# (src/backend/utils/cache/plancache.c); 0A000 alone says any unsupported feature.
REPLANS = "RevalidateCachedQuery"


def decide(
    sqlstate: str | None,
    *,
    phase: Phase,
    intent: Intent,
    broken: bool = False,
    source: str | None = None,
) -> Fault:
    """Classify one error; this is the whole matrix.

    Args:
        sqlstate: of the error; None for one that libpq made.
        phase: how far the transaction had come.
        intent: what the connection was asked for.
        broken: whether the connection is lost.
        source: the server's function that raised it, where it was told.
    """
    code = sqlstate or ""
    if phase is Phase.CONNECT:
        return Fault(
            sqlstate, phase, intent, Action.ELSEWHERE, Blame.SUSPECT, discard=True
        )
    if code in OUTCOME_UNKNOWN:
        action = Action.ELSEWHERE if intent is Intent.READ else Action.DOUBT
        return Fault(sqlstate, phase, intent, action, Blame.FAILURE, discard=True)
    if code in SESSION_ENDED:
        return Fault(sqlstate, phase, intent, Action.RECONNECT, discard=True)
    if code in {"53300", "57P03"}:
        return Fault(sqlstate, phase, intent, Action.ELSEWHERE, discard=True)
    if broken or code.startswith(("08", "57P")):
        return _lost(sqlstate, phase, intent)
    return _told(code, sqlstate, phase, intent, source)


def _lost(sqlstate: str | None, phase: Phase, intent: Intent) -> Fault:
    """The connection went away: 08*, 57P*, or no word at all."""
    if intent is Intent.READ:
        action = Action.ELSEWHERE
    elif phase.may_have_committed:
        action = Action.DOUBT
    else:
        action = Action.RECONNECT
    return Fault(sqlstate, phase, intent, action, Blame.FAILURE, discard=True)


def _told(
    code: str,
    sqlstate: str | None,
    phase: Phase,
    intent: Intent,
    source: str | None,
) -> Fault:
    """The server refused a statement and the connection lives."""
    if code in ROLLED_BACK:
        # On a replica this is a recovery conflict: another one may not have it.
        action = Action.ELSEWHERE if intent is Intent.READ else Action.REPEAT
        return Fault(sqlstate, phase, intent, action)
    if code == "25006":
        if intent is Intent.READ:
            return Fault(sqlstate, phase, intent, Action.STOP)
        return Fault(
            sqlstate, phase, intent, Action.ELSEWHERE, Blame.DEMOTED, discard=True
        )
    if code == "26000" or (code == "0A000" and source == REPLANS):
        return Fault(sqlstate, phase, intent, Action.DEALLOCATE)
    if code == "55P03":
        return Fault(sqlstate, phase, intent, Action.CALLER)
    if code.startswith(NODE_SICK):
        return Fault(sqlstate, phase, intent, Action.STOP, Blame.FAILURE)
    return Fault(sqlstate, phase, intent, Action.STOP)
