"""The published model: Freeman et al., "Who Are You?", NDSS 2016, equation 7.

In the form published with the work on risk-based authentication of Wiefling et al.:

    S = prod over features f of [ p(x_f) / p(x_f | u, L) ] * p(u | A) / p(u | L)

with p(u | A) = 1 / |U| and p(u | L) = n_u / N, over successful logins only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

from authkit.risk.evidence import Count, Evidence
from authkit.risk.models.formula import Formula
from authkit.risk.scoring import Term

# The finest level first, as published.
ADDRESS = (("ip", 0.6), ("asn", 0.3), ("country", 0.1))
AGENT = (
    ("user_agent", 0.53867),
    ("browser", 0.26805),
    ("system", 0.18818),
    ("device", 0.00511),
)
# local = 0 makes local := global / 4.
UNSEEN_RATIO = 4.0
ACTIVITY = "activity"

Levels = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Freeman2016(Formula):
    """The ratio of two likelihoods: somebody, or this user.

    For each feature, local = sum over levels of w * c_u / n_u, unsmoothed, and global =
    w_1 * c/(N+M) * c/(c+m) + sum over coarser levels of w * c/N, where M is one more
    than the coarser levels' distinct values and m the same among those that came with
    x_1; c = 0 makes the level-1 term w_1/(N+M). A level whose value is not known is
    left out and the others are scaled up.

    Its known weaknesses, kept because it is the published model: a feature of which
    nothing was seen counts 4 at most, however long the history; having seen a country
    once can score worse than never, because 1/n_u falls below a quarter of the global
    frequency; and the last factor rates everybody who seldom logs in as risky.

    The value is S itself. The terms are natural logarithms that add up to ln S: one for
    each level, what the levels from it upwards say more than those above it alone.
    """

    NAME = "freeman2016"
    VERSION = "1"

    features: tuple[Levels, ...] = (ADDRESS, AGENT)

    def fixed(self) -> Mapping[str, object]:
        """Return the weights of the levels, and what an unseen value counts as."""
        return {"features": self.features, "unseen": UNSEEN_RATIO}

    def weigh(self, evidence: Evidence) -> tuple[float, list[Term]]:
        """Return S of equation 7, and what each level adds to its natural logarithm.

        S is over 1 where somebody is likelier than this user. A feature of which no
        level is known is left out of the product.
        """
        counts = evidence.by_level()
        value = evidence.total / (evidence.n * evidence.users)
        terms: list[Term] = []
        for levels in self.features:
            known = [(counts[name], w) for name, w in levels if name in counts]
            if not known:
                continue
            ratio, made = _feature(evidence, known, levels[0][0])
            value *= ratio
            terms.extend(made)
        if terms:
            activity = log(evidence.total / (evidence.n * evidence.users))
            terms.append(Term(ACTIVITY, evidence.n, 1.0, activity))
        return value, terms


def _feature(
    evidence: Evidence, known: list[tuple[Count, float]], finest: str
) -> tuple[float, list[Term]]:
    """Return global / local of one feature, and what each level changes of it."""
    whole = sum(weight for _, weight in known)
    coarser = [count for count, _ in known if count.level != finest]
    breadth = 1 + sum(count.distinct for count in coarser)
    under = 1 + sum(count.under for count in coarser)
    total, n = evidence.total, evidence.n
    terms: list[Term] = []
    everybody = own = 0.0
    ratio, before = 1.0, 0.0
    for count, weight in reversed(known):
        share = weight / whole
        c = count.everybody
        if count.level != finest:
            everybody += share * c / total
        elif c == 0:
            everybody += share / (total + breadth)
        else:
            everybody += share * c / (total + breadth) * c / (c + under)
        own += share * count.seen / n
        ratio = everybody / own if own else UNSEEN_RATIO
        terms.append(Term(count.level, count.seen, share, log(ratio) - before))
        before = log(ratio)
    return ratio, terms[::-1]
