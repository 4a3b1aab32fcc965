"""What the tour's run proves: figures, whether to believe them, the report's story.

Pure: everything observed comes in, nothing is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from authkit.figures import Figure, figure
from authkit.harness import series
from authkit.harness.database import DatabaseSide
from authkit.harness.history import Write, outage
from authkit.harness.phases import BEFORE, Mark, Phase, phases
from authkit.harness.recorder import Recording
from authkit.harness.report import Drawing, Story, Tile

OUTAGE_MS: Final = 3000
# What the report lists; the rest stands in its other tables.
_SHOWN: Final = (
    "operations",
    "operations_per_s",
    "errors",
    "reads_failed",
    "outage_ms",
    "promotion_ms",
    "rejoin_ms",
    "acknowledged_writes",
    "acknowledged_writes_lost",
)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was seen. Times are wall-clock seconds; nodes by name.

    `lost` are acknowledged writes that at least one of the checks did not find;
    `checks` says in words what was asked for them, and when.
    """

    recording: Recording
    span: tuple[float, float]
    marks: tuple[Mark, ...]
    start_roles: Mapping[str, str]
    writes: tuple[Write, ...]
    lost: tuple[Write, ...]
    checks: tuple[str, ...]
    reads: Collection[str]
    problem: str | None = None
    database: DatabaseSide = field(default_factory=DatabaseSide)
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    def moment(self, what: str) -> float | None:
        """Return when something first happened, None when it did not."""
        return next((mark.at_s for mark in self.marks if mark.what == what), None)

    @property
    def fault(self) -> tuple[float, float] | None:
        """When the primary was killed, and when the replica had been promoted."""
        killed, promoted = self.moment("killed"), self.moment("promoted")
        return None if killed is None or promoted is None else (killed, promoted)

    @property
    def outage(self) -> tuple[float, float] | None:
        """The last acknowledged write before the outage and the first one after it."""
        return None if self.fault is None else outage(self.writes, self.fault)

    @property
    def outage_ms(self) -> float | None:
        """How long no write was acknowledged around the kill."""
        if self.outage is None:
            return None
        return round((self.outage[1] - self.outage[0]) * 1000, 1)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Before, during and after the outage."""
        if self.fault is None:
            return phases(self.span, self.recording.slot_s)
        back = None if self.outage is None else self.outage[1]
        return phases(self.span, self.recording.slot_s, (self.fault[0], back))


def invalid(seen: Observed) -> str | None:
    """Say why what was seen proves nothing, or None when it can be believed."""
    if seen.problem is not None:
        return seen.problem
    if not seen.recording.select().succeeded:
        return "no operation succeeded"
    if seen.fault is None:
        return "the failover did not take place"
    killed, promoted = seen.fault
    if not any(write.at_s < killed for write in seen.writes):
        return "no write was acknowledged before the failover"
    if not any(write.at_s > promoted for write in seen.writes):
        return "no write was acknowledged after the failover"
    served = {
        (key.node, key.role)
        for (_, key), cell in seen.recording.cells.items()
        if cell.succeeded
    }
    for node, role in seen.start_roles.items():
        if (node, role) not in served:
            return f"{node} served nothing as the {role}"
    new = next(mark.node for mark in seen.marks if mark.what == "promoted")
    if (new, "primary") not in served:
        return f"{new} served nothing after its promotion"
    if seen.moment("streaming") is None:
        return "the old primary did not follow the new one in the end"
    return None


def figures(seen: Observed, report_path: str) -> tuple[Figure, ...]:
    """Return every figure of the run."""
    total = seen.recording.select()
    seconds = seen.span[1] - seen.span[0]
    failed_reads = seen.recording.select(lambda key: key.operation in seen.reads)
    made = [
        figure("operations", total.calls),
        figure("operations_per_s", round(total.calls / seconds, 1), "1/s"),
        figure("errors", total.failed.count),
        *(
            figure(f"errors.{name}", count)
            for name, count in series.error_counts(seen.recording).items()
        ),
        figure("reads_failed", failed_reads.failed.count),
        figure("outage_ms", seen.outage_ms, "ms", goal=("<=", OUTAGE_MS)),
        figure("promotion_ms", _between(seen, "killed", "promoted"), "ms"),
        figure("rejoin_ms", _between(seen, "rejoining", "streaming"), "ms"),
        figure("acknowledged_writes", len(seen.writes)),
        figure("acknowledged_writes_lost", len(seen.lost), goal=("==", 0)),
    ]
    made += [
        figure(f"{row['operation']}.{name}_ms", row[name], "ms")
        for row in series.percentiles(seen.recording, ())
        for name in ("p50", "p99")
    ]
    return (*made, Figure("report", report_path))


def _between(seen: Observed, first: str, then: str) -> float | None:
    began, ended = seen.moment(first), seen.moment(then)
    return None if began is None or ended is None else round((ended - began) * 1000, 1)


def story(
    seen: Observed, made: tuple[Figure, ...], drawings: tuple[Drawing, ...]
) -> Story:
    """Return what the report tells."""
    total = seen.recording.select()
    seconds = seen.span[1] - seen.span[0]
    killed = seen.moment("killed")
    marks = [mark for mark in seen.marks if mark.what != "rejoining"]
    if seen.outage is not None:
        back = seen.outage[1]
        new = next(mark.node for mark in seen.marks if mark.what == "promoted")
        # The command that promotes may return after the first write on the new primary.
        marks = [
            replace(mark, at_s=min(mark.at_s, back)) if mark.node == new else mark
            for mark in marks
        ]
        marks.append(Mark(back, "writing", new))
    reason = invalid(seen)
    lost = len(seen.lost)
    summary = (
        f"{_count(total.calls)} operations ran for {seconds:.0f} seconds on a primary"
        f" and its synchronous replica."
    )
    if reason is None and killed is not None and seen.outage_ms is not None:
        summary += (
            f" After {killed - seen.span[0]:.1f} seconds the primary was killed and"
            " the replica promoted: no write was acknowledged for"
            f" {_count(round(seen.outage_ms))} ms. Of {_count(len(seen.writes))}"
            f" acknowledged writes {_count(lost) if lost else 'none'}"
            f" {'were' if lost > 1 else 'was'} lost."
        )
    return Story(
        title="A failover under load",
        summary=summary,
        recording=seen.recording,
        span=seen.span,
        tiles=_tiles(seen, total.calls, total.failed.count, seconds),
        figures=tuple(f for f in made if f.name in _SHOWN or f.name[:7] == "errors."),
        marks=tuple(marks),
        phases=seen.phases,
        start_roles=seen.start_roles,
        database=seen.database,
        settings={**seen.settings, "checked": "; ".join(seen.checks)},
        drawings=drawings,
        invalid=reason,
    )


def _tiles(seen: Observed, calls: int, failed: int, seconds: float) -> tuple[Tile, ...]:
    outage_ms = seen.outage_ms
    lost = len(seen.lost)
    before = next((p for p in seen.phases if p.name == BEFORE), None)
    check = seen.recording.select(
        lambda key: key.operation == "sessions.validate",
        None if before is None else before.holds,
    ).service.percentile_ns(99.0)
    return (
        Tile(
            "operations", _count(calls), f"{_count(round(calls / seconds))} per second"
        ),
        Tile(
            "outage for writes",
            "not seen" if outage_ms is None else f"{_count(round(outage_ms))} ms",
            f"goal: at most {_count(OUTAGE_MS)} ms",
            outage_ms is not None and outage_ms <= OUTAGE_MS,
        ),
        Tile("acknowledged writes", _count(len(seen.writes)), "each read back"),
        Tile("lost writes", _count(lost), "goal: none", lost == 0),
        Tile("failed calls", _count(failed), f"of {_count(calls)}"),
        Tile(
            "session check, p99",
            "none" if check is None else f"{check / 1e6:.3g} ms",
            "before the failover",
        ),
    )


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
