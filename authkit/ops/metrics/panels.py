"""What the dashboard shows: each picture as a value, its queries in PromQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The jobs that are chosen at the top of the dashboard.
OF = '{job=~"$job"}'

RED, _ORANGE, _GREEN = "red", "orange", "green"

Steps = tuple[tuple[float | None, str], ...]
Words = tuple[tuple[int, str], ...]

_ANY: Steps = ((None, _GREEN),)
_ONE_OR_RED: Steps = ((None, RED), (1, _GREEN))
_ZERO_OR_RED: Steps = ((None, _GREEN), (1, RED))
_ZERO_OR_ORANGE: Steps = ((None, _GREEN), (1, _ORANGE))
_YES_OR_NO: Words = ((0, "no"), (1, "yes"))


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: its queries, each with the legend of its lines ("": their labels).

    `steps` says from which value on it has which colour, `words` what a value is
    called.
    """

    title: str
    says: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: Literal["stat", "timeseries", "state-timeline"] = "timeseries"
    width: int = 8
    steps: Steps = _ANY
    words: Words = ()


def _worst_of(metric: str, label: str) -> str:
    """Each process has its own view of the cluster: show the worst of them."""
    return f"max by ({label}) ({metric}{OF})"


def _per_s(metric: str, label: str) -> str:
    return f"sum by ({label}) (rate({metric}{OF}[$__rate_interval]))"


def _stat(title: str, says: str, query: str, steps: Steps, words: Words = ()) -> Panel:
    return Panel(title, says, ((query, ""),), "none", "stat", 4, steps, words)


def _states(title: str, says: str, query: str, steps: Steps, words: Words) -> Panel:
    return Panel(
        title, says, ((query, ""),), kind="state-timeline", steps=steps, words=words
    )


def _lines(title: str, says: str, query: str, unit: str, width: int = 8) -> Panel:
    return Panel(title, says, ((query, ""),), unit, width=width)


_CALLS = "authkit_operation_seconds_count"

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Now",
        (
            _stat(
                "Can be written",
                "Whether every process finds a primary; without one nobody logs in.",
                f"min(authkit_writable{OF})",
                _ONE_OR_RED,
                _YES_OR_NO,
            ),
            _stat(
                "Database answers",
                "Whether the scrape's own queries are answered.",
                f"min(authkit_database_answers{OF})",
                _ONE_OR_RED,
                _YES_OR_NO,
            ),
            _stat(
                "Nodes that may be used",
                "As the process that sees the fewest of them counts.",
                f"min(sum by (instance) (authkit_node_up{OF}))",
                ((None, RED), (1, _ORANGE), (2, _GREEN)),
            ),
            _stat(
                "Epoch",
                "The highest timeline that was seen; each failover raises it.",
                f"max(authkit_epoch{OF})",
                _ANY,
            ),
            _stat(
                "Failovers",
                "In the time shown, as the process counts that saw the most.",
                f"max(increase(authkit_failovers_total{OF}[$__range]))",
                _ZERO_OR_ORANGE,
            ),
            _stat(
                "Writes in doubt",
                "Without an answer, in the time shown: resolve them by their keys.",
                f"sum(increase(authkit_doubts_total{OF}[$__range]))",
                _ZERO_OR_ORANGE,
            ),
        ),
    ),
    (
        "Operations of the hot path",
        (
            _lines(
                "Rate",
                "Operations a second, by name.",
                _per_s(_CALLS, "operation"),
                "ops",
            ),
            _lines(
                "Time of the slowest hundredth",
                "By name, waiting for a connection included.",
                "histogram_quantile(0.99,"
                f" {_per_s('authkit_operation_seconds_bucket', 'operation, le')})",
                "s",
            ),
            _lines(
                "Failures",
                "Operations a second that raised, by the error's name.",
                f'sum by (outcome) (rate({_CALLS}{{job=~"$job", outcome!="ok"}}'
                "[$__rate_interval]))",
                "ops",
            ),
            _lines(
                "Where they ran",
                "Operations a second on primary and replicas.",
                _per_s(_CALLS, "role"),
                "ops",
                12,
            ),
            _lines(
                "Mean time",
                "On primary and replicas.",
                f"{_per_s('authkit_operation_seconds_sum', 'role')}"
                f" / {_per_s(_CALLS, 'role')}",
                "s",
                12,
            ),
        ),
    ),
    (
        "Nodes",
        (
            _states(
                "Primary",
                "As each said when it last answered; two at once: one of them is lost.",
                _worst_of("authkit_node_primary", "node"),
                ((None, "blue"), (1, _GREEN)),
                ((0, "replica"), (1, "primary")),
            ),
            _states(
                "May be used",
                "As the process has it that sees it worst.",
                f"min by (node) (authkit_node_up{OF})",
                _ONE_OR_RED,
                _YES_OR_NO,
            ),
            _states(
                "Breaker",
                "Open: the node failed so often that it is left alone.",
                _worst_of("authkit_node_breaker_open", "node"),
                _ZERO_OR_RED,
                ((0, "closed"), (1, "open")),
            ),
            _lines(
                "Lag",
                "How stale a replica is at the most; where it is not known, reads go"
                " elsewhere.",
                _worst_of("authkit_node_lag_seconds", "node"),
                "s",
                6,
            ),
            _lines(
                "Yet to replay",
                "Of the primary's log.",
                _worst_of("authkit_node_lag_bytes", "node"),
                "bytes",
                6,
            ),
            _lines(
                "Round trip of a probe",
                "The slowest of the processes.",
                _worst_of("authkit_node_probe_seconds", "node"),
                "s",
                6,
            ),
            _lines(
                "Probes that failed",
                "A second, over all processes.",
                _per_s("authkit_probes_failed_total", "node"),
                "ops",
                6,
            ),
        ),
    ),
    (
        "Pools",
        (
            Panel(
                "Connections",
                "In use, open, and the most that there may be, over all processes.",
                tuple(
                    (f"sum by (node) (authkit_pool_connections{part}{OF})", legend)
                    for part, legend in (
                        ("_used", "{{node}} in use"),
                        ("", "{{node}} open"),
                        ("_limit", "{{node}} at the most"),
                    )
                ),
            ),
            _lines(
                "Callers that wait",
                "For a connection: anything but a short peak is a pool too small.",
                f"sum by (node) (authkit_pool_waiting{OF})",
                "short",
            ),
            Panel(
                "Second tries",
                "A second: transactions that ran again, those that did not as too many"
                " already had, and nodes given up.",
                tuple(
                    (f"sum(rate(authkit_{name}_total{OF}[$__rate_interval]))", legend)
                    for name, legend in (
                        ("retries", "ran again"),
                        ("budget_spent", "not repeated"),
                        ("quarantines", "nodes given up"),
                    )
                ),
                "ops",
            ),
        ),
    ),
    (
        "Who knocks",
        (
            _lines(
                "Attempts of the last five minutes",
                "By outcome, as the database holds them.",
                _worst_of("authkit_attempts_recent", "outcome"),
                "short",
                12,
            ),
            _lines(
                "Shut out by a limit",
                "Identifiers that are turned away now, by policy.",
                _worst_of("authkit_limits_blocking", "policy"),
                "short",
                12,
            ),
        ),
    ),
)
"""Rows of pictures, each row with its title."""
