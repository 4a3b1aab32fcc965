"""The baseline: how much of a login the user has never shown before."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from authkit.risk.evidence import Evidence, gather
from authkit.risk.features import ADDRESS, AGENT, Features
from authkit.risk.history import History
from authkit.risk.scoring import Score, Term, fingerprint, unscored

NAME = "mismatch"
VERSION = "1"


def _equal() -> tuple[tuple[str, float], ...]:
    # Half of the weight for the address, half for the browser, even within each.
    return tuple(
        (level, 0.5 / len(levels)) for levels in (ADDRESS, AGENT) for level in levels
    )


@lru_cache
def _parameters(weights: tuple[tuple[str, float], ...]) -> str:
    return fingerprint({"weights": dict(weights)})


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A weighted count of unseen values, from 0 (all seen) to 1 (nothing seen).

    It is the baseline that keeps other models honest, not a model of risk: no
    probability, no strength of evidence, and one login teaches it as much as a
    thousand. The weights are even, not tuned: address and browser half each. A level
    whose value is not known is left out and the others are scaled up.
    """

    weights: tuple[tuple[str, float], ...] = field(default_factory=_equal)

    @property
    def name(self) -> str:
        """`mismatch`."""
        return NAME

    @property
    def version(self) -> str:
        """The version of the formula."""
        return VERSION

    @property
    def parameters(self) -> str:
        """Fingerprint of the weights."""
        return _parameters(self.weights)

    def score(self, features: Features, history: History) -> Score:
        """Score a login; *unscored* without a history or anything to compare."""
        return self.judge(gather(features, history))

    def judge(self, evidence: Evidence) -> Score:
        """Score by the evidence."""
        if evidence.n == 0:
            return unscored(self, evidence, "no_history")
        counts = evidence.by_level()
        known = [(lv, w) for lv, w in self.weights if lv in counts]
        whole = sum(weight for _, weight in known)
        if whole == 0:
            return unscored(self, evidence, "nothing_known")
        terms: list[Term] = []
        for level, weight in known:
            seen = counts[level].seen
            share = weight / whole
            terms.append(Term(level, seen, share, 0.0 if seen else share))
        value = sum(term.contribution for term in terms)
        return Score(NAME, VERSION, self.parameters, value, evidence, tuple(terms))
