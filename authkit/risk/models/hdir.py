"""Ours: hierarchical Dirichlet back-off, from the coarsest level down.

    p_u(x_l | x_{l+1}) = (c_u(x_l) + beta * g(x_l | x_{l+1})) / (c_u(x_{l+1}) + beta)

with n_u + beta at the top and g the smoothed frequencies of everybody; the score is

    sum over features f of ln g_f / p_u,f  +  ln N / (n_u |U|)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log

from authkit.risk.evidence import Count, Evidence, gather
from authkit.risk.features import NETWORK, ON_DEVICE, ON_SYSTEM, Features
from authkit.risk.history import History
from authkit.risk.scoring import Score, Term, fingerprint, unscored

NAME = "hdir"
VERSION = "1"
# The coarsest level first; each is counted within the one before it.
PATHS: tuple[tuple[str, ...], ...] = (
    ("country", NETWORK, "ip"),
    ("device", ON_DEVICE, ON_SYSTEM, "user_agent"),
)
ALPHA = 1.0
ACTIVITY = "activity"
# How many logins of everybody's the prior of each level is worth: fitted by
# `authkit.evaluation.fit` on legitimate logins alone, without attack labels.
BETAS: tuple[tuple[str, float], ...] = (
    ("country", 1.0),
    (NETWORK, 1.0),
    ("ip", 1.0),
    ("device", 1.0),
    (ON_DEVICE, 1.0),
    (ON_SYSTEM, 1.0),
    ("user_agent", 1.0),
)


@lru_cache
def _parameters(betas: tuple[tuple[str, float], ...], activity: bool) -> str:
    return fingerprint({"betas": betas, "alpha": ALPHA, "activity": activity})


def everybodys(count: Count, parent: int) -> float:
    """Return g(x_l | x_{l+1}), smoothed by `ALPHA` for each value and one more."""
    seen = min(count.everybody, parent)
    return (seen + ALPHA) / (parent + ALPHA * (count.distinct + 1))


@dataclass(frozen=True, slots=True)
class Hdir:
    """The logarithm of a ratio of likelihoods: somebody, or this user.

    An unseen value adds ln((c_u(x_{l+1}) + beta) / beta): the longer the user's own
    history where it is new, the more it says; a seen one takes away, the more the rarer
    it is among everybody. What lies below an unseen level adds nothing more.

    The value is the sum of the terms, in natural logarithms.
    """

    betas: tuple[tuple[str, float], ...] = BETAS
    activity: bool = True

    @property
    def name(self) -> str:
        """`hdir`."""
        return NAME

    @property
    def version(self) -> str:
        """The version of the formula."""
        return VERSION

    @property
    def parameters(self) -> str:
        """Fingerprint of the betas."""
        return _parameters(self.betas, self.activity)

    def score(self, features: Features, history: History) -> Score:
        """Score a login; *unscored* without a history or anything to compare."""
        return self.judge(gather(features, history))

    def judge(self, evidence: Evidence) -> Score:
        """Score by the evidence."""
        if evidence.n == 0:
            return unscored(self, evidence, "no_history")
        betas: Mapping[str, float] = dict(self.betas)
        counts = evidence.by_level()
        terms: list[Term] = []
        for path in PATHS:
            own, parent = evidence.n, evidence.total
            for level in path:
                count = counts.get(level)
                if count is None:
                    continue
                beta, seen = betas[level], min(count.seen, own)
                g = everybodys(count, parent)
                mine = (seen + beta * g) / (own + beta)
                terms.append(Term(level, count.seen, beta, log(g / mine)))
                own, parent = seen, min(count.everybody, parent)
        if not terms:
            return unscored(self, evidence, "nothing_known")
        if self.activity:
            ratio = evidence.total / (evidence.n * evidence.users)
            terms.append(Term(ACTIVITY, evidence.n, 1.0, log(ratio)))
        value = sum(term.contribution for term in terms)
        return Score(NAME, VERSION, self.parameters, value, evidence, tuple(terms))
