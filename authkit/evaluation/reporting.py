"""An evaluation as figures of the one shape, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from authkit.evaluation.evaluate import (
    BASELINE,
    CEILING,
    ONE_SCORE,
    Evaluation,
)
from authkit.figures import Figure, figure
from authkit.risk import DEFAULT, MODELS

# A world counts only where the ceiling itself is hard.
HARD = {"targeted": (0.93, 0.98), "very_targeted": (0.85, 0.93)}
CLOSED = 0.75
_AFTER = (1, 5, 10, 20, 50)


def counts(evaluation: Evaluation) -> bool | None:
    """Tell whether a world counts by `PROTOCOL.md`; None where there is no ceiling."""
    for kind, (low, high) in HARD.items():
        found = evaluation.measured.get(kind, {}).get(CEILING)
        if found is None:
            return None
        if not low <= found.auc <= high:
            return False
    return True


def figures(evaluation: Evaluation, *, goals: bool) -> Iterator[Figure]:
    """Yield every number; the goals of the default model where they are asked for."""
    for kind, models in evaluation.measured.items():
        for name, found in models.items():
            label = f"{kind}, {name}"
            yield figure(f"AUC, {label}", found.auc)
            yield figure(f"partial AUC to 5 %, {label}", found.partial_auc)
            for rate, value in found.tpr.items():
                yield figure(f"TPR at {rate:.0%} asked again, {label}", value)
            for stratum, value in found.strata.items():
                yield figure(f"AUC with {stratum} logins, {label}", value)
            closed = evaluation.gap_closed(kind, name)
            if name == ONE_SCORE and closed is not None:
                yield figure(f"gap to the ceiling closed, {label}", closed)
            if name in MODELS and name != BASELINE:
                least = found.over_baseline[0]
                goal = (">=", 0.0) if goals and name == DEFAULT else None
                yield figure(
                    f"AUC over {BASELINE}, lower bound, {label}", least, goal=goal
                )
                aimed = goals and name == DEFAULT and kind in HARD
                if closed is not None:
                    yield figure(
                        f"gap to the ceiling closed, {label}",
                        closed,
                        goal=(">=", CLOSED) if aimed else None,
                    )


def swept(evaluation: Evaluation, churn: float) -> Iterator[Figure]:
    """Yield what a world with another churn gives: AUC of each model, and the gap."""
    for kind, models in evaluation.measured.items():
        for name, found in models.items():
            if name in MODELS or name == CEILING:
                yield figure(
                    f"AUC at {churn:g} times the churn, {kind}, {name}", found.auc
                )
        closed = evaluation.gap_closed(kind, DEFAULT)
        if closed is not None and kind in HARD:
            yield figure(
                f"gap closed at {churn:g} times the churn, {kind}, {DEFAULT}",
                closed,
            )


def details(evaluation: Evaluation) -> dict[str, object]:
    """Return what the report adds to the figures."""
    return {
        "synthetic": True,
        "counts": counts(evaluation),
        "cases": evaluation.cases,
        "unscored": evaluation.unscored,
        "attacks": evaluation.attacks,
        "reauthentications": evaluation.reauthentications,
        "models": {
            kind: {name: asdict(found) for name, found in models.items()}
            for kind, models in evaluation.measured.items()
        },
    }


def lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield tables: AUC and interval, partial AUC, TPR; strata; asked again."""
    for kind, models in evaluation.measured.items():
        yield f"{kind} ({evaluation.attacks[kind]} attempts)"
        for name, found in models.items():
            low, high = found.interval
            tpr = "  ".join(f"{value:.2f}" for value in found.tpr.values())
            yield (
                f"  {name:<32}{found.auc:.3f}  ({low:.3f} to {high:.3f})"
                f"  {found.partial_auc:.3f}  {tpr}"
            )
        for name in (*MODELS, ONE_SCORE, CEILING):
            if name in models:
                strata = models[name].strata.items()
                parts = ", ".join(f"{value:.3f} with {n}" for n, value in strata)
                yield f"  {name}, by logins before: {parts}"
    for name, asked in evaluation.reauthentications.items():
        if name in MODELS:
            after = ", ".join(
                f"{asked[at - 1]:g} after {at}" for at in _AFTER if at <= len(asked)
            )
            yield f"asked again, median, {name}: {after} logins"
