"""Legitimate logins: places, devices, travel, mistyped passwords, second factors."""

from __future__ import annotations

from math import log
from random import Random

from authkit.crypto.keyed import KeyedHash
from authkit.schema.vocabulary import AttemptMethod, AttemptOutcome, AttemptStage
from authkit.workload.attempt import Attempt, Source
from authkit.workload.calendar import weekday
from authkit.workload.geography import COUNTRIES
from authkit.workload.identifiers import uuid7_bytes
from authkit.workload.population import (
    DAY_US,
    Line,
    Person,
    Place,
    Trip,
    make_device,
    normal,
)

HOUR_US = 3_600_000_000
SECOND_US = 1_000_000
_NEW_DEVICE = 0.01  # of logins
_GIVES_UP = 0.25  # after three wrong passwords
_ABANDONS = 0.03  # at the second factor


def second_factor_of(person: Person) -> AttemptMethod:
    """Return the second factor that a person has enrolled."""
    return ("totp", "totp", "totp", "push", "push", "webauthn")[person.index % 6]


class Logins:
    """Makes the attempts of one legitimate login, fumbles included."""

    def __init__(self, rng: Random, keyed: KeyedHash, *, start_us: int) -> None:
        self._rng = rng
        self._keyed = keyed
        self._start_us = start_us

    def login(self, person: Person, day: int) -> list[Attempt]:
        """Return the attempts in order; the last success carries a session id."""
        rng = self._rng
        at_us = self._moment(person, day)
        when = (at_us - self._start_us) / DAY_US
        self._live(person, when)
        place, phone = self._circumstances(person, at_us)
        source = person.source(rng, when, place=place, phone=phone)
        made: list[Attempt] = []
        wrong = 0
        while wrong < 3 and rng.random() < person.mistype:
            made.append(self._attempt(person, at_us, source, "failed", "bad_password"))
            at_us += int((4.0 + 20.0 * rng.random()) * SECOND_US)
            wrong += 1
        if wrong == 3 and rng.random() < _GIVES_UP:
            return made
        if not person.mfa:
            made.append(self._attempt(person, at_us, source, "succeeded", None))
            return made
        made.append(
            self._attempt(person, at_us, source, "succeeded", None, completes=False)
        )
        at_us += int((5.0 + 25.0 * rng.random()) * SECOND_US)
        outcome, reason = ("succeeded", None)
        if rng.random() < _ABANDONS:
            outcome, reason = ("abandoned", "no_second_factor")
        made.append(
            self._attempt(
                person,
                at_us,
                source,
                outcome,
                reason,
                stage="second_factor",
                method=second_factor_of(person),
            )
        )
        return made

    def _moment(self, person: Person, day: int) -> int:
        rng = self._rng
        if rng.random() < 0.75:
            local_h = person.peak_h + 2.2 * normal(rng)
        else:
            local_h = 7.0 + 16.0 * rng.random()
        trip = person.trip
        offset = trip.utc_offset_h if trip else person.country.utc_offset_h
        wanted = int((local_h - offset) * HOUR_US) % DAY_US
        begin = self._start_us + day * DAY_US
        at_us = begin + (wanted - begin) % DAY_US
        if at_us < person.created_us:  # the day of the registration
            at_us = person.created_us + int((1.0 + 9.0 * rng.random()) * 60 * SECOND_US)
        return at_us

    def _live(self, person: Person, when: float) -> None:
        """Let trips end and begin, and old devices be replaced."""
        rng = self._rng
        if person.trip is not None and when >= person.trip.until_day:
            person.trip = None
        if person.trip is None and rng.random() < person.travels:
            person.trip = self._trip(person, when)
        if rng.random() < _NEW_DEVICE * person.churn:
            phone = person.desktop is None or rng.random() < 0.5
            number = person.devices_made
            device = make_device(rng, self._keyed, person.email, number, phone=phone)
            person.devices_made = number + 1
            if phone:
                person.phone = device
            else:
                person.desktop = device

    def _trip(self, person: Person, when: float) -> Trip:
        rng = self._rng
        country = person.country
        if rng.random() < 0.6:
            country = COUNTRIES[int(rng.random() * len(COUNTRIES))]
        carriers = country.of_kind("broadband")
        line = Line(
            carriers[int(rng.random() * len(carriers))],
            int(rng.random() * len(country.cities)),
            8 + int(rng.random() * 8),
            v6=False,
            lease_days=2.0,
        )
        length = 1.0 - 4.0 * log(1.0 - rng.random())
        return Trip(when + length, line, country.utc_offset_h)

    def _circumstances(self, person: Person, at_us: int) -> tuple[Place, bool]:
        rng = self._rng
        local = at_us + person.country.utc_offset_h * HOUR_US
        hour = local % DAY_US / HOUR_US
        if "work" in person.lines and weekday(local) < 5 and 8 <= hour < 17:
            if rng.random() < 0.7:
                return "work", rng.random() < 0.1
        elif rng.random() < 0.25:
            return "mobile", True
        return "home", rng.random() < 0.45

    def _attempt(
        self,
        person: Person,
        at_us: int,
        source: Source,
        outcome: AttemptOutcome,
        reason: str | None,
        *,
        stage: AttemptStage = "primary",
        method: AttemptMethod = "password",
        completes: bool = True,
    ) -> Attempt:
        rng = self._rng
        made_id, session = uuid7_bytes(rng, at_us), None
        if completes and outcome == "succeeded":
            session = person.session = uuid7_bytes(rng, at_us)
        return Attempt(
            made_id,
            at_us,
            "legitimate",
            None,
            person.index,
            person.id,
            person.subject,
            source,
            session,
            stage,
            method,
            outcome,
            reason,
        )
