"""Families of refresh tokens against a plain model, with a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from authkit.crypto import KeyRing
from authkit.hot import GrantedTokens, Lifetimes, TokenRefusal

GRACE = timedelta(seconds=10)
LIVES = Lifetimes(
    access=timedelta(seconds=30),
    refresh=timedelta(seconds=60),
    family=timedelta(seconds=120),
)
SPANS = st.sampled_from([timedelta(seconds=s) for s in (1, 9, 10, 30, 60)])
CLIENTS = ("one", "two")


@dataclass
class Generation:
    """One pair of tokens."""

    refresh: str
    access: str
    refresh_ends: datetime
    access_ends: datetime
    rotated_at: datetime | None = None
    used: bool = False


@dataclass
class Family:
    """What a family should be."""

    ends: datetime
    revoked: bool = False
    generations: list[Generation] = field(default_factory=list)

    def add(self, made: GrantedTokens, now: datetime) -> None:
        assert made.refresh_expires_at == min(now + LIVES.refresh, self.ends)
        assert made.access_expires_at == min(now + LIVES.access, self.ends)
        self.generations.append(
            Generation(
                made.refresh_token,
                made.access_token,
                made.refresh_expires_at,
                made.access_expires_at,
            )
        )

    def alive(self, now: datetime) -> bool:
        return not self.revoked and now < self.ends


class Refreshing(RuleBasedStateMachine):
    """Rotate, look, wait, revoke: in any order, by the client or another."""

    kit: Any
    clock: Any
    families = Bundle("families")

    @initialize()
    def start(self) -> None:
        self.tokens = self.kit.oauth.tokens

    @rule(target=families)
    def issue(self):
        made = self.tokens.issue(client_id="one", lifetimes=LIVES)
        family = Family(self.clock.now + LIVES.family)
        family.add(made, self.clock.now)
        return family

    @rule(family=families, pick=st.integers(0, 2), client=st.sampled_from(CLIENTS))
    def rotate(self, family, pick, client):
        position = max(len(family.generations) - 1 - pick, 0)
        token, now = family.generations[position], self.clock.now
        answer = self.tokens.rotate(
            token.refresh, client_id=client, grace=GRACE, lifetimes=LIVES
        )
        good = family.alive(now) and now < token.refresh_ends and client == "one"
        if token.rotated_at is None:
            if not good:
                assert answer is TokenRefusal.INVALID
                return
            assert not answer.repeated
            token.rotated_at, token.used = now, True
            family.add(answer, now)
            return
        successor = family.generations[position + 1]
        if good and now < token.rotated_at + GRACE and not successor.used:
            assert answer.repeated
            assert answer.refresh_token == successor.refresh
            assert answer.access_token == successor.access
        else:
            assert answer is TokenRefusal.REUSED
            family.revoked = True

    @rule(family=families, pick=st.integers(0, 2), refresh=st.booleans())
    def look(self, family, pick, refresh):
        position = max(len(family.generations) - 1 - pick, 0)
        token, now = family.generations[position], self.clock.now
        ends = token.refresh_ends if refresh else token.access_ends
        good = family.alive(now) and now < ends
        if refresh:
            good = good and token.rotated_at is None
        found = self.tokens.introspect(token.refresh if refresh else token.access)
        assert (found is not None) == good
        if good:
            assert found.generation == position
            token.used = True

    @rule(family=families)
    def revoke(self, family):
        token = family.generations[0].refresh
        assert bool(self.tokens.revoke(token, client_id="one")) is not family.revoked
        family.revoked = True

    @rule(span=SPANS)
    def wait(self, span):
        self.clock.advance(span)


def test_families_behave_like_their_model(frozen_kit, clock):
    frozen_kit.key_ring = KeyRing.random()

    def machine() -> Refreshing:
        made = Refreshing()
        made.kit, made.clock = frozen_kit, clock
        return made

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
