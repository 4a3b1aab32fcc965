"""The load of a profile: which call of the kit stands for which operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import accumulate
from typing import Final

from locust import task
from locust.env import Environment

from authkit.harness import flows
from authkit.harness.profile import VISITS
from authkit.harness.user import AuthUser
from authkit.hot import AttemptRecord

_FAILED: Final = 0.2  # share of the attempts that are recorded as failed


class Visitor(AuthUser):
    """Runs operations in the proportions of the profile."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        weights = self.load.profile.weights or dict.fromkeys(VISITS, 1.0)
        self._names = list(weights)
        self._cumulative = list(accumulate(weights.values()))

    @task
    def visit(self) -> None:
        """Run one operation, chosen by its weight."""
        source = self.world.random
        names = source.choices(self._names, cum_weights=self._cumulative)
        self.visiting = names[0]
        CALLS[names[0]](self)

    def validate(self) -> None:
        """Check a session."""
        token = self.world.session().token
        self.kit.sessions.validate(token, max_lag=self.max_lag())

    def touch(self) -> None:
        """Note that a session was used."""
        session = self.world.session().session_id
        self.kit.sessions.touch(session, every=timedelta(0))

    def open(self) -> None:
        """Open a session, to be closed by a later logout."""
        self.world.opened(self.load.open_session(self.kit, self.world))

    def record(self) -> None:
        """Record a login attempt, one in five of them failed."""
        world = self.world
        failed = world.random.random() < _FAILED
        attempt = AttemptRecord(
            outcome="failed" if failed else "succeeded",
            failure_reason="wrong_password" if failed else None,
            user_id=world.user(),
            ip=world.address(),
            user_agent=world.browser(),
        )
        self.load.acknowledged("attempt", self.kit.attempts.record(attempt).id)

    def recent(self) -> None:
        """List the last attempts of a user."""
        self.kit.attempts.recent_by_user(
            self.world.user(), limit=20, max_lag=self.max_lag()
        )


CALLS: Final[Mapping[str, Callable[[Visitor], None]]] = {
    "sessions.validate": Visitor.validate,
    "sessions.touch": Visitor.touch,
    "sessions.create": Visitor.open,
    "sessions.revoke": flows.log_out,
    "attempts.record": Visitor.record,
    "attempts.recent_by_user": Visitor.recent,
    "login": flows.log_in,
    "guess": flows.guess,
    "authorise": flows.authorise,
    "oauth.code": flows.use_code,
    "oauth.refresh": flows.refresh,
    "revoke.everywhere": flows.revoke_everywhere,
}
