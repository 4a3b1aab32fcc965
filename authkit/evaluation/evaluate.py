"""Every model on the cases of worlds, as `PROTOCOL.md` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from authkit.errors import InvalidInput
from authkit.evaluation import ceiling, metrics
from authkit.evaluation.collect import LEGITIMATE, Case, Progress
from authkit.evaluation.variants import VARIANTS
from authkit.risk import MODELS

if TYPE_CHECKING:
    from authkit.evaluation.metrics import Scores

BASELINE = "mismatch"
CEILING = "supervised ceiling"
# Trained on every class at once: what one score for all of them could give at best.
ONE_SCORE = f"{CEILING}, one score"
RATES = (0.01, 0.05, 0.10)
STRATA = ((1, 3), (4, 15), (16, None))
EVALUATED_FROM = 0.6
RESAMPLES = 200
_FEWEST = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on one class of attacks, averaged over the worlds.

    Attributes:
        auc: area under the ROC curve, 0 to 1; ties count half.
        interval: its 95 % interval, from resampled users.
        over_baseline: the 95 % interval of its AUC less the baseline's.
        partial_auc: the area up to a false positive rate of 0.05, as a share of it.
        tpr: the share of attacks caught where a share of logins is asked again, by that
            share: 0.01, 0.05 and 0.10.
        strata: the AUC by how many logins the user's history has: `1-3`, `4-15`, `16+`;
            one without cases is left out.
    """

    auc: float
    interval: tuple[float, float]
    over_baseline: tuple[float, float]
    partial_auc: float
    tpr: dict[float, float]
    strata: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of it, by class of attack and model.

    Attributes:
        measured: by class of attack, then by model.
        reauthentications: by model: of a user's first k + 1 logins how many are asked
            again where 5 % of all are; the median over users, k from 0 to 49.
        cases: how many were evaluated, attacks and logins.
        unscored: how many cases had no history, and are in no other number.
        attacks: how many of the cases were of each class.
    """

    measured: dict[str, dict[str, Measured]]
    reauthentications: dict[str, list[float]]
    cases: int
    unscored: int
    attacks: dict[str, int]

    def gap_closed(self, attack: str, model: str) -> float | None:
        """Return the share of the way from the baseline to the ceiling, by AUC.

        1 is the ceiling and below 0 is worse than the baseline; None where one of them
        was not measured, or where the ceiling is no higher.
        """
        found = self.measured.get(attack, {})
        if CEILING not in found or model not in found:
            return None
        low, high = found[BASELINE].auc, found[CEILING].auc
        return (found[model].auc - low) / (high - low) if high > low else None


@dataclass(slots=True)
class _Part:
    """The evaluated cases of one world, as arrays."""

    kinds: np.ndarray[tuple[int], np.dtype[np.object_]]
    users: np.ndarray[tuple[int], np.dtype[np.int64]]
    n: np.ndarray[tuple[int], np.dtype[np.int64]]
    scores: dict[str, Scores] = field(default_factory=dict[str, "Scores"])


def _quiet(_phase: str, _done: int, _whole: int) -> None:
    """Show nothing."""


def evaluate(
    worlds: Sequence[Sequence[Case]],
    *,
    supervised: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 1,
    progress: Progress = _quiet,
) -> Evaluation:
    """Compare all models on the later part of each world.

    Evaluated are users of odd number after the first 60 % of a world's time, and no
    attack from an address that attacked before; the ceiling learns from the others'
    earlier cases. The protocol, written before any run, is `PROTOCOL.md` beside this.

    Args:
        worlds: the cases of each, in order of time, as `collect` returns them.
        supervised: also train the ceiling (gradient boosting), for each class and one
            for all; the slow part.
        resamples: how many times users are drawn anew for the intervals.
        seed: of those draws: the same cases and seed give the same numbers.
        progress: told the phase, what is done and what there is to do.

    Raises:
        InvalidInput: nobody has a history, a world has fewer than ten cases of a class
            or of honest logins, or a class of attack that another has not.
    """
    parts: list[_Part] = []
    for cases in worlds:
        parts.append(_part(cases, supervised=supervised))
        progress("worlds scored", len(parts), len(worlds))
    kinds = sorted({str(k) for part in parts for k in part.kinds} - {LEGITIMATE})
    if not kinds:
        raise InvalidInput("there is no attack to evaluate by: a larger world or file")
    if short := sorted({k for part in parts for k in kinds if k not in part.kinds}):
        raise InvalidInput(
            f"a world has no case of {', '.join(short)}, which another has: "
            "only the same attacks can be averaged"
        )
    unscored = sum(case.evidence.n == 0 for cases in worlds for case in cases)
    measured: dict[str, dict[str, Measured]] = {}
    for kind in kinds:
        measured[kind] = _class(parts, kind, resamples=resamples, seed=seed)
        progress("attacks compared", len(measured), len(kinds))
    return Evaluation(
        measured=measured,
        reauthentications={
            name: _reauthentications(parts, name)
            for name in parts[0].scores
            if not name.startswith(CEILING)
        },
        cases=sum(len(part.kinds) for part in parts),
        unscored=unscored,
        attacks={k: sum(int((p.kinds == k).sum()) for p in parts) for k in kinds},
    )


def _part(cases: Sequence[Case], *, supervised: bool) -> _Part:
    scored = [case for case in cases if case.evidence.n > 0]
    if not scored:
        raise InvalidInput("nobody has a history: there is nothing to evaluate")
    first, last = scored[0].at_us, scored[-1].at_us
    start = first + (last - first) * EVALUATED_FROM
    attacked_from = {c.ip for c in scored if c.attack and c.at_us < start}
    chosen = [
        case
        for case in scored
        if case.at_us >= start
        and case.user % 2 == 1
        and not (case.attack and case.ip in attacked_from)
    ]
    training = [case for case in scored if case.at_us < start and case.user % 2 == 0]
    part = _Part(
        np.array([case.kind for case in chosen], dtype=object),
        np.array([case.user for case in chosen], dtype=np.int64),
        np.array([case.evidence.n for case in chosen], dtype=np.int64),
    )
    for kind in {str(k) for k in part.kinds} | {LEGITIMATE}:
        if (part.kinds == kind).sum() < _FEWEST:
            raise InvalidInput(
                f"fewer than {_FEWEST} cases of {kind}: a larger world or file"
            )
    for name, model in MODELS.items():
        part.scores[name] = _values([model.judge(c.evidence).value for c in chosen])
    for name, variant in VARIANTS.items():
        part.scores[name] = _values([variant(c.evidence) for c in chosen])
    if supervised:
        kinds = {str(k) for k in part.kinds} - {LEGITIMATE}
        part.scores[ONE_SCORE] = ceiling.scores(training, chosen, kinds)
        for kind in kinds:
            part.scores[f"{CEILING}:{kind}"] = ceiling.scores(training, chosen, {kind})
    return part


def _values(values: Sequence[float | None]) -> Scores:
    # Nothing known of a login that has a history: it is asked again, like the worst.
    return np.array([np.inf if v is None else v for v in values], dtype=np.float64)


def _class(
    parts: Sequence[_Part], kind: str, *, resamples: int, seed: int
) -> dict[str, Measured]:
    rng = np.random.default_rng(seed)
    draws = [[_resample(rng, part) for part in parts] for _ in range(resamples)]
    columns = {
        name.partition(":")[0]: name
        for name in parts[0].scores
        if ":" not in name or name.endswith(f":{kind}")
    }
    everything = [np.arange(len(part.kinds)) for part in parts]
    resampled = {
        model: [_auc(parts, kind, column, draw) for draw in draws]
        for model, column in columns.items()
    }
    found: dict[str, Measured] = {}
    for model, column in columns.items():
        pairs = [
            _split(p, kind, column, r) for p, r in zip(parts, everything, strict=True)
        ]
        more = [
            a - b for a, b in zip(resampled[model], resampled[BASELINE], strict=True)
        ]
        found[model] = Measured(
            auc=_mean([metrics.auc(*pair) for pair in pairs]),
            interval=metrics.interval(resampled[model]),
            over_baseline=metrics.interval(more),
            partial_auc=_mean([metrics.partial_auc(*pair) for pair in pairs]),
            tpr={r: _mean([metrics.tpr_at(*pair, r) for pair in pairs]) for r in RATES},
            strata=_strata(parts, kind, column),
        )
    return found


def _strata(parts: Sequence[_Part], kind: str, column: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for low, high in STRATA:
        values: list[float] = []
        for part in parts:
            rows = np.flatnonzero((part.n >= low) & (part.n <= (high or np.inf)))
            attacks, legitimate = _split(part, kind, column, rows)
            if len(attacks) and len(legitimate):
                values.append(metrics.auc(attacks, legitimate))
        if values:
            found[f"{low}-{high}" if high else f"{low}+"] = _mean(values)
    return found


def _resample(
    rng: np.random.Generator, part: _Part
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Draw users with replacement, each with all of their cases."""
    users, index = np.unique(part.users, return_inverse=True)
    times = np.bincount(rng.integers(0, len(users), len(users)), minlength=len(users))
    return np.repeat(np.arange(len(part.users)), times[index])


def _auc(
    parts: Sequence[_Part],
    kind: str,
    column: str,
    draw: Sequence[np.ndarray[tuple[int], np.dtype[np.intp]]],
) -> float:
    pairs = [_split(p, kind, column, rows) for p, rows in zip(parts, draw, strict=True)]
    return _mean([metrics.auc(a, b) for a, b in pairs if len(a) and len(b)])


def _split(
    part: _Part, kind: str, column: str, rows: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> tuple[Scores, Scores]:
    kinds, scores = part.kinds[rows], part.scores[column][rows]
    return scores[kinds == kind], scores[kinds == LEGITIMATE]


def _reauthentications(parts: Sequence[_Part], name: str) -> list[float]:
    """Return how often the first k logins are asked again: the median over users."""
    counted: list[list[int]] = []
    for part in parts:
        own = part.kinds == LEGITIMATE
        line = metrics.line_at(part.scores[name][own], 0.05)
        users = part.users[own]
        asked = (part.scores[name][own] > line).astype(np.int64)
        counted.extend(
            list(np.cumsum(asked[users == user])) for user in np.unique(users)
        )
    longest = max(map(len, counted))
    return [
        float(np.median([row[k] for row in counted if len(row) > k]))
        for k in range(min(longest, 50))
    ]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
