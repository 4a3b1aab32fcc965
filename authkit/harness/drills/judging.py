"""What was done and seen in one round, turned into its figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from authkit.harness.drills.ledger import WRITES, Call, Span, judge
from authkit.harness.drills.rounds import (
    Colour,
    Round,
    errors_of,
    first_ms,
    freed_ms,
)

DOUBTED = frozenset({"doubt", "applied", "void"})


@dataclass(slots=True)
class Course:
    """The course of one round, filled in as it is played; on the monotonic clock.

    Nodes go by the names that the clients' cluster has for them.
    """

    drill: str
    number: int
    began: float
    # The first number that its writes can have.
    first: int
    timeline: int
    repeated_before: int
    node: str = ""
    harmed: set[str] = field(default_factory=set[str])
    # When its fault began, and when it was complete.
    fault: float = 0.0
    hurt: float = 0.0
    # From when on a write could succeed again, and thanks to what.
    possible: float | None = None
    since: str = ""
    outage: tuple[float, float] | None = None
    idle_since: float | None = None
    split_writes: int | None = None
    late: set[int] = field(default_factory=set[int])


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the clients and the servers had to say at its end.

    `written` is when each writer was first acknowledged after the fault; `rows` is how
    often each number is on the primary; `given_up` are the nodes that were.
    """

    colour: Colour
    calls: tuple[Call, ...]
    spans: tuple[Span, ...]
    written: Mapping[str, float]
    writers: Sequence[str]
    rows: Mapping[int, int]
    repeated: int
    given_up: frozenset[str]
    ended: float


def judged(course: Course, evidence: Evidence) -> Round:
    """Return the round's figures."""
    calls = evidence.calls
    writes = [call for call in calls if call.kind in WRITES]
    reads = [call for call in calls if call.kind not in WRITES]
    write_ms = fault_ms = everyone_ms = None
    if course.possible is not None:
        written, writers = evidence.written, evidence.writers
        write_ms, everyone_ms = first_ms(written, writers, course.possible)
        fault_ms, _ = first_ms(written, writers, course.fault)
    return Round(
        drill=course.drill,
        colour=evidence.colour,
        number=course.number,
        seconds=round(evidence.ended - course.began, 3),
        verdict=judge(calls, evidence.rows, frozenset(course.late)),
        reads=len(reads),
        reads_failed=sum(call.outcome == "failed" for call in reads),
        writes=len(writes),
        writes_doubted=sum(call.outcome in DOUBTED for call in writes),
        writes_refused=sum(call.outcome == "failed" for call in writes),
        given_up=len(evidence.given_up - course.harmed),
        since=course.since,
        write_ms=write_ms,
        fault_ms=fault_ms,
        everyone_ms=everyone_ms,
        freed_ms=freed_ms(evidence.spans, course.node, course.fault),
        amplification=_amplification(course, evidence),
        idle_errors=_idle_errors(course, evidence),
        split_writes=course.split_writes,
        errors=errors_of(calls),
    )


def _amplification(course: Course, evidence: Evidence) -> float | None:
    """Return the attempts per call among the calls that an outage touched."""
    if course.outage is None:
        return None
    began, ended = course.outage
    touched = sum(
        call.began < ended and call.answered > began for call in evidence.calls
    )
    repeated = evidence.repeated - course.repeated_before
    return (touched + repeated) / touched if touched else None


def _idle_errors(course: Course, evidence: Evidence) -> int | None:
    since = course.idle_since
    if since is None:
        return None
    return sum(bool(call.error) and call.began > since for call in evidence.calls)
