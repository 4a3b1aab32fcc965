"""A supervised model that sees the labels: what the counts could give at best."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from authkit.errors import ConfigError, InvalidInput
from authkit.evaluation.collect import LEGITIMATE, Case
from authkit.risk.features import FACETS

if TYPE_CHECKING:
    from authkit.evaluation.metrics import Scores


def scores(
    training: Sequence[Case], evaluated: Sequence[Case], kinds: Collection[str]
) -> Scores:
    """Train on classes of attack against logins; return what it makes of others.

    Raises:
        ConfigError: scikit-learn is not installed.
        InvalidInput: there is no such attack among what it may learn from.
    """
    chosen = [case for case in training if case.kind in {*kinds, LEGITIMATE}]
    if not any(case.attack for case in chosen):
        raise InvalidInput(
            "no attack to train the ceiling on: a larger world or file, or no ceiling"
        )
    if find_spec("sklearn") is None:
        raise ConfigError(
            ["the ceiling needs scikit-learn: install authkit with its extra `bench`"]
        )
    room: Any = import_module("sklearn.ensemble")
    limits: Any = import_module("threadpoolctl")
    classifier = room.HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.06, l2_regularization=1.0, random_state=1
    )
    # Its threads spin while they wait: on a busy machine that costs minutes.
    with limits.threadpool_limits(1):
        given = _matrix(chosen)
        # What nobody has, as the hour of published logins, is no column to learn from.
        known = ~np.isnan(given).all(axis=0)
        classifier.fit(given[:, known], np.array([case.attack for case in chosen]))
        made: Scores = classifier.predict_proba(_matrix(evaluated)[:, known])[:, 1]
    return made


def _matrix(cases: Sequence[Case]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows: list[list[float]] = []
    for case in cases:
        counts, n = case.evidence.by_level(), case.evidence.n
        row = [float(n), float(case.evidence.total)]
        for facet in FACETS:
            count = counts.get(facet)
            if count is None:
                row += [np.nan, np.nan, np.nan]
            else:
                row += [float(count.seen), count.seen / n, float(count.everybody)]
        rows.append(row)
    return np.array(rows)
