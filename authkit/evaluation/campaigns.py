"""What the detectors find of a seeded world: its campaigns, and who was none.

A campaign is found when a detector that is meant for its kind names one of its
attempts. One wrong password is one wrong password, whoever typed it: a campaign counts
once it came past a first factor, holds a session, or has as many attempts as a detector
asks for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg

from authkit.figures import Figure, figure
from authkit.risk.detectors import DETECTORS, Finding, detect

_PASSED: Final = ("new_device", "new_network", "new_country")
MEANT_FOR: Final[Mapping[str, tuple[str, ...]]] = {
    "naive": _PASSED,
    "vpn": _PASSED,
    "targeted": _PASSED,
    "very_targeted": _PASSED,
    "credential_stuffing": ("credential_stuffing", "distributed_stuffing"),
    "password_spraying": ("password_spray", "distributed_spray"),
    "brute_force": ("brute_force", "distributed_brute_force"),
    "mfa_fatigue": ("mfa_fatigue",),
    "dormant_takeover": ("dormant_account",),
    "session_theft": ("session_hijack",),
    "refresh_replay": ("refresh_reuse",),
}
ENOUGH: Final = 25  # attempts that count without a success: the most a detector asks
_CAMPAIGNS: Final[LiteralString] = """
    SELECT min(l.kind), array_agg(l.attempt_id),
           bool_or(a.outcome = 'succeeded' OR a.session_id IS NOT NULL)
             OR count(*) >= %s
    FROM authkit_world.labels AS l
    JOIN authkit.auth_attempts AS a
      ON a.id = l.attempt_id AND a.occurred_at = l.occurred_at
    GROUP BY l.campaign
    """
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Searched:
    """Campaigns that count, by kind, and found; false alarms by detector."""

    campaigns: Mapping[str, int]
    found: Mapping[str, int]
    findings: Mapping[str, int]
    false_alarms: Mapping[str, int]
    legitimate: int

    def figures(self) -> list[Figure]:
        """Return them as figures; every campaign is to be found."""
        made: list[Figure] = []
        for kind, count in sorted(self.campaigns.items()):
            missed = count - self.found.get(kind, 0)
            made.append(figure(f"campaigns, {kind}", count))
            made.append(figure(f"campaigns missed, {kind}", missed, goal=("==", 0)))
        for name, count in self.false_alarms.items():
            rate = round(count * _MILLION / max(1, self.legitimate))
            made.append(figure(f"findings, {name}", self.findings[name]))
            made.append(
                figure(f"false alarms, {name}", rate, "per 1M legitimate attempts")
            )
        return made


def search(
    connection: psycopg.Connection[Any], since: datetime, until: datetime
) -> tuple[Searched, Mapping[str, Sequence[Finding]]]:
    """Run every detector over a seeded world and compare with its labels."""
    findings = {
        name: detect(connection, detector, since, until)
        for name, detector in DETECTORS.items()
    }
    named = {
        name: {attempt for finding in found for attempt in finding.evidence}
        for name, found in findings.items()
    }
    campaigns: Counter[str] = Counter()
    found: Counter[str] = Counter()
    attacks: set[UUID] = set()
    for kind, attempts, counts in connection.execute(_CAMPAIGNS, (ENOUGH,)):
        attacks.update(attempts)
        if counts:
            campaigns[kind] += 1
            meant = MEANT_FOR.get(kind, tuple(DETECTORS))
            found[kind] += any(named[name] & set(attempts) for name in meant)
    row = connection.execute("SELECT count(*) FROM authkit.auth_attempts").fetchone()
    whole = 0 if row is None else int(row[0])
    alarms = {
        name: sum(not attacks & set(one.evidence) for one in made)
        for name, made in findings.items()
    }
    sizes = {name: len(made) for name, made in findings.items()}
    return (
        Searched(campaigns, found, sizes, alarms, whole - len(attacks)),
        findings,
    )
