"""Ours: hierarchical Dirichlet back-off, from the coarsest level down.

    p_u(x_l | x_{l+1}) = (c_u(x_l) + beta * g(x_l | x_{l+1})) / (c_u(x_{l+1}) + beta)

with n_u + beta at the top and g the smoothed frequencies of everybody; the score is

    sum over levels l of ln ((1 - k) * g_l / p_u,l + k)  +  ln N / (n_u |U|)

Somebody is a stranger, or an attacker who copies the user: k is how likely a level is
copied. Without it a match with a rare value would be proof of the user, and whoever
knows the user's network and browser would be the least suspect of all; with it a match
says ln k at most, whatever its frequency, and what does not match still adds up.

Two things are not frequencies of values. How often an address is new depends on the
line, so the last step of the address interpolates (Jelinek and Mercer, 1980) with the
probability e of a new one, learned of the user in that network (the idea of Witten and
Bell, IEEE Trans. Inf. Theory 37, 1991: what was new before tells what will be):

    p_u(ip | prefix) = (1 - e) * c_u(ip) / c_u(prefix) + e * g(ip | prefix)

And the time of day is a circle: windows on two grids that overlap by half, averaged (a
histogram averaged over its origins: Scott, Annals of Statistics 13, 1985). Who keeps no
hours of the user's comes at any, so that the background is even there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log

from authkit.risk.evidence import Count, Evidence
from authkit.risk.features import (
    HOURS,
    HOURS_WIDE,
    MOVED,
    NETWORK,
    ON_DEVICE,
    ON_SYSTEM,
    PREFIX,
)
from authkit.risk.models.formula import Formula
from authkit.risk.scoring import Term

# The coarsest level first; each is counted within the one before it.
PATHS: tuple[tuple[str, ...], ...] = (
    ("country", NETWORK, PREFIX, "ip"),
    ("device", ON_DEVICE, ON_SYSTEM, "user_agent"),
)
ALPHA = 1.0
ACTIVITY = "activity"
HOUR = "hour"
EVEN = HOURS_WIDE / 24
# As likely as not: nothing is known of the attackers, and no label was looked at.
COPIED = 0.5
# What can be left out, to see what it is worth. The prefix of the address can be read
# too: it tells attackers of the same city better, and those of the same line worse.
PARTS = (MOVED, HOUR, ACTIVITY)
# How many logins the prior of each level is worth: fitted by `authkit.evaluation.fit`
# to legitimate logins alone, without attack labels, on synthetic world 12 (2,500 users,
# 182 days, activity 8). There a browser on a system has one full string, so that the
# last one has nothing to learn from.
BETAS: tuple[tuple[str, float], ...] = (
    ("country", 0.1),
    (NETWORK, 0.8),
    (PREFIX, 0.8),
    ("ip", 1.9),
    (MOVED, 1.9),
    ("device", 2.7),
    (ON_DEVICE, 0.06),
    (ON_SYSTEM, 4.5),
    ("user_agent", 0.01),
    (HOUR, 3.8),
)


def everybodys(count: Count, parent: int) -> float:
    """Return g(x_l | x_{l+1}), smoothed by `ALPHA` for each value and one more."""
    seen = min(count.everybody, parent)
    return (seen + ALPHA) / (parent + ALPHA * (count.distinct + 1))


def moves(moved: Count, of: Count) -> tuple[int, int, float]:
    """Return the user's new addresses in a network, the chances, everybody's rate.

    The first address in a network is always new, and says nothing.
    """
    chances = max(0, of.seen - 1)
    new = min(chances, max(0, moved.seen - 1))
    return new, chances, (moved.everybody + 1) / (of.everybody + 2)


def hours(counts: Mapping[str, Count], total: int) -> tuple[float, float] | None:
    """Return the user's and everybody's logins at about this hour, None where unknown.

    The second is a frequency.
    """
    windows = [counts[name] for name in HOURS if name in counts]
    if not windows:
        return None
    own = sum(count.seen for count in windows) / len(windows)
    everybody = sum(count.everybody for count in windows) / len(windows)
    return own, (everybody + EVEN) / (total + 1)


@dataclass(frozen=True, slots=True)
class Hdir(Formula):
    """The logarithm of a ratio of likelihoods: somebody, or this user.

    An unseen value has the ratio (c_u(x_{l+1}) + beta) / beta: the longer the user's
    own history where it is new, the more it says; a seen one takes away, but no more
    than a copy would allow. What lies below an unseen level adds nothing more.

    The value is the sum of the terms, in natural logarithms.
    """

    NAME = "hdir"
    VERSION = "2"

    betas: tuple[tuple[str, float], ...] = BETAS
    parts: tuple[str, ...] = PARTS
    copied: float = COPIED

    def fixed(self) -> Mapping[str, object]:
        """Return the betas, which parts there are, and what is copied."""
        return {
            "betas": self.betas,
            "alpha": ALPHA,
            "parts": self.parts,
            "copied": self.copied,
        }

    def weigh(self, evidence: Evidence) -> tuple[float, list[Term]]:
        """Return the sum of all terms, natural logarithms of ratios, and the terms.

        Over 0 where somebody is likelier than this user; no term, and 0, where nothing
        that could be compared is known.
        """
        counts = evidence.by_level()
        terms = [term for path in PATHS for term in self._path(path, evidence, counts)]
        if not terms:
            return 0.0, []
        if HOUR in self.parts:
            terms.extend(self._hour(evidence, counts))
        if ACTIVITY in self.parts:
            ratio = evidence.total / (evidence.n * evidence.users)
            terms.append(Term(ACTIVITY, evidence.n, 1.0, log(ratio)))
        return sum(term.contribution for term in terms), terms

    def _path(
        self, path: tuple[str, ...], evidence: Evidence, counts: Mapping[str, Count]
    ) -> Iterator[Term]:
        betas = dict(self.betas)
        own, parent = evidence.n, evidence.total
        for level in path:
            count = counts.get(level)
            if count is None or (level == PREFIX and PREFIX not in self.parts):
                continue
            beta, seen = betas[level], min(count.seen, own)
            g = everybodys(count, parent)
            moved, network = counts.get(MOVED), counts.get(NETWORK)
            if level == "ip" and MOVED in self.parts and moved and network:
                beta = betas[MOVED]
                new, chances, rate = moves(moved, network)
                escape = (new + beta * rate) / (chances + beta)
                mine = g if own == 0 else (1 - escape) * seen / own + escape * g
            else:
                mine = (seen + beta * g) / (own + beta)
            ratio = (1 - self.copied) * g / mine + self.copied
            yield Term(level, count.seen, beta, log(ratio))
            own, parent = seen, min(count.everybody, parent)

    def _hour(self, evidence: Evidence, counts: Mapping[str, Count]) -> Iterator[Term]:
        found = hours(counts, evidence.total)
        if found is not None:
            own, g = found
            beta = dict(self.betas)[HOUR]
            mine = (own + beta * g) / (evidence.n + beta)
            yield Term(HOUR, round(own), beta, log(EVEN / mine))
