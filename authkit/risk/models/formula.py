"""What the models of this room share: how they are named, and how a score is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from authkit.risk.evidence import Evidence, gather
from authkit.risk.features import Features
from authkit.risk.history import History
from authkit.risk.scoring import Score, Term, fingerprint, unscored


class Formula(ABC):
    """A model that weighs evidence by a formula with fixed parameters."""

    __slots__ = ()
    NAME: ClassVar[str]
    VERSION: ClassVar[str]

    @property
    def name(self) -> str:
        """The model's name."""
        return self.NAME

    @property
    def version(self) -> str:
        """The version of the formula."""
        return self.VERSION

    @property
    def parameters(self) -> str:
        """Fingerprint of the parameters."""
        return _parameters(self)

    @abstractmethod
    def fixed(self) -> Mapping[str, object]:
        """Return the parameters: two models that differ in one differ here."""

    @abstractmethod
    def weigh(self, evidence: Evidence) -> tuple[float, list[Term]]:
        """Return the value of a login of somebody with a history, and its terms.

        No term is a login of which nothing is known that could be compared.
        """

    def judge(self, evidence: Evidence) -> Score:
        """Score by the evidence."""
        if evidence.n == 0:
            return unscored(self, evidence, "no_history")
        value, terms = self.weigh(evidence)
        if not terms:
            return unscored(self, evidence, "nothing_known")
        return Score(
            self.name, self.version, self.parameters, value, evidence, tuple(terms)
        )

    def score(self, features: Features, history: History) -> Score:
        """Score a login; *unscored* without a history or anything to compare."""
        return self.judge(gather(features, history))


@lru_cache
def _parameters(formula: Formula) -> str:
    return fingerprint(formula.fixed())
