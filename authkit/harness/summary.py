"""The figures of a load run, from its recording: totals, by operation, by phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from authkit.figures import Figure, figure
from authkit.harness import phases, series
from authkit.harness.faults import Fault
from authkit.harness.phases import ALL, Mark, Phase, Struck, effect
from authkit.harness.recording import Recording

STALE_READ: Final = "stale read"
STALE_AUTHORISATION: Final = "stale authorisation"
RETRY: Final = "retry"
BREAKER_OPENED: Final = "breaker opened"
IN_DOUBT: Final = "in doubt"
# Arrivals of an open loop that were due and not begun when it ended.
WAITING: Final = "waiting at the end"
_COUNTED: Final = (STALE_READ, RETRY, BREAKER_OPENED, IN_DOUBT)
# Of these a single one is one too many, whatever the goals say.
_NEVER: Final = (STALE_AUTHORISATION,)
COUNTED: Final = (*_NEVER, *_COUNTED)


@dataclass(frozen=True, slots=True)
class Told:
    """What one fault did to a run.

    `of` is its kind, with a number where there were several of a kind. `struck` is when
    it began and when it was lifted or answered, in wall-clock seconds; `outage` the
    longest time without an answer of the role it took out, None when that was not seen
    to come back.
    """

    of: str
    struck: tuple[float, float]
    outage: tuple[float, float] | None

    @property
    def recovery_ms(self) -> float | None:
        """How long the outage was."""
        if self.outage is None:
            return None
        return round((self.outage[1] - self.outage[0]) * 1000, 3)


def told(
    recording: Recording, faults: Sequence[Fault], marks: Sequence[Mark]
) -> tuple[Told, ...]:
    """Return what each fault of a run did that struck, in their order."""
    found: list[Told] = []
    for number, fault in enumerate(faults):
        struck = effect([mark for mark in marks if mark.fault == number])
        if struck is None:
            continue
        alike = sum(one.kind == fault.kind for one in faults[:number])
        name = f"{fault.kind}-{alike + 1}" if alike else fault.kind
        found.append(Told(name, struck, recording.silence(fault.role, *struck)))
    return tuple(found)


def cut(
    span: tuple[float, float], recording: Recording, faults: Sequence[Told]
) -> tuple[Phase, ...]:
    """Cut a run into its phases; a fault lasts until its outage is over."""
    return phases.cut(
        span,
        recording.slot_s,
        [
            Struck(
                one.struck[0],
                None if one.outage is None else max(one.struck[1], one.outage[1]),
                one.of if len(faults) > 1 else "",
            )
            for one in faults
        ],
    )


def longest_ms(faults: Sequence[Told]) -> float | None:
    """Return the longest recovery; None when there was none, or one was not seen."""
    found = [one.recovery_ms for one in faults]
    seen = [value for value in found if value is not None]
    return max(seen, default=None) if len(seen) == len(found) else None


def of_run(recording: Recording, seconds: float) -> tuple[Figure, ...]:
    """Return the figures of the whole run: totals, then latency by operation."""
    total = recording.select()
    per_s = round(total.succeeded / seconds, 1) if seconds > 0 else None
    figures = [
        figure("operations", total.calls),
        figure("operations_per_s", per_s, "1/s"),
        figure("errors", total.failed.count),
    ]
    lag = series.lag_percentiles(recording)
    if lag is not None:
        figures.append(figure("generator_lag_p99_ms", lag["p99_ms"], "ms"))
    if recording.loop == "open":
        figures += [
            figure("late_arrivals", recording.late),
            figure("skipped_arrivals", recording.skipped),
            figure("waiting_arrivals", recording.counted(WAITING)),
            figure("response_p99_ms", _ms(total.response.percentile_ns(99.0)), "ms"),
        ]
    figures += [
        figure("service_p99_ms", _ms(total.service.percentile_ns(99.0)), "ms"),
        figure("pool_waits", total.wait.count),
        figure("pool_wait_p99_ms", _ms(total.wait.percentile_ns(99.0)), "ms"),
    ]
    figures += [
        figure(_name(what), recording.counted(what), goal=("==", 0)) for what in _NEVER
    ]
    figures += [figure(_name(what), recording.counted(what)) for what in _COUNTED]
    for row in series.percentiles(recording, ()):
        figures += [
            figure(f"{row['operation']}.{name}_ms", row[name], "ms")
            for name in ("p50", "p95", "p99", "p99.9")
        ]
    for row in series.visits(recording):
        figures += [
            figure(f"visit.{row['visit']}.{name}_ms", row[name], "ms")
            for name in ("p50", "p95", "p99", "p99.9")
        ]
    return tuple(figures)


def of_phases(recording: Recording, cuts: Sequence[Phase]) -> tuple[Figure, ...]:
    """Return calls, share of errors and latency of each phase."""
    figures: list[Figure] = []
    for phase in cuts:
        if phase.name == ALL or phase.first == phase.end:
            continue
        cell = recording.select(None, phase.holds)
        latency = series.latency_of(recording, cell)
        rate = round(cell.failed.count / cell.calls, 6) if cell.calls else None
        figures += [
            figure(f"{phase.title}.operations", cell.calls),
            figure(f"{phase.title}.error_rate", rate, "1"),
            figure(f"{phase.title}.p50_ms", _ms(latency.percentile_ns(50.0)), "ms"),
            figure(f"{phase.title}.p99_ms", _ms(latency.percentile_ns(99.0)), "ms"),
        ]
        figures += [
            figure(f"{phase.title}.{_name(what)}", recording.counted(what, phase.holds))
            for what in COUNTED
        ]
    return tuple(figures)


def of_faults(faults: Sequence[Told]) -> tuple[Figure, ...]:
    """Return how long each fault lasted and how long it took to recover from it.

    Of several the first figures are of the longest.
    """
    if not faults:
        return ()
    lasted = [round((one.struck[1] - one.struck[0]) * 1000, 3) for one in faults]
    figures = [
        figure("fault_ms", max(lasted), "ms"),
        figure("recovery_ms", longest_ms(faults), "ms"),
    ]
    if len(faults) > 1:
        for one, fault_ms in zip(faults, lasted, strict=True):
            figures += [
                figure(f"{one.of}.fault_ms", fault_ms, "ms"),
                figure(f"{one.of}.recovery_ms", one.recovery_ms, "ms"),
            ]
    return tuple(figures)


def _name(what: str) -> str:
    """Return the figure's name: a noun in the plural, with underscores."""
    plural = {
        STALE_READ: "stale_reads",
        STALE_AUTHORISATION: "stale_authorisations",
        RETRY: "retries",
        BREAKER_OPENED: "breaker_openings",
        IN_DOUBT: "writes_in_doubt",
    }
    return plural[what]


def _ms(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / 1e6, 3)
