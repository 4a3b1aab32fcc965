"""What a load run leaves behind: figures, report, recording, exit code."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from authkit.errors import AuthkitError, InvalidInput
from authkit.figures import Figure, Report
from authkit.harness import aftermath, report, results, series, slo, summary
from authkit.harness.database import DatabaseSide
from authkit.harness.phases import Phase
from authkit.harness.recording import Recording
from authkit.harness.summary import Told

if TYPE_CHECKING:
    from authkit.harness.run import LoadRun

logger: Final = logging.getLogger("authkit.harness")


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended: what it measured, cut into phases, and when it was."""

    recording: Recording
    span: tuple[float, float]
    faults: tuple[Told, ...]
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """How long it measured."""
        return self.span[1] - self.span[0]


def ended(run: LoadRun) -> Ended:
    """Cut what a run measured into its phases."""
    recording = run.total()
    started = run.started_s or run.clock()
    # Of several workers the first to be ready may have begun before the run did.
    if recording.span is not None and recording.span[0] + recording.slot_s < started:
        started = recording.span[0]
    stopped = run.stopped_s or run.clock()
    # Workers go on for a moment after the master has told them to end.
    if recording.span is not None:
        stopped = max(stopped, recording.span[1] - recording.slot_s)
    span = (started, stopped)
    faults = summary.told(recording, run.options.faults, run.marks)
    return Ended(recording, span, faults, summary.cut(span, recording, faults))


def judge(
    goals: slo.Slo | None, end: Ended, failure: str | None
) -> tuple[str | None, tuple[Figure, ...]]:
    """Return why the run is invalid (None when it is not), and the figures of goals."""
    limits = goals or slo.Slo()
    reason = failure or slo.invalid(limits, end.recording)
    outage_ms = summary.longest_ms(end.faults)
    return reason, slo.evaluate(limits, end.recording, end.phases, outage_ms)


def finish(
    run: LoadRun, failure: str | None, overrides: Mapping[str, Any]
) -> int | None:
    """Write what was asked for and return the exit code.

    Returns:
        2 when the run proves nothing, 1 when a goal is missed, 0 when goals were given
        and all hold; None when none were given, so that locust's own rule applies.
    """
    end = ended(run)
    recording = end.recording
    reason, goals = judge(run.options.slo, end, failure)
    written: tuple[Figure, ...] = ()
    if run.options.faults and run.options.history is not None and failure is None:
        urls = [url.get_secret_value() for url in run.settings(overrides).urls]
        try:
            written = aftermath.of_writes(urls, run.options.history)
        except AuthkitError as exc:
            reason = reason or f"the writes could not be checked: {exc}"
    made = Report(
        command="load",
        started=datetime.fromtimestamp(end.span[0], UTC),
        seconds=end.seconds,
        figures=(
            *summary.of_run(recording, end.seconds),
            *summary.of_faults(end.faults),
            *summary.of_phases(recording, end.phases),
            *written,
            *goals,
        ),
        postgres=run.postgres,
        extra={
            "valid": reason is None,
            "reason": reason,
            "profile": run.profile.name,
            "loop": recording.loop,
            "faults": [fault.as_dict() for fault in run.options.faults],
            "marks": [mark.as_dict() for mark in run.marks],
            "errors": series.error_counts(recording),
            "percentiles": series.percentiles(recording, end.phases),
        },
    )
    try:
        _write(run, made, end, reason)
    except InvalidInput as exc:
        reason = str(exc)
    if reason is not None:
        logger.error("the run proves nothing: %s", reason)
        return 2
    for missed in (found for found in made.figures if found.holds is False):
        if missed.value is None:
            logger.error("goal missed: %s was not measured", missed.name)
        else:
            logger.error("goal missed: %s is %s", missed.name, missed.value)
    if run.options.slo is None and made.holds and not run.options.faults:
        return None
    return made.exit_code


