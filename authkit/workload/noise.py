"""The background of names that have no account: typing mistakes, scanners, old names.

In the published login data set one bucket of such attempts holds 45 % of all rows; here
its share of the rows is kept at that, attacks on unknown names included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from random import Random

from authkit.crypto.keyed import KeyedHash
from authkit.workload.attempt import Attempt, Source
from authkit.workload.browsers import DESKTOP, PHONE, TOOLS
from authkit.workload.geography import CARRIERS, random_address
from authkit.workload.identifiers import uuid7_bytes
from authkit.workload.names import SCANNED_NAMES
from authkit.workload.population import DAY_US

SHARE = 0.45
_FORMER, _MACHINES = 5_000, 20_000


class Noise:
    """Keeps the bucket of unknown accounts at its share, day by day."""

    def __init__(self, rng: Random, keyed: KeyedHash) -> None:
        self._rng = rng
        self._keyed = keyed
        self._known = 0
        self._unknown = 0
        self._browsers = (*DESKTOP, *PHONE)
        self._scanned = [keyed.subject(f"{name}@example.org") for name in SCANNED_NAMES]
        # A keyed hash is dear, and names and machines of this kind come again.
        self._former: dict[int, bytes] = {}
        self._machines: dict[int, bytes] = {}

    def fill(
        self, attempts: Sequence[Attempt], begin: int, day: int
    ) -> Iterator[Attempt]:
        """Yield the attempts that a day lacks; `attempts` are those it has.

        Rows carried over midnight are seen twice: a handful in a world.
        """
        known = sum(a.user_id is not None for a in attempts)
        self._known += known
        self._unknown += len(attempts) - known
        wanted = int(self._known * SHARE / (1.0 - SHARE))
        at_us = float(begin)
        missing = max(0, wanted - self._unknown)
        self._unknown += missing
        pace = DAY_US / (missing + 1)
        source = self._source(day)
        for _ in range(missing):
            at_us -= pace * log(1.0 - self._rng.random())
            if self._rng.random() < 0.3:  # the rest of a burst has one source
                source = self._source(day)
            moment = begin + int(at_us - begin) % DAY_US
            yield Attempt(
                uuid7_bytes(self._rng, moment),
                moment,
                "unknown_account",
                None,
                -1,
                None,
                self._subject(),
                source,
                None,
                "primary",
                "password",
                "failed",
                "unknown_account",
            )

    def _subject(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.5:
            return self._scanned[int(rng.random() * len(self._scanned))]
        number = int(rng.random() * _FORMER)
        if number not in self._former:
            subject = self._keyed.subject(f"former.{number}@example.com")
            self._former[number] = subject
        return self._former[number]

    def _source(self, day: int) -> Source:
        rng = self._rng
        carrier = CARRIERS[int(rng.random() * len(CARRIERS))]
        if rng.random() < 0.4:
            agent = TOOLS[int(rng.random() * len(TOOLS))]
        else:
            browser = self._browsers[int(rng.random() * len(self._browsers))]
            agent = browser.user_agent(browser.version_on(float(day)))
        number = int(rng.random() * _MACHINES)
        if number not in self._machines:
            self._machines[number] = self._keyed.device(f"noise/{number}")
        return Source(
            random_address(rng, carrier),
            carrier.asn,
            carrier.country,
            agent,
            self._machines[number],
        )
