"""History rescored: each login by what came before it, with any models side by side.

Nothing is written. What was kept beside an attempt is repeated too, bit for bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from authkit.errors import InvalidInput
from authkit.risk.evidence import gather, restored
from authkit.risk.features import features, microseconds
from authkit.risk.history import HORIZON, Histories
from authkit.risk.models import MODELS
from authkit.risk.scoring import Model

_STEP = 2_000
_FIRST = datetime.min.replace(tzinfo=UTC)

_HISTORY = """
    SELECT id, user_id, occurred_at, host(ip), asn, country, user_agent,
           outcome = 'succeeded' AND session_id IS NOT NULL AS completed,
           risk_score, risk_model, risk_model_version, risk_features
    FROM authkit.auth_attempts
    WHERE user_id IS NOT NULL AND outcome <> 'pending'
      AND occurred_at >= %s AND occurred_at < %s
    ORDER BY occurred_at, id
"""


@dataclass(slots=True)
class Rescored:
    """One model over a stretch of history: scores of completed logins and of others."""

    model: str
    version: str
    completed: list[float] = field(default_factory=list[float])
    others: list[float] = field(default_factory=list[float])
    unscored: int = 0

    def asked_again(self, rate: float) -> tuple[float, float] | None:
        """Return the line that asks a rate of completed logins again, and of others.

        None where nothing was scored. The second is the share of the attempts that did
        not complete which lies above the same line.
        """
        if not self.completed or not self.others:
            return None
        ordered = sorted(self.completed)
        line = ordered[max(0, min(len(ordered) - 1, int(len(ordered) * (1 - rate))))]
        others = sorted(self.others)
        return line, 1 - bisect_right(others, line) / len(others)


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay gives: each model, and what became of the scores that were kept."""

    attempts: int
    repeated: int
    differing: int
    foreign: int
    models: tuple[Rescored, ...]


def replay(
    connection: psycopg.Connection[Any],
    models: Sequence[Model],
    since: datetime,
    until: datetime,
    each: Callable[[UUID, datetime, bool, Sequence[float | None]], None] | None = None,
) -> Replay:
    """Rescore what happened between two times, from the history before it.

    Args:
        connection: to the database; nothing is written to it.
        models: side by side.
        since: the first moment.
        until: the first moment that is too late.
        each: told of every attempt: its id, time, whether it completed, and the score
            of each model.

    Raises:
        InvalidInput: a time has no zone, or they are not in order.
    """
    if since.tzinfo is None or until.tzinfo is None:
        raise InvalidInput("the times have no time zone")
    if since >= until:
        raise InvalidInput("the end is not after the start")
    made = [Rescored(model.name, model.version) for model in models]
    histories = Histories()
    attempts = repeated = differing = foreign = 0
    before = max(since, _FIRST + HORIZON) - HORIZON
    for row in _history(connection, before, until):
        attempt, user, at, ip, asn, country, agent, completed, *kept = row
        at_us = microseconds(at)
        seen = features(ip, asn, country, agent, at_us)
        if at >= since:
            attempts += 1
            evidence = gather(seen, histories.of(user, at_us))
            values = [model.judge(evidence).value for model in models]
            if each is not None:
                each(attempt, at, completed, values)
            for value, into in zip(values, made, strict=True):
                if value is None:
                    into.unscored += 1
                else:
                    (into.completed if completed else into.others).append(value)
            same = _repeats(*kept)
            repeated += same is True
            differing += same is False
            foreign += same is None and kept[3] is not None
        if completed:
            histories.learn(user, at_us, seen)
    return Replay(attempts, repeated, differing, foreign, tuple(made))


def _history(
    connection: psycopg.Connection[Any], since: datetime, until: datetime
) -> Iterator[tuple[Any, ...]]:
    """Yield attempts in order of time; a few thousand are in memory at once."""
    with connection.transaction(), connection.cursor(name="authkit_replay") as cursor:
        cursor.itersize = _STEP
        cursor.execute(_HISTORY, (since, until))
        yield from cursor


def _repeats(
    value: float | None, name: str | None, version: str | None, kept: Any
) -> bool | None:
    """Tell whether a kept score comes out again; None where its model is not here."""
    model = None if name is None else MODELS.get(name)
    if model is None or kept is None or version != model.version:
        return None
    if kept.get("parameters") != model.parameters:
        return None
    return model.judge(restored(kept)).value == value