def _write(run: LoadRun, made: Report, end: Ended, reason: str | None) -> None:
    options = run.options
    if options.json is not None:
        made.write_json(options.json)
    if options.results is not None:
        results.append(options.results, made)
    if options.recording is not None:
        form: dict[str, Any] = {"started_s": end.span[0], "seconds": end.seconds}
        text = json.dumps({**form, "recording": end.recording.as_dict()})
        try:
            options.recording.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise InvalidInput(f"cannot write {options.recording}") from exc
    if options.report is not None and end.recording.cells:
        story = report.with_short_names(_story(run, made, end, reason))
        report.write(story, options.report)


def _story(run: LoadRun, made: Report, end: Ended, reason: str | None) -> report.Story:
    recording, total = end.recording, end.recording.select()
    roles: dict[str, str] = {}
    for (_, key), _cell in sorted(recording.cells.items()):
        roles.setdefault(key.node, key.role)
    roles.pop("none", None)
    return report.Story(
        title=f"Load: {run.profile.title or run.profile.name}",
        summary=(
            f"{total.calls:,} operations in {end.seconds:.0f} seconds,"
            f" {total.failed.count:,} of them failed."
        ),
        recording=recording,
        span=end.span,
        tiles=(
            *headlines(recording, end.seconds),
            *_arrival_tiles(run, recording),
            *_fault_tiles(made, end),
        ),
        figures=made.figures,
        marks=run.marks,
        phases=end.phases,
        outages=tuple(one.outage for one in end.faults if one.outage is not None),
        start_roles=roles,
        database=run.database or DatabaseSide(),
        settings=_settings(run),
        invalid=reason,
    )


def headlines(recording: Recording, seconds: float) -> tuple[report.Tile, ...]:
    """Return what the page of every run begins with: its calls, and their latency.

    Rate and latency are of calls that succeeded; where none did, latency is a dash.
    """
    total = recording.select()
    latency = series.latency_of(recording, total)
    what = "response" if recording.loop == "open" else "service"
    p50, p99 = (_ms(latency.percentile_ns(percent)) for percent in (50, 99))
    succeeded = f"{total.succeeded / seconds:,.0f} per second succeeded"
    return (
        report.Tile("operations", f"{total.calls:,}", succeeded),
        report.Tile(f"{what} time, p50", p50, "all operations"),
        report.Tile(f"{what} time, p99", p99, "all operations"),
        report.Tile("failed", f"{total.failed.count:,}", "calls"),
    )


def _ms(found_ns: int | None) -> str:
    return "–" if found_ns is None else f"{report.milliseconds(found_ns / 1e6)} ms"  # noqa: RUF001 # a dash, as tables write nothing


def _arrival_tiles(run: LoadRun, recording: Recording) -> tuple[report.Tile, ...]:
    if recording.loop != "open":
        return ()
    missed = recording.skipped + recording.counted(summary.WAITING)
    asked = f"{run.profile.rate:g} per second were due"
    return (report.Tile("arrivals not begun", f"{missed:,}", asked),)


def _fault_tiles(made: Report, end: Ended) -> tuple[report.Tile, ...]:
    if not end.faults:
        return ()
    value = summary.longest_ms(end.faults)
    recovery = "never" if value is None else f"{value / 1000:.2f} s"
    tiles = [report.Tile("recovery", recovery, "longest time without an answer")]
    for name, label in (
        ("acknowledged_writes_lost", "acknowledged writes lost"),
        ("stale_authorisations", "stale authorisations"),
    ):
        tiles += [
            report.Tile(label, str(found.value), "must be none", found.holds)
            for found in made.figures
            if found.name == name
        ]
    return tuple(tiles)


def _settings(run: LoadRun) -> dict[str, str]:
    profile = run.profile
    low, high = profile.think_ms
    pace = (
        f"open loop, {profile.rate:g} {profile.arrivals} arrivals per second"
        if profile.model == "open"
        else f"closed loop, users pause {low:g} to {high:g} ms"
    )
    faults = run.options.faults
    share, lag = profile.replica_share, profile.max_lag_ms
    return {
        "profile": profile.name,
        "load": pace,
        **({"faults": "; ".join(map(str, faults))} if faults else {}),
        "reads to a replica": f"{share:.0%}, at most {lag:g} ms behind",
        "PostgreSQL": run.postgres or "unknown",
    }
