"""How often and how patiently nodes are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

Seconds: TypeAlias = timedelta | float


def seconds(value: Seconds) -> float:
    """Return a length of time in seconds; a bare number is seconds already."""
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


@dataclass(frozen=True, slots=True)
class Cadence:
    """Times of the probes, in seconds.

    `late_s`: an answer that takes longer makes a second probe set out beside the
    first; a node is given up when both have had their limit. `first_limit_s` is for
    connecting to a node nobody has reached yet.
    """

    calm_s: float = 0.5
    jitter: float = 0.2
    burst_s: float = 0.05
    patient_burst_s: float = 0.2
    patient_after_s: float = 120.0
    limit_s: float = 0.25
    late_s: float = 0.05
    first_limit_s: float = 1.5
    suspicion_s: float = 1.0
    glance_s: float = 0.1

    def pause(
        self, *, troubled_for_s: float | None, chance: Callable[[], float]
    ) -> float:
        """Seconds to the next probe.

        Args:
            troubled_for_s: since when there is cause to look closely; None: none.
            chance: a number in [0, 1), so that many clients do not ask as one.
        """
        if troubled_for_s is None:
            return self.calm_s * (1 - self.jitter * chance())
        if troubled_for_s < self.patient_after_s:
            return self.burst_s
        return self.patient_burst_s * (1 - self.jitter * chance())
