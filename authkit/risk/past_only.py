"""Score a stream of logins as it would have been scored at the time.

Each login is judged by what came before it and learned from afterwards, and only when
it was completed: nobody's future, and no attacker's failure, is in any score.
"""

from __future__ import annotations

from authkit.errors import InvalidInput
from authkit.risk.features import features
from authkit.risk.history import Histories
from authkit.risk.models import DEFAULT, model
from authkit.risk.scoring import Model, Score


class PastOnly:
    """A scorer to be called with every login in order of time."""

    def __init__(
        self, scorer: Model | None = None, histories: Histories | None = None
    ) -> None:
        self.model: Model = scorer or model(DEFAULT)
        self._histories = histories or Histories()
        self._now_us: int | None = None

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
    ) -> Score | None:
        """Score one login, then learn from it where it was completed.

        Returns:
            None where nobody has that account: there is no past to compare with.

        Raises:
            InvalidInput: it is older than the one before it, or `features` refuses it.
        """
        seen = features(ip, asn, country, user_agent, at_us)
        if self._now_us is not None and at_us < self._now_us:
            raise InvalidInput("logins must be scored in the order of their time")
        self._now_us = at_us
        if user_id is None:
            return None
        score = self.model.score(seen, self._histories.of(user_id, at_us))
        if completed:
            self._histories.learn(user_id, at_us, seen)
        return score
