"""The baseline: how much of a login the user has never shown before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from authkit.risk.evidence import Evidence
from authkit.risk.features import ADDRESS, AGENT
from authkit.risk.models.formula import Formula
from authkit.risk.scoring import Term


def _equal() -> tuple[tuple[str, float], ...]:
    # Half of the weight for the address, half for the browser, even within each.
    return tuple(
        (level, 0.5 / len(levels)) for levels in (ADDRESS, AGENT) for level in levels
    )


@dataclass(frozen=True, slots=True)
class Mismatch(Formula):
    """A weighted count of unseen values, from 0 (all seen) to 1 (nothing seen).

    It is the baseline that keeps other models honest, not a model of risk: no
    probability, no strength of evidence, and one login teaches it as much as a
    thousand. The weights are even, not tuned: address and browser half each. A level
    whose value is not known is left out and the others are scaled up.
    """

    NAME = "mismatch"
    VERSION = "1"

    weights: tuple[tuple[str, float], ...] = field(default_factory=_equal)

    def fixed(self) -> Mapping[str, object]:
        """Return the weights of the levels, where every one of them is known."""
        return {"weights": dict(self.weights)}

    def weigh(self, evidence: Evidence) -> tuple[float, list[Term]]:
        """Return the share, 0 to 1, of the weight that is on values never seen.

        Of the weight of those levels that are known of this login.
        """
        counts = evidence.by_level()
        known = [(lv, w) for lv, w in self.weights if lv in counts and w > 0]
        whole = sum(weight for _, weight in known)
        terms: list[Term] = []
        for level, weight in known:
            seen = counts[level].seen
            share = weight / whole
            terms.append(Term(level, seen, share, 0.0 if seen else share))
        return sum(term.contribution for term in terms), terms
