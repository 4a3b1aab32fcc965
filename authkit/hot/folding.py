"""How calls fold into one statement, and what its rows mean for each caller. Pure.

A fold takes the parameters of calls of one operation and returns those of one
statement; of its rows it makes the answers, in the order of the calls, as if they had
been made one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from authkit.errors import Conflict, DatabaseError, InvalidInput
from authkit.hot import attempts, batches, rate_limits, sessions
from authkit.hot.attempts import AttemptKey
from authkit.hot.batches import FoldedCharge, FoundSession, Touched
from authkit.hot.operation import AnyOperation
from authkit.hot.rate_limits import Charge
from authkit.hot.written import Params, Written

Call: TypeAlias = Sequence[Any]
Calls: TypeAlias = Sequence[Call]
_NONE: Final = timedelta(0)
_ALL: Final = "all"
_OF_ONE: Final = frozenset({"22", "23", "54", "P0"})


def _whole(_: Call) -> Hashable:
    return _ALL


@dataclass(frozen=True, slots=True)
class Fold:
    """How calls of one operation become one statement.

    Calls of one `kind` fold together; one whose kind is None goes alone. `answers`
    is given the calls, in the order of `pack`, and the rows of the statement.
    """

    many: AnyOperation
    pack: Callable[[Calls], Params]
    answers: Callable[[Calls, Sequence[Any]], list[Any]]
    kind: Callable[[Call], Hashable | None] = _whole


def _validate(calls: Calls) -> Params:
    digests: set[bytes] = {call[0] for call in calls}
    return (sorted(digests),)


def _validated(calls: Calls, rows: Sequence[FoundSession]) -> list[Any]:
    found = {row.token_digest: row for row in rows}
    return [
        None if (row := found.get(call[0])) is None else row.session() for call in calls
    ]


def _touch(calls: Calls) -> Params:
    least: dict[UUID, timedelta] = {}
    for key, every in calls:
        known = least.get(key)
        if known is None or every < known:
            least[key] = every
    ids = sorted(least)
    return ids, [least[key] for key in ids]


def _touched(calls: Calls, rows: Sequence[Touched]) -> list[Any]:
    """Touch in turn: after the first who did, only those who always do."""
    idle: dict[UUID, timedelta] = {row.id: row.idle for row in rows}
    done: set[UUID] = set()
    answers: list[int] = []
    for key, every in calls:
        since = _NONE if key in done else idle.get(key)
        touched = since is not None and since >= every
        if touched:
            done.add(key)
        answers.append(int(touched))
    return answers


def _record(calls: Calls) -> Params:
    columns: list[list[Any]] = [list(column) for column in zip(*calls, strict=True)]
    columns[-1] = [
        None if features is None else json.dumps(features) for features in columns[-1]
    ]
    return columns


def _recorded(calls: Calls, rows: Sequence[AttemptKey]) -> list[Any]:
    found = {row.id: row for row in rows}
    return [Written([found[call[1]]], None) for call in calls]


def _same_charge(call: Call) -> Hashable | None:
    """Charges of one policy and cost fold; those of another clock do not."""
    _, _, policy, increment, tolerance, now = call
    return None if now is not None else (policy, increment, tolerance)


def _check(calls: Calls) -> Params:
    counted: dict[tuple[str, str], int] = {}
    for identifier, resource, *_ in calls:
        key = (identifier, resource)
        counted[key] = counted.get(key, 0) + 1
    keys = sorted(counted)
    _, _, policy, increment, tolerance, _ = calls[0]
    return (
        [identifier for identifier, _ in keys],
        [resource for _, resource in keys],
        increment,
        tolerance,
        policy,
        [counted[key] for key in keys],
    )


def _checked(calls: Calls, rows: Sequence[FoldedCharge]) -> list[Any]:
    """Charge in turn: the first of a key are let through, as many as were granted."""
    found = {(row.identifier, row.resource): row for row in rows}
    answered: dict[tuple[str, str], int] = {}
    answers: list[Any] = []
    increment: timedelta = calls[0][3]
    for identifier, resource, *_ in calls:
        key = (identifier, resource)
        row = found[key]
        place = answered[key] = answered.get(key, 0) + 1
        allowed, arrival = place <= row.granted, row.arrival.astimezone(UTC)
        if place < row.granted:
            arrival -= (row.granted - place) * increment
        charge = Charge(1, True, allowed, row.at, arrival, row.blocked_until)
        answers.append(Written([charge], None))
    return answers


FOLDS: Final[dict[str, Fold]] = {
    sessions.VALIDATE.name: Fold(batches.VALIDATE, _validate, _validated),
    sessions.TOUCH.name: Fold(batches.TOUCH, _touch, _touched),
    attempts.RECORD.name: Fold(batches.RECORD, _record, _recorded),
    rate_limits.CHECK.name: Fold(batches.CHECK, _check, _checked, _same_charge),
}


def sorted_out(fold: Fold, calls: Calls) -> list[list[int]]:
    """Return the places of calls that fold together, each kind for itself."""
    if fold.kind is _whole:
        return [list(range(len(calls)))]
    kinds: dict[Hashable, list[int]] = {}
    for place, call in enumerate(calls):
        kinds.setdefault(fold.kind(call), []).append(place)
    return list(kinds.values())


def one_is_to_blame(error: Exception) -> bool:
    """Tell whether a batch may have failed because of one call in it.

    Then nothing of it was applied, and the rest may well succeed. SQLSTATE classes 22
    (data exception), 23 (a constraint), 54 (too large) and P0 (a trigger raised it),
    and what could not even be written.
    """
    if isinstance(error, DatabaseError):
        return error.sqlstate is not None and error.sqlstate[:2] in _OF_ONE
    return isinstance(
        error, Conflict | InvalidInput | TypeError | ValueError | OverflowError
    )
