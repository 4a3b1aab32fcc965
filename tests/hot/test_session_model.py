"""Sessions against a plain model, with a clock that only the machine moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from authkit.hot import Cap, CreationRefused, NewSession

SPANS = st.sampled_from([timedelta(minutes=m) for m in (1, 5, 30, 60)])
STEPS = SPANS | st.sampled_from([timedelta(microseconds=1), timedelta(seconds=59)])


@dataclass
class Modelled:
    """What a session should be."""

    id: UUID
    user: int
    token: str
    created_at: datetime
    last: datetime
    idle: timedelta
    expires: datetime
    revoked: bool = False
    old_tokens: list[str] = field(default_factory=list)

    def live(self, now: datetime) -> bool:
        return not self.revoked and now < self.expires and now < self.last + self.idle


class Sessions(RuleBasedStateMachine):
    """Two users, a clock, and everything that may happen to their sessions."""

    kit: Any
    clock: Any
    add_user: Callable[[], UUID]

    begun = Bundle("begun")

    @initialize()
    def start(self) -> None:
        self.users = [self.add_user(), self.add_user()]
        self.model: list[Modelled] = []

    @property
    def now(self) -> datetime:
        return self.clock.now

    def of_user(self, user: int) -> list[Modelled]:
        return [s for s in self.model if s.user == user and s.live(self.now)]

    @rule(
        target=begun,
        user=st.integers(0, 1),
        lifetime=SPANS,
        idle=SPANS,
        cap=st.none() | st.builds(Cap, st.integers(1, 3)),
        refuse=st.booleans(),
    )
    def create(self, user, lifetime, idle, cap, refuse):
        if cap is not None and refuse:
            cap = Cap(cap.limit, "refuse")
        made = self.kit.sessions.create(
            self.users[user], lifetime=lifetime, idle_timeout=idle, cap=cap
        )
        live = self.of_user(user)
        if cap is not None and cap.full == "refuse" and len(live) >= cap.limit:
            assert made is CreationRefused.CAP_REACHED
            return multiple()
        assert isinstance(made, NewSession)
        oldest_first = sorted(live, key=lambda s: (s.created_at, s.id))
        surplus = len(live) - cap.limit + 1 if cap is not None else 0
        gone = oldest_first[: max(surplus, 0)]
        assert set(made.evicted) == {s.id for s in gone}
        for session in gone:
            session.revoked = True
        assert made.expires_at == self.now + lifetime
        modelled = Modelled(
            made.id, user, made.token, self.now, self.now, idle, made.expires_at
        )
        self.model.append(modelled)
        return modelled

    @rule(session=begun)
    def validate(self, session):
        found = self.kit.sessions.validate(session.token)
        assert (found is not None) == session.live(self.now)
        if found is not None:
            assert found.id == session.id
            assert found.idle_s == (self.now - session.last).total_seconds()
        for token in session.old_tokens[-2:]:
            assert self.kit.sessions.validate(token) is None

    @rule(session=begun, every=STEPS)
    def touch(self, session, every):
        due = session.live(self.now) and self.now >= session.last + every
        assert self.kit.sessions.touch(session.id, every=every) is due
        if due:
            session.last = self.now

    @rule(session=begun, authenticated=st.booleans())
    def rotate(self, session, authenticated):
        rotated = self.kit.sessions.rotate(session.token, authenticated=authenticated)
        assert (rotated is not None) == session.live(self.now)
        if rotated is not None:
            session.old_tokens.append(session.token)
            session.token, session.last = rotated.token, self.now

    @rule(session=begun, idle=SPANS)
    def extend(self, session, idle):
        extended = self.kit.sessions.extend(session.id, idle_timeout=idle)
        assert (extended is not None) == session.live(self.now)
        if extended is not None:
            session.last = self.now
            session.idle = min(idle, session.expires - self.now)
            assert extended.idle_until == session.last + session.idle
            assert extended.expires_at == session.expires

    @rule(session=begun, by_token=st.booleans())
    def revoke(self, session, by_token):
        if by_token:
            revoked = self.kit.sessions.revoke_token(session.token)
        else:
            revoked = self.kit.sessions.revoke(session.id)
        assert revoked.ended == (() if session.revoked else (session.id,))
        session.revoked = True

    @rule(session=begun)
    def revoke_others(self, session):
        user = self.users[session.user]
        revoked = self.kit.sessions.revoke_others(user, keep=session.id)
        self.end_all(session.user, revoked.ended, keep=session)

    @rule(user=st.integers(0, 1))
    def revoke_all(self, user):
        revoked = self.kit.sessions.revoke_all(self.users[user])
        self.end_all(user, revoked.ended)

    def end_all(self, user, ended, keep=None):
        gone = [
            s for s in self.model if s.user == user and not s.revoked and s is not keep
        ]
        assert set(ended) == {s.id for s in gone}
        for session in gone:
            session.revoked = True

    @rule(span=STEPS)
    def wait(self, span):
        self.clock.advance(span)

    @invariant()
    def each_list_shows_the_live_sessions_newest_first(self):
        for user, user_id in enumerate(getattr(self, "users", ())):
            expected = sorted(
                self.of_user(user), key=lambda s: (s.created_at, s.id), reverse=True
            )
            listed = self.kit.sessions.list(user_id)
            assert [s.id for s in listed] == [s.id for s in expected]


def test_sessions_behave_like_their_model(frozen_kit, clock, add_user):
    def machine() -> Sessions:
        made = Sessions()
        made.kit, made.clock, made.add_user = frozen_kit, clock, add_user
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
