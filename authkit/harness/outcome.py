"""What a load run leaves behind: figures, report, recording, exit code."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from authkit.errors import InvalidInput
from authkit.figures import Figure, Report, figure
from authkit.harness import report, series, slo
from authkit.harness.database import DatabaseSide
from authkit.harness.phases import phases
from authkit.harness.recorder import Recording

if TYPE_CHECKING:
    from authkit.harness.run import LoadRun

logger: Final = logging.getLogger("authkit.harness")


def summarise(recording: Recording, seconds: float) -> tuple[Figure, ...]:
    """Return the figures of a recording: totals, then latency by operation."""
    total = recording.select()
    per_s = round(total.succeeded / seconds, 1) if seconds > 0 else None
    figures = [
        figure("operations", total.calls),
        figure("operations_per_s", per_s, "1/s"),
        figure("errors", total.failed.count),
    ]
    lag = series.lag_percentiles(recording)
    if lag is not None:
        figures += [
            figure("generator_lag_p99_ms", lag["p99_ms"], "ms"),
            figure("late_arrivals", lag["late"]),
            figure("skipped_arrivals", lag["skipped"]),
        ]
    for row in series.percentiles(recording, ()):
        figures += [
            figure(f"{row['operation']}.{name}_ms", row[name], "ms")
            for name in ("p50", "p95", "p99", "p99.9")
        ]
    return tuple(figures)


def judge(
    goals: slo.Slo | None, recording: Recording, failure: str | None
) -> tuple[str | None, tuple[Figure, ...]]:
    """Return why the run is invalid (None when it is not), and the figures of goals."""
    limits = goals or slo.Slo()
    reason = failure or slo.invalid(limits, recording)
    return reason, slo.evaluate(limits, recording, ())


def finish(run: LoadRun, failure: str | None) -> int | None:
    """Write what was asked for and return the exit code.

    Returns:
        2 when the run proves nothing, 1 when a goal is missed, 0 when goals were given
        and all hold; None when none were given, so that locust's own rule applies.
    """
    recording = run.total
    started = run.started_s or run.clock()
    # Of several workers the first to be ready may have begun before the run did.
    if recording.span is not None and recording.span[0] + recording.slot_s < started:
        started = recording.span[0]
    seconds = (run.stopped_s or run.clock()) - started
    reason, goals = judge(run.options.slo, recording, failure)
    made = Report(
        command="load",
        started=datetime.fromtimestamp(started, UTC),
        seconds=seconds,
        figures=(*summarise(recording, seconds), *goals),
        postgres=run.postgres,
        extra={
            "valid": reason is None,
            "reason": reason,
            "profile": run.profile.name,
            "loop": recording.loop,
            "errors": series.error_counts(recording),
            "percentiles": series.percentiles(recording, ()),
        },
    )
    try:
        _write(run, made, recording, started, seconds)
    except InvalidInput as exc:
        reason = str(exc)
    if reason is not None:
        logger.error("the run proves nothing: %s", reason)
        return 2
    if run.options.slo is None:
        return None
    for missed in (goal for goal in goals if goal.holds is False):
        logger.error("goal missed: %s is %s", missed.name, missed.value)
    return made.exit_code


def _write(
    run: LoadRun, made: Report, recording: Recording, started: float, seconds: float
) -> None:
    options = run.options
    if options.json is not None:
        made.write_json(options.json)
    if options.recording is not None:
        form: dict[str, Any] = {"started_s": started, "seconds": seconds}
        text = json.dumps({**form, "recording": recording.as_dict()})
        try:
            options.recording.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise InvalidInput(f"cannot write {options.recording}") from exc
    if options.report is not None and recording.cells:
        report.write(_story(run, made, recording, started, seconds), options.report)


def _story(
    run: LoadRun, made: Report, recording: Recording, started: float, seconds: float
) -> report.Story:
    total = recording.select()
    latency = series.latency_of(recording, total).percentiles_ns((50.0, 99.0))
    p50, p99 = latency or (0, 0)
    span = (started, started + seconds)
    what = "response" if recording.loop == "open" else "service"
    roles: dict[str, str] = {}
    for (_, key), _cell in sorted(recording.cells.items()):
        roles.setdefault(key.node, key.role)
    roles.pop("none", None)
    return report.Story(
        title=f"Load: {run.profile.title or run.profile.name}",
        summary=(
            f"{total.calls:,} operations in {seconds:.0f} seconds,"
            f" {total.failed.count:,} of them failed."
        ),
        recording=recording,
        span=span,
        tiles=(
            report.Tile(
                "operations",
                f"{total.calls:,}",
                f"{total.calls / seconds:,.0f} per second",
            ),
            report.Tile(f"{what} time, p50", f"{p50 / 1e6:.3g} ms", "all operations"),
            report.Tile(f"{what} time, p99", f"{p99 / 1e6:.3g} ms", "all operations"),
            report.Tile("failed", f"{total.failed.count:,}", "calls"),
        ),
        figures=made.figures,
        phases=phases(span, recording.slot_s),
        start_roles=roles,
        database=run.database or DatabaseSide(),
        settings=_settings(run),
    )


def _settings(run: LoadRun) -> dict[str, str]:
    profile = run.profile
    low, high = profile.think_ms
    pace = (
        f"open loop, {profile.rate:g} {profile.arrivals} arrivals per second"
        if profile.model == "open"
        else f"closed loop, users pause {low:g} to {high:g} ms"
    )
    share, lag = profile.replica_share, profile.max_lag_ms
    return {
        "profile": profile.name,
        "load": pace,
        "reads to a replica": f"{share:.0%}, at most {lag:g} ms behind",
        "PostgreSQL": run.postgres or "unknown",
    }
