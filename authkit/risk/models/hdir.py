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
# How many logins the prior of each level is worth: fitted by `authkit.evaluation.fit`
# to legitimate logins alone, without attack labels, on synthetic world 12 (2,500 users,
# 182 days, activity 8). There a browser on a system has one full string, so that the
# last one has nothing to learn from.
BETAS: tuple[tuple[str, float], ...] = (
    ("country", 0.08),
    (NETWORK, 0.8),
    ("ip", 3.8),
    ("device", 2.7),
    (ON_DEVICE, 0.06),
    (ON_SYSTEM, 4.5),
    ("user_agent", 0.01),
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
