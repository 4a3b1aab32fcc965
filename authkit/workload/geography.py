"""Countries, cities and networks of the synthetic world.

No address here belongs to anybody: IPv4 comes from 240.0.0.0/4 (reserved, RFC 1112
section 4), IPv6 from 2001:db8::/32 (documentation, RFC 3849), and the autonomous system
numbers are those for private use (64512 to 65534, RFC 6996). Countries are real names
around invented networks; offsets from UTC ignore summer time.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from socket import inet_ntoa
from typing import Literal

NetworkKind = Literal["broadband", "mobile", "business", "hosting"]

_FIRST_ASN = 64512
_V4_BASE = 240 << 24
_KINDS: tuple[NetworkKind, ...] = (
    "broadband",
    "broadband",
    "broadband",
    "mobile",
    "mobile",
    "business",
    "business",
    "hosting",
)


@dataclass(frozen=True, slots=True)
class City:
    """A place people live in; degrees north and east."""

    name: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Carrier:
    """An autonomous system: one /16 of IPv4 and one /48 of IPv6 in one country."""

    asn: int
    country: str
    kind: NetworkKind
    index: int

    def v4(self, rng: Random, *, city: int, pool: int) -> str:
        """Draw an address of a city's pool: cities have a /20, pools of it a /24."""
        host = _V4_BASE + (self.index << 16) + (city << 12) + (pool << 8)
        host += 1 + int(rng.random() * 254)
        return inet_ntoa(host.to_bytes(4, "big"))

    def v6(self, rng: Random, *, city: int, pool: int) -> str:
        """Draw an address with a random interface identifier (RFC 8981) of a /64."""
        low = rng.getrandbits(64)
        prefix = f"2001:db8:{self.index:x}:{city << 12 | pool:x}"
        return (
            f"{prefix}:{low >> 48:x}:{low >> 32 & 65535:x}"
            f":{low >> 16 & 65535:x}:{low & 65535:x}"
        )


@dataclass(frozen=True, slots=True)
class Country:
    """A country: ISO 3166 code, share of the population, cities and carriers."""

    code: str
    weight: float
    utc_offset_h: int
    cities: tuple[City, ...]
    carriers: tuple[Carrier, ...]

    def of_kind(self, kind: NetworkKind) -> tuple[Carrier, ...]:
        """Return the country's carriers of one kind."""
        return tuple(c for c in self.carriers if c.kind == kind)


_PLACES: tuple[tuple[str, float, int, tuple[tuple[str, float, float], ...]], ...] = (
    (
        "NO",
        0.40,
        1,
        (("Oslo", 59.9, 10.8), ("Bergen", 60.4, 5.3), ("Trondheim", 63.4, 10.4)),
    ),
    (
        "SE",
        0.09,
        1,
        (("Stockholm", 59.3, 18.1), ("Gothenburg", 57.7, 12.0), ("Malmo", 55.6, 13.0)),
    ),
    ("DK", 0.05, 1, (("Copenhagen", 55.7, 12.6), ("Aarhus", 56.2, 10.2))),
    ("FI", 0.04, 2, (("Helsinki", 60.2, 24.9), ("Tampere", 61.5, 23.8))),
    (
        "DE",
        0.09,
        1,
        (("Berlin", 52.5, 13.4), ("Hamburg", 53.6, 10.0), ("Munich", 48.1, 11.6)),
    ),
    ("NL", 0.04, 1, (("Amsterdam", 52.4, 4.9), ("Utrecht", 52.1, 5.1))),
    ("GB", 0.07, 0, (("London", 51.5, -0.1), ("Leeds", 53.8, -1.5))),
    ("FR", 0.04, 1, (("Paris", 48.9, 2.4), ("Lyon", 45.8, 4.8))),
    ("ES", 0.02, 1, (("Madrid", 40.4, -3.7), ("Valencia", 39.5, -0.4))),
    ("PL", 0.03, 1, (("Warsaw", 52.2, 21.0), ("Krakow", 50.1, 19.9))),
    (
        "US",
        0.06,
        -5,
        (
            ("New York", 40.7, -74.0),
            ("Chicago", 41.9, -87.6),
            ("San Jose", 37.3, -121.9),
        ),
    ),
    ("BR", 0.02, -3, (("Sao Paulo", -23.6, -46.6), ("Recife", -8.1, -34.9))),
    ("IN", 0.02, 5, (("Pune", 18.5, 73.9), ("Chennai", 13.1, 80.3))),
    ("JP", 0.01, 9, (("Tokyo", 35.7, 139.7), ("Osaka", 34.7, 135.5))),
    ("AU", 0.01, 10, (("Sydney", -33.9, 151.2), ("Perth", -32.0, 115.9))),
    ("ZA", 0.01, 2, (("Cape Town", -33.9, 18.4), ("Durban", -29.9, 31.0))),
)


def _countries() -> tuple[Country, ...]:
    made: list[Country] = []
    for number, (code, weight, offset, places) in enumerate(_PLACES):
        first = number * len(_KINDS)
        carriers = tuple(
            Carrier(_FIRST_ASN + first + k, code, kind, first + k)
            for k, kind in enumerate(_KINDS)
        )
        cities = tuple(City(*place) for place in places)
        made.append(Country(code, weight, offset, cities, carriers))
    return tuple(made)


COUNTRIES: tuple[Country, ...] = _countries()
COUNTRY_WEIGHTS: tuple[float, ...] = tuple(c.weight for c in COUNTRIES)
CARRIERS: tuple[Carrier, ...] = tuple(k for c in COUNTRIES for k in c.carriers)
HOSTING: tuple[Carrier, ...] = tuple(k for k in CARRIERS if k.kind == "hosting")


def random_address(rng: Random, carrier: Carrier) -> str:
    """Draw any IPv4 address of a carrier."""
    return carrier.v4(rng, city=int(rng.random() * 3), pool=int(rng.random() * 16))
