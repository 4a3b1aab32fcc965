"""Everything the clients of a drill did: every write with its outcome, every wait.

Rows carry what the checker needs to judge them later on any node: the timeline on which
the server wrote them, and the epoch that the client had seen when it sent them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal, LiteralString

TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS public.drill_writes (
    number bigint NOT NULL,
    epoch int NOT NULL,
    timeline int NOT NULL
);
CREATE INDEX IF NOT EXISTS drill_writes_number ON public.drill_writes (number)
"""
# The epoch is what the client knew, the timeline is what the server stood on. No unique
# key: a row that is there twice is what the checker looks for.
INSERT: LiteralString = """
INSERT INTO public.drill_writes (number, epoch, timeline)
SELECT %s, %s,
       ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
RETURNING timeline
"""
COUNTS: LiteralString = """
SELECT number, count(*) FROM public.drill_writes
WHERE number >= %s GROUP BY number
"""
# Written to a timeline that the client knew to be over.
LATE: LiteralString = """
SELECT number FROM public.drill_writes WHERE number >= %s AND timeline < epoch
"""

Kind = Literal["write", "keyed", "read", "busy"]
WRITES: Final = frozenset({"write", "keyed"})
# done: acknowledged. doubt: unknown. applied and void: was in doubt, then resolved.
Outcome = Literal["done", "doubt", "applied", "void", "failed"]
# Statements that take less are not kept: nothing blocks them.
SHORTEST_SPAN_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client, on the monotonic clock.

    `answered` is when its statement's answer came (the call's end where none came);
    `timeline` is the server's, zero where it is not known.
    """

    kind: Kind
    worker: str
    number: int
    began: float
    answered: float
    outcome: Outcome
    timeline: int = 0
    error: str = ""

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that its write stands."""
        return self.outcome in {"done", "applied"}


@dataclass(frozen=True, slots=True)
class Span:
    """A statement that took long on a node: when it was sent, when its caller woke."""

    node: str
    sent: float
    freed: float


class Ledger:
    """Gathers calls from every thread and task of one colour.

    Args:
        numbers: of the writes; shared by all who write to one table.
    """

    def __init__(self, numbers: Iterator[int]) -> None:
        self._lock = threading.Lock()
        self._numbers = numbers
        self._calls: list[Call] = []
        self._spans: list[Span] = []
        self._epoch = 0
        self.repeated = 0

    def number(self) -> int:
        """Return a number that no other write has."""
        return next(self._numbers)

    def saw(self, epoch: int) -> int:
        """Remember an epoch that a client saw; return the highest of them."""
        with self._lock:
            self._epoch = max(self._epoch, epoch)
            return self._epoch

    def add(self, call: Call) -> None:
        """Note a call that has ended."""
        with self._lock:
            self._calls.append(call)

    def spent(self, node: str, sent: float) -> None:
        """Note that a statement on a node has ended just now."""
        freed = monotonic()
        if freed - sent >= SHORTEST_SPAN_S:
            with self._lock:
                self._spans.append(Span(node, sent, freed))

    def repeats(self, _: object) -> None:
        """Count a repetition (a subscriber to `Retried`)."""
        with self._lock:
            self.repeated += 1

    def answers(self, worker: str, since: float) -> int:
        """Return how many calls that a worker began since then were answered."""
        with self._lock:
            calls = tuple(self._calls)
        return sum(
            call.worker == worker
            and call.began >= since
            and call.outcome in {"done", "applied"}
            for call in calls
        )

    def written(self, timeline: int, since: float) -> dict[str, float]:
        """Return when each worker was first acknowledged on a timeline since then."""
        with self._lock:
            calls = tuple(self._calls)
        first: dict[str, float] = {}
        for call in calls:
            there = call.timeline == timeline and call.answered >= since
            if call.acknowledged and there:
                first.setdefault(call.worker, call.answered)
        return first

    def take(self) -> tuple[tuple[Call, ...], tuple[Span, ...]]:
        """Return what was gathered since the last time."""
        with self._lock:
            calls, self._calls = tuple(self._calls), []
            spans, self._spans = tuple(self._spans), []
        return calls, spans


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker found of one round; every number but `checked` should be 0."""

    checked: int = 0
    lost: tuple[int, ...] = ()
    duplicated: tuple[int, ...] = ()
    late: tuple[int, ...] = ()
    misjudged: tuple[int, ...] = ()


def judge(
    calls: tuple[Call, ...], rows: Mapping[int, int], late: frozenset[int]
) -> Verdict:
    """Compare what clients were told with what the surviving primary has.

    Args:
        calls: of the writers; a number may be called again only by a repetition that
            the cluster itself decided.
        rows: how often each number is there.
        late: numbers found on any node on a timeline older than the client's epoch.

    Returns:
        The verdict. Misjudged is a write that is there although it was resolved as
        void, or failed with an error which says that nothing was applied.
    """
    writes = [call for call in calls if call.kind in WRITES]
    return Verdict(
        checked=sum(call.acknowledged for call in writes),
        lost=tuple(c.number for c in writes if c.acknowledged and c.number not in rows),
        duplicated=tuple(sorted(n for n, times in rows.items() if times > 1)),
        late=tuple(sorted(late)),
        misjudged=tuple(
            call.number
            for call in writes
            if call.outcome in {"void", "failed"} and call.number in rows
        ),
    )
