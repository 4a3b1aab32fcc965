"""What a world looks like from afar, beside the published data set.

The published figures are of a scan of "Login Data Set for Risk-Based Authentication"
(Wiefling et al., 2022; 31.3 million attempts). Its hours, round-trip times and places
were randomised, so nothing is compared of those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from authkit.workload.attempt import TAKEOVERS, Attempt


@dataclass(frozen=True, slots=True)
class Marginal:
    """One share or quantile of a world; `published` is None where nothing is known."""

    name: str
    value: float
    published: float | None


_LOGINS = ((0.5, 2.0), (0.9, 9.0), (0.99, 28.0))


class Marginals:
    """Counts attempts as they pass; memory grows with people only."""

    def __init__(self) -> None:
        self._attempts = 0
        self._known = 0
        self._succeeded = 0
        self._takeovers = 0
        self._logins: Counter[int] = Counter()

    def watch(self, attempts: Iterable[Attempt]) -> Iterator[Attempt]:
        """Yield every attempt after it was counted."""
        for made in attempts:
            self._attempts += 1
            self._known += made.person >= 0
            self._succeeded += made.outcome == "succeeded"
            if made.completes:
                if made.campaign is None:
                    self._logins[made.person] += 1
                elif made.kind in TAKEOVERS:
                    self._takeovers += 1
            yield made

    def found(self) -> list[Marginal]:
        """Return what was counted; nothing of a world without attempts."""
        if not self._attempts:
            return []
        whole, known = self._attempts, max(1, self._known)
        made = [
            Marginal("attempts that succeeded", self._succeeded / whole, 0.40),
            Marginal(
                "attempts that succeeded, of existing accounts",
                self._succeeded / known,
                0.78,
            ),
            Marginal("attempts on no account", 1 - self._known / whole, 0.45),
            Marginal(
                "takeovers in a million attempts", self._takeovers * 1e6 / whole, None
            ),
        ]
        counts = sorted(self._logins.values())
        made += [
            Marginal(
                f"logins per user, p{at:.0%}".rstrip("%"),
                counts[int(len(counts) * at)],
                known_as,
            )
            for at, known_as in _LOGINS
            if counts
        ]
        return made
