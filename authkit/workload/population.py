"""The people of the synthetic world: homes, networks, devices, habits.

Logins per person over the whole world follow a log-normal distribution with median 2,
90th percentile 9 and 99th 28, the marginals of the login data set published with
"Pump Up Password Security!" (Wiefling et al., ACM TOPS 2022).
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import exp, log
from random import Random
from typing import Literal, TypeVar

from authkit.crypto.keyed import KeyedHash
from authkit.workload.attempt import Source
from authkit.workload.browsers import DESKTOP, PHONE, Browser
from authkit.workload.geography import COUNTRIES, COUNTRY_WEIGHTS, Carrier, Country
from authkit.workload.identifiers import uuid7_bytes
from authkit.workload.names import FIRST_NAMES, LAST_NAMES

Place = Literal["home", "work", "mobile"]
Role = Literal["admin", "moderator", "user"]

DAY_US = 86_400_000_000
LOGINS_MEDIAN = 2.0
LOGINS_SIGMA = 1.15  # between the 90th and the 99th percentile: 1.17 and 1.13
POOLS = 8  # of /24 that a carrier's customers of a city share
_DAILY = 0.25  # of the lines at home, which are cut off every 24 hours
_MOVES_POOL = 0.5  # of new leases: carriers renumber, the next one is another's


T = TypeVar("T")


def weighted(rng: Random, items: Sequence[T], cumulative: Sequence[float]) -> T:
    """Draw one item by cumulative weights (`itertools.accumulate`)."""
    point = rng.random() * cumulative[-1]
    return items[min(bisect(cumulative, point), len(items) - 1)]


_COUNTRY_STEPS = tuple(accumulate(COUNTRY_WEIGHTS))
_DESKTOP_STEPS = tuple(accumulate(b.weight for b in DESKTOP))
_PHONE_STEPS = tuple(accumulate(b.weight for b in PHONE))


@dataclass(slots=True)
class Device:
    """A browser on a machine; its version follows the release train with a delay."""

    browser: Browser
    fingerprint: bytes
    delay_days: float

    def user_agent(self, day: float) -> str:
        """Return the header this device sends on a day of the world."""
        browser = self.browser
        return browser.user_agent(browser.version_on(max(0.0, day - self.delay_days)))


@dataclass(slots=True)
class Line:
    """A network that a person uses; its address changes now and then.

    Half of the new addresses are of another pool, except in an office: whoever shares
    the carrier and the city has had an address of most pools at some time.
    """

    carrier: Carrier
    city: int
    pool: int
    v6: bool
    lease_days: float
    address: str = ""
    until_day: float = -1.0

    def address_on(self, rng: Random, day: float) -> str:
        """Return the address of a day, a new one where the lease has ended."""
        if day >= self.until_day:
            shared = self.carrier.kind in {"broadband", "mobile"}
            if self.address and shared and rng.random() < _MOVES_POOL:
                self.pool = int(rng.random() * POOLS)
            draw = self.carrier.v6 if self.v6 else self.carrier.v4
            self.address = draw(rng, city=self.city, pool=self.pool)
            self.until_day = day - self.lease_days * log(1.0 - rng.random())
        return self.address


@dataclass(slots=True)
class Trip:
    """A stay elsewhere: until when, on which line, in which time zone."""

    until_day: float
    line: Line
    utc_offset_h: int


@dataclass(slots=True)
class Person:
    """Somebody with an account. Devices and addresses change as the world runs."""

    index: int
    id: bytes
    email: str
    name: str
    subject: bytes
    role: Role
    country: Country
    city: int
    created_us: int
    logins: int
    dormant: bool
    mfa: bool
    mistype: float
    peak_h: float
    weekend: float
    travels: float
    desktop: Device | None
    phone: Device
    lines: dict[Place, Line] = field(default_factory=dict[Place, Line])
    devices_made: int = 2
    trip: Trip | None = None
    session: bytes | None = None  # the one that was opened last
    churn: float = 1.0

    @property
    def devices(self) -> tuple[Device, ...]:
        """Every device now in use."""
        return (self.phone,) if self.desktop is None else (self.desktop, self.phone)

    def source(self, rng: Random, day: float, *, place: Place, phone: bool) -> Source:
        """Return what the server sees of a login from one of the person's places.

        Args:
            rng: draws a new address where the line's lease has ended.
            day: days since the world began, with fractions.
            place: where they are; home where they have no line there. Who travels is on
                the trip's line, unless by phone.
            phone: by phone; who has no desktop always is.
        """
        line = self.lines.get(place) or self.lines["home"]
        if self.trip is not None and not phone:
            line = self.trip.line
        device = self.phone if phone or self.desktop is None else self.desktop
        return Source(
            line.address_on(rng, day),
            line.carrier.asn,
            line.carrier.country,
            device.user_agent(day),
            device.fingerprint,
        )


def make_device(
    rng: Random, keyed: KeyedHash, owner: str, number: int, *, phone: bool
) -> Device:
    """Draw a new device for somebody."""
    browser = (
        weighted(rng, PHONE, _PHONE_STEPS)
        if phone
        else weighted(rng, DESKTOP, _DESKTOP_STEPS)
    )
    fingerprint = keyed.device(f"{owner}/{number}/{browser.name}")
    return Device(browser, fingerprint, delay_days=21.0 * rng.random() ** 2)


def make_population(
    rng: Random,
    keyed: KeyedHash,
    *,
    users: int,
    start_us: int,
    days: int,
    domain: str = "example.com",
    activity: float = 1.0,
    churn: float = 1.0,
) -> list[Person]:
    """Draw everybody at once: memory grows with people, never with attempts."""
    people = [
        _person(rng, keyed, index, start_us, days, domain) for index in range(users)
    ]
    for person in people:
        if person.logins and activity != 1.0:
            person.logins = max(1, round(person.logins * activity))
        for line in person.lines.values():
            line.lease_days /= churn
        person.churn = churn
    return people


def _line(rng: Random, country: Country, kind: Place, city: int) -> Line:
    wanted = {"home": "broadband", "work": "business", "mobile": "mobile"}[kind]
    carriers = [c for c in country.carriers if c.kind == wanted]
    carrier = carriers[int(rng.random() * len(carriers))]
    # Carrier-grade NAT hands out an address per session, offices keep theirs.
    lease = {"home": 20.0, "work": 400.0, "mobile": 0.5}[kind]
    if kind == "home" and rng.random() < _DAILY:
        lease = 1.0
    v6 = kind != "work" and rng.random() < 0.15
    pool = int(rng.random() * (2 if kind == "work" else POOLS))
    return Line(carrier, city, pool, v6, 1.0 if v6 else lease)


def _person(
    rng: Random, keyed: KeyedHash, index: int, start_us: int, days: int, domain: str
) -> Person:
    first = FIRST_NAMES[int(rng.random() * len(FIRST_NAMES))]
    last = LAST_NAMES[int(rng.random() * len(LAST_NAMES))]
    email = f"{first}.{last}.{index}@{domain}"
    country = weighted(rng, COUNTRIES, _COUNTRY_STEPS)
    city = int(rng.random() ** 1.5 * len(country.cities))
    # Four of five were there before the world begins.
    early = rng.random() < 0.8
    lived = -rng.random() * 700 if early else rng.random() * days * 0.9
    created_us = start_us + int(lived * DAY_US)
    dormant = early and rng.random() < 0.05
    logins = 0
    if not dormant:
        logins = max(1, round(exp(log(LOGINS_MEDIAN) + LOGINS_SIGMA * normal(rng))))
    employed = rng.random() < 0.7
    places: tuple[Place, ...] = (
        ("home", "work", "mobile") if employed else ("home", "mobile")
    )
    return Person(
        index=index,
        id=uuid7_bytes(rng, created_us),
        email=email,
        name=f"{first.title()} {last.title()}",
        subject=keyed.subject(email),
        role=_role(index, rng.random()),
        country=country,
        city=city,
        created_us=created_us,
        logins=logins,
        dormant=dormant,
        mfa=rng.random() < 0.22,
        mistype=0.04 + 0.34 * rng.random(),
        peak_h=9.0 + 1.2 * normal(rng) if employed else 7.0 + 14.0 * rng.random(),
        weekend=0.25 if employed else 1.0,
        travels=0.08 if rng.random() < 0.15 else 0.01,
        desktop=(
            make_device(rng, keyed, email, 0, phone=False)
            if rng.random() < 0.85
            else None
        ),
        phone=make_device(rng, keyed, email, 1, phone=True),
        lines={place: _line(rng, country, place, city) for place in places},
    )


def _role(index: int, rank: float) -> Role:
    # Somebody must be there to grant the others their roles.
    if index == 0 or rank < 0.005:
        return "admin"
    return "moderator" if rank < 0.025 else "user"


def normal(rng: Random) -> float:
    """Draw from about a standard normal distribution (sum of twelve uniforms).

    Only `Random.random` is promised to draw the same in every version of Python, and
    `sum` does not add alike in all of them.
    """
    draw = rng.random
    six = draw() + draw() + draw() + draw() + draw() + draw()
    return six + draw() + draw() + draw() + draw() + draw() + draw() - 6.0
