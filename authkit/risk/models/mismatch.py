"""The baseline: how much of a login the user has never shown before."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from authkit.risk.features import ADDRESS, AGENT, LEVELS, Features
from authkit.risk.history import History
from authkit.risk.scoring import Score, Term, fingerprint

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
        if history.n == 0:
            return self._unscored(history, "no_history")
        values = dict(zip(LEVELS, features, strict=True))
        known = [(lv, w, v) for lv, w in self.weights if (v := values[lv]) is not None]
        whole = sum(weight for _, weight, _ in known)
        if whole == 0:
            return self._unscored(history, "nothing_known")
        terms: list[Term] = []
        for level, weight, value in known:
            seen = history.seen(level, value)
            share = weight / whole
            terms.append(Term(level, seen, share, 0.0 if seen else share))
        value = sum(term.contribution for term in terms)
        return Score(
            NAME,
            VERSION,
            self.parameters,
            value,
            history.n,
            history.total,
            tuple(terms),
        )

    def _unscored(self, history: History, why: str) -> Score:
        return Score(
            NAME, VERSION, self.parameters, None, history.n, history.total, (), why
        )
