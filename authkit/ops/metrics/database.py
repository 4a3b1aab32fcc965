"""What the database itself knows: attempts by outcome, limits that bite.

Asked at each scrape on the connection of a reader; a database that does not answer
leaves its metrics out, and says so in `authkit_database_answers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import LiteralString

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as Collects

from authkit.errors import AuthkitError
from authkit.ops.connection import connect

_ATTEMPTS: LiteralString = """
SELECT outcome, count(*) FROM authkit.auth_attempts
 WHERE occurred_at > now() - interval '5 minutes' GROUP BY outcome
"""
_LIMITS: LiteralString = """
SELECT policy, count(*) FROM authkit.rate_limit_tracking
 WHERE blocked_until > now() GROUP BY policy
"""


class DatabaseCollector(Collects):
    """Metrics of the database behind a URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def collect(self) -> Iterable[Metric]:
        """Ask, and return what it said."""
        try:
            with connect(self._url) as connection:
                attempts = connection.execute(_ATTEMPTS).fetchall()
                limits = connection.execute(_LIMITS).fetchall()
        except (AuthkitError, psycopg.Error):
            return (_answers(value=0.0),)
        return (
            _answers(value=1.0),
            _by_label(
                "authkit_attempts_recent",
                "Attempts of the last five minutes",
                "outcome",
                attempts,
            ),
            _by_label(
                "authkit_limits_blocking",
                "Identifiers that a limit shuts out now",
                "policy",
                limits,
            ),
        )


def _answers(*, value: float) -> Metric:
    return GaugeMetricFamily(
        "authkit_database_answers", "Whether the database answered", value=value
    )


def _by_label(
    name: str, text: str, label: str, rows: Sequence[tuple[str, int]]
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, count in rows:
        family.add_metric([value], count)
    return family
