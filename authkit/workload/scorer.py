"""What a load asks of whoever scores its attempts; no model is known here."""

from __future__ import annotations

from typing import Protocol


class ScoreLike(Protocol):
    """What a scorer returns: `authkit.risk.Score` is one."""

    @property
    def value(self) -> float | None:
        """The score; None is unscored."""
        ...

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def version(self) -> str:
        """The model's version."""
        ...

    def as_features(self) -> dict[str, object]:
        """Return the terms of the score."""
        ...


class Scorer(Protocol):
    """What may score attempts as they come: `authkit.risk.PastOnly()` is one."""

    def __call__(
        self,
        *,
        at_us: int,
        user_id: object | None,
        ip: str | None,
        asn: int | None,
        country: str | None,
        user_agent: str | None,
        completed: bool,
    ) -> ScoreLike | None:
        """Score one attempt from what came before it."""
        ...
