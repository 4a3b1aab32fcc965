"""A score and its reasons, and what a model must be to give one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from authkit.risk.evidence import Evidence, stored
from authkit.risk.features import Features
from authkit.risk.history import History
from authkit.risk.page import page_of


@dataclass(frozen=True, slots=True)
class Term:
    """What one level adds to a score; `seen` is the user's count of the value."""

    level: str
    seen: int
    weight: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Score:
    """A score with all that is needed to repeat it; compare within one model only.

    `value` is None where there is nothing to compare with: *unscored* is not a low
    risk, it is a question for the policy. `terms` add up to the value, or to its
    logarithm where the model multiplies.
    """

    model: str
    version: str
    parameters: str
    value: float | None
    evidence: Evidence
    terms: tuple[Term, ...]
    unscored: str | None = None

    @property
    def n(self) -> int:
        """The user's logins in the history."""
        return self.evidence.n

    @property
    def total(self) -> int:
        """Everybody's logins in the history."""
        return self.evidence.total

    def as_features(self) -> dict[str, object]:
        """Return what `auth_attempts.risk_features` keeps."""
        kept: dict[str, object] = {
            "parameters": self.parameters,
            **stored(self.evidence),
            "terms": terms_of(self),
        }
        if self.unscored is not None:
            kept["unscored"] = self.unscored
        return kept

    def _repr_html_(self) -> str:
        return page_of(self)


def terms_of(score: Score) -> list[dict[str, Any]]:
    """Return what a score is made of, as rows of `frames.scores()` hold it."""
    return [
        {
            "level": term.level,
            "seen": term.seen,
            "weight": term.weight,
            "term": term.contribution,
        }
        for term in score.terms
    ]


class Model(Protocol):
    """A pure function from evidence to a score, with a name and a version.

    A version changes whenever the same evidence would give another number.
    """

    @property
    def name(self) -> str:
        """Its name in the registry and beside every score."""
        ...

    @property
    def version(self) -> str:
        """Its version beside every score."""
        ...

    @property
    def parameters(self) -> str:
        """Fingerprint of its parameters (`fingerprint`)."""
        ...

    def judge(self, evidence: Evidence) -> Score:
        """Score a login by what is known of its values: the same for the same evidence.

        The value is None, and `unscored` says why, without a history of the user.
        """
        ...

    def score(self, features: Features, history: History) -> Score:
        """Score a login against a past; higher is riskier.

        Values of two models, or of two versions of one, are not comparable. It is
        `judge` of the evidence that `gather` takes from the history.
        """
        ...


def fingerprint(parameters: Mapping[str, object]) -> str:
    """Return 16 hexadecimal digits that change when any parameter does."""
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def unscored(model: Model, evidence: Evidence, why: str) -> Score:
    """Return a score that is none, with the word for why: a value of None, no terms."""
    return Score(model.name, model.version, model.parameters, None, evidence, (), why)
