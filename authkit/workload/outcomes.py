"""What becomes of an attacker's strike: wrong password, locked, stopped, or in."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from authkit.workload.attempt import Attempt, Strike
from authkit.workload.identifiers import uuid7_bytes
from authkit.workload.legitimate import second_factor_of
from authkit.workload.population import Person

LOCK_AFTER = 10
_LOCK_US = 15 * 60 * 1_000_000
_PAUSE_US = 8_000_000


class Referee:
    """Judges strikes in order: ten wrong passwords in a quarter of an hour lock."""

    def __init__(self, rng: Random, people: Sequence[Person]) -> None:
        self._rng = rng
        self._people = people
        # Wrong passwords in a row and when the row began, of those under attack only.
        self._wrong: dict[int, tuple[int, int]] = {}

    def judge(self, strike: Strike) -> list[Attempt]:
        """Return the attempts that the server records for one strike."""
        if strike.person < 0:
            return [self._primary(strike, None, "unknown_account")]
        person = self._people[strike.person]
        if strike.session is not None:
            return [self._stolen(strike, person)]
        if person.created_us > strike.at_us:
            return [self._primary(strike, None, "unknown_account")]
        count, since = self._wrong.get(person.index, (0, strike.at_us))
        if strike.at_us - since > _LOCK_US:
            count, since = 0, strike.at_us
        if count >= LOCK_AFTER:
            return [self._primary(strike, person, "locked")]
        if not strike.secret:
            self._wrong[person.index] = (count + 1, since)
            return [self._primary(strike, person, "bad_password")]
        self._wrong.pop(person.index, None)
        first = self._primary(strike, person, None)
        return [first, self._second(strike, person)] if person.mfa else [first]

    def _primary(
        self, strike: Strike, person: Person | None, reason: str | None
    ) -> Attempt:
        rng = self._rng
        inside = person is not None and reason is None and not person.mfa
        return Attempt(
            uuid7_bytes(rng, strike.at_us),
            strike.at_us,
            strike.kind,
            strike.campaign,
            -1 if person is None else person.index,
            None if person is None else person.id,
            strike.subject,
            strike.source,
            uuid7_bytes(rng, strike.at_us) if inside else None,
            "primary",
            "password",
            "succeeded"
            if reason is None
            else "denied"
            if reason == "locked"
            else "failed",
            reason,
        )

    def _stolen(self, strike: Strike, person: Person) -> Attempt:
        """Return what is refused of a stolen session: its token, or the password."""
        replayed = strike.kind == "refresh_replay"
        return Attempt(
            uuid7_bytes(self._rng, strike.at_us),
            strike.at_us,
            strike.kind,
            strike.campaign,
            person.index,
            person.id,
            strike.subject,
            strike.source,
            strike.session,
            "primary",
            "refresh_token" if replayed else "password",
            "denied" if replayed else "failed",
            "token-reused" if replayed else "bad_password",
        )

    def _second(self, strike: Strike, person: Person) -> Attempt:
        rng = self._rng
        at_us = strike.at_us + int((0.5 + rng.random()) * _PAUSE_US)
        fatigue = strike.kind == "mfa_fatigue"
        return Attempt(
            uuid7_bytes(rng, at_us),
            at_us,
            strike.kind,
            strike.campaign,
            person.index,
            person.id,
            strike.subject,
            strike.source,
            uuid7_bytes(rng, at_us) if strike.approves else None,
            "second_factor",
            "push" if fatigue else second_factor_of(person),
            "succeeded" if strike.approves else "denied" if fatigue else "abandoned",
            None
            if strike.approves
            else "user_denied"
            if fatigue
            else "no_second_factor",
        )
