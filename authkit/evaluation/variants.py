"""Models with one thing changed, to see what it is worth. Never shipped."""

from __future__ import annotations

from collections.abc import Callable
from math import log

from authkit.risk import Evidence, Freeman2016, Hdir
from authkit.risk.features import PREFIX
from authkit.risk.models.freeman2016 import ACTIVITY
from authkit.risk.models.hdir import PARTS

_MODEL = Freeman2016()
_PROOF = Hdir(copied=0.0)
_PREFIXED = Hdir(parts=(PREFIX, *PARTS))


def without_activity(evidence: Evidence) -> float | None:
    """Leave out p(u | A) / p(u | L)."""
    score = _MODEL.judge(evidence)
    if score.value is None:
        return None
    return sum(t.contribution for t in score.terms if t.level != ACTIVITY)


def without_cap(evidence: Evidence) -> float | None:
    """Let a feature of which nothing was seen count n + 1 where that is more than 4."""
    score = _MODEL.judge(evidence)
    if score.value is None:
        return None
    counts, value = evidence.by_level(), log(score.value)
    for levels in _MODEL.features:
        known = [counts[level].seen for level, _ in levels if level in counts]
        if known and not any(known):
            value += max(0.0, log(evidence.n + 1) - log(4))
    return value


def without_background(evidence: Evidence) -> float | None:
    """Rate every value as if everybody had it: -sum of ln local, and the activity."""
    score = _MODEL.judge(evidence)
    if score.value is None:
        return None
    counts = evidence.by_level()
    value = log(evidence.total / (evidence.n * evidence.users))
    for levels in _MODEL.features:
        known = [(counts[level], w) for level, w in levels if level in counts]
        own = sum(w * count.seen for count, w in known) / evidence.n
        value += -log(own) if own else log(4)
    return value


def without(part: str) -> Callable[[Evidence], float | None]:
    """Return `hdir` without one of its parts."""
    left = Hdir(parts=tuple(each for each in PARTS if each != part))
    return lambda evidence: left.judge(evidence).value


VARIANTS: dict[str, Callable[[Evidence], float | None]] = {
    "freeman2016 without activity": without_activity,
    "freeman2016 without the cap": without_cap,
    "freeman2016 without background": without_background,
    **{f"hdir without {part}": without(part) for part in PARTS},
    "hdir with prefix": lambda evidence: _PREFIXED.judge(evidence).value,
    "hdir without copies": lambda evidence: _PROOF.judge(evidence).value,
}
