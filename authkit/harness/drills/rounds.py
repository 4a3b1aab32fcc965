"""What one round of a drill measured, and the distribution over many. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from authkit.figures import Figure, figure
from authkit.harness.drills.ledger import Call, Span, Verdict
from authkit.harness.histogram import Histogram

Colour = Literal["sync", "async"]
PERCENTS: Final = (50.0, 95.0, 99.0)
# From this many rounds on the tail is judged by its 99th percentile.
MANY: Final = 100
BOTH: Final[tuple[Colour, ...]] = ("sync", "async")
WAYS_BACK: Final = ("promotion", "restart", "heal")


@dataclass(frozen=True, slots=True)
class Round:
    """One round. Times in milliseconds; None where nothing of the kind happened.

    `write_ms` is the first write after the moment that `since` names, from which on
    one could succeed.
    """

    drill: str
    colour: Colour
    number: int
    seconds: float
    verdict: Verdict
    reads: int
    reads_failed: int
    writes: int
    writes_doubted: int
    writes_refused: int
    given_up: int
    since: str = ""
    write_ms: float | None = None
    fault_ms: float | None = None
    everyone_ms: float | None = None
    freed_ms: float | None = None
    amplification: float | None = None
    idle_errors: int | None = None
    split_writes: int | None = None
    errors: dict[str, int] = field(default_factory=dict[str, int])

    def as_dict(self) -> dict[str, object]:
        """Return a form for JSON."""
        return asdict(self)


def freed_ms(spans: Iterable[Span], node: str, fault: float) -> float | None:
    """Return how long the longest statement on a node was blocked by its fault."""
    return max(
        (
            1000 * (span.freed - max(span.sent, fault))
            for span in spans
            if span.node == node and span.freed > fault
        ),
        default=None,
    )


def first_ms(
    written: Mapping[str, float], workers: Sequence[str], since: float
) -> tuple[float | None, float | None]:
    """Return when the first of the workers wrote, and when every one had.

    Args:
        written: when each was first acknowledged.
        workers: those who count.
        since: the moment that is zero; what came before it counts as zero.
    """
    moments = [
        max(0.0, 1000 * (written[worker] - since))
        for worker in workers
        if worker in written
    ]
    if not moments:
        return None, None
    return min(moments), max(moments) if len(moments) == len(workers) else None


def errors_of(calls: Iterable[Call]) -> dict[str, int]:
    """Count the errors by their names."""
    counted: dict[str, int] = {}
    for call in calls:
        if call.error:
            name = f"{call.kind} {call.error}"
            counted[name] = counted.get(name, 0) + 1
    return dict(sorted(counted.items()))


@dataclass(frozen=True, slots=True)
class Distribution:
    """Percentiles of one measure over the rounds, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values_ms: Iterable[float | None]) -> Distribution | None:
        """Summarise what was measured; None when nothing was."""
        histogram = Histogram()
        for value in values_ms:
            if value is not None:
                histogram.record(round(1e6 * value))
        if not histogram.count:
            return None
        found = [1e-6 * value for value in histogram.percentiles_ns(PERCENTS)]
        p50, p95, p99 = (round(value, 1) for value in found)
        return cls(histogram.count, p50, p95, p99, round(1e-6 * histogram.max_ns, 1))


@dataclass(frozen=True, slots=True)
class Goals:
    """What a drill is judged by; None is reported without a goal.

    `write_ms` is about promotions; there is no goal for other ways back.
    """

    write_ms: float | None = None
    freed_ms: float | None = None
    amplification: float | None = None
    reads_failed: bool = True
    given_up: bool = False


def figures(rounds: Sequence[Round], goals: Goals, *, durable: bool) -> list[Figure]:
    """Turn the rounds of one colour into figures.

    Args:
        rounds: of one drill and one colour.
        goals: the drill's.
        durable: whether an acknowledged write must survive (synchronous replication).
    """
    colour = rounds[0].colour
    made: list[Figure] = [figure(f"{colour}_rounds", len(rounds))]
    timed: list[tuple[str, list[float | None], float | None]] = []
    for since in WAYS_BACK:
        back = [r for r in rounds if r.since == since]
        goal = goals.write_ms if since == "promotion" else None
        timed += [
            (f"{since}_to_write", [r.write_ms for r in back], goal),
            (f"{since}_to_every_writer", [r.everyone_ms for r in back], None),
        ]
    timed += [
        ("fault_to_write", [r.fault_ms for r in rounds], None),
        ("blocked_call_freed", [r.freed_ms for r in rounds], goals.freed_ms),
    ]
    for name, values, goal in timed:
        made += _timed(f"{colour}_{name}", Distribution.of(values), goal)
    ratios = [r.amplification for r in rounds if r.amplification is not None]
    if ratios or goals.amplification is not None:
        bound = goals.amplification
        made.append(
            figure(
                f"{colour}_retry_amplification",
                round(max(ratios), 3) if ratios else None,
                "x",
                goal=None if bound is None else ("<=", bound),
            )
        )
    idle = [r.idle_errors for r in rounds if r.idle_errors is not None]
    if idle:
        made.append(figure(f"{colour}_idle_caller_errors", sum(idle), goal=("==", 0)))
    split = [r.split_writes for r in rounds if r.split_writes is not None]
    if split:
        made.append(figure(f"{colour}_writes_during_a_tie", sum(split), goal=("==", 0)))
    counted: tuple[tuple[str, int, bool], ...] = (
        ("old_timeline_writes", sum(len(r.verdict.late) for r in rounds), True),
        ("duplicated_writes", sum(len(r.verdict.duplicated) for r in rounds), True),
        ("acknowledged_writes_lost", sum(len(r.verdict.lost) for r in rounds), durable),
        ("writes_misjudged", sum(len(r.verdict.misjudged) for r in rounds), durable),
        ("failed_reads", sum(r.reads_failed for r in rounds), goals.reads_failed),
    )
    made += [
        figure(f"{colour}_{name}", value, goal=("==", 0) if judged else None)
        for name, value, judged in counted
    ]
    if goals.given_up:  # elsewhere servers are restarted on the drill's behalf
        given_up = sum(r.given_up for r in rounds)
        made.append(
            figure(f"{colour}_healthy_nodes_given_up", given_up, goal=("==", 0))
        )
    made += [
        figure(f"{colour}_acknowledged_writes", sum(r.verdict.checked for r in rounds)),
        figure(f"{colour}_writes_in_doubt", sum(r.writes_doubted for r in rounds)),
        figure(f"{colour}_writes_refused", sum(r.writes_refused for r in rounds)),
        figure(f"{colour}_reads", sum(r.reads for r in rounds)),
    ]
    return made


def _timed(name: str, found: Distribution | None, goal: float | None) -> list[Figure]:
    if found is None:
        if goal is None:
            return []
        return [figure(f"{name}_max_ms", None, "ms", goal=("<=", goal))]
    many = found.count >= MANY
    judged = None if goal is None else ("<=", goal)
    return [
        figure(f"{name}_p50_ms", found.p50, "ms"),
        figure(f"{name}_p99_ms", found.p99, "ms", goal=judged if many else None),
        figure(f"{name}_max_ms", found.max, "ms", goal=None if many else judged),
    ]
