"""What a model reads of a login: where from, with what, and when.

Address and browser come in levels from fine to coarse. The time of day is a circle: two
grids of windows that overlap by half, so that no login lies at an edge of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from authkit.hot import inputs
from authkit.risk.browser import browser


class Features(NamedTuple):
    """The value of each level; None where it is not known."""

    ip: str | None
    asn: str | None
    country: str | None
    user_agent: str | None
    browser: str | None
    system: str | None
    device: str | None
    hour: int | None = None


ADDRESS: tuple[str, ...] = ("ip", "asn", "country")
AGENT: tuple[str, ...] = ("user_agent", "browser", "system", "device")
LEVELS: tuple[str, ...] = (*ADDRESS, *AGENT)
# What a level is within all coarser ones, where that is more than its own value.
NETWORK, ON_SYSTEM, ON_DEVICE = "network", "browser_on_system", "system_on_device"
# Addresses that differ in their last part are often of one line.
PREFIX = "prefix"
# Counts logins whose address was new to the user, by network: some lines keep their
# address for a year, some take another one every day. Its value is that of `NETWORK`.
MOVED = "moved"
HOURS: tuple[str, ...] = ("hours", "hours_between")
HOURS_WIDE = 4
FACETS: tuple[str, ...] = (
    *LEVELS,
    NETWORK,
    ON_SYSTEM,
    ON_DEVICE,
    PREFIX,
    *HOURS,
    MOVED,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000
# The end of the year 9999: what is later was counted in another unit.
_LAST_US = 253_402_300_799_999_999
_APART = "\x1f"


@dataclass(frozen=True, slots=True)
class Login:
    """A login as it was observed, before anybody judged it.

    `user_id` is any hashable identity; None is a name without an account. `at_us` is
    microseconds since 1970. `completed`: the last factor was accepted.
    """

    at_us: int
    user_id: object | None
    ip: str | None
    asn: int | None
    country: str | None
    user_agent: str | None
    completed: bool

    @property
    def features(self) -> Features:
        """Return the features of this login.

        Raises:
            InvalidInput: as `features` raises it.
        """
        return features(self.ip, self.asn, self.country, self.user_agent, self.at_us)


@lru_cache(maxsize=65_536)
def facets(seen: Features) -> tuple[str | None, ...]:
    """Return the value of each of `FACETS`: the levels, and what is made of them.

    A browser on another system is another browser to a model that descends from the
    device to the browser; to one that looks at each level by itself it is the same.
    """
    network = _joined(seen.asn, seen.country)
    return (
        seen.ip,
        seen.asn,
        seen.country,
        seen.user_agent,
        seen.browser,
        seen.system,
        seen.device,
        network,
        _joined(seen.browser, seen.system, seen.device),
        _joined(seen.system, seen.device),
        None if seen.ip is None else _prefix(seen.ip),
        *_windows(seen.hour),
        None if seen.ip is None else network,
    )


def _prefix(ip: str) -> str:
    """Return the /24 of an IPv4 address, the /64 of an IPv6 one."""
    address = ip_address(ip)
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))


def _windows(hour: int | None) -> tuple[str | None, ...]:
    if hour is None:
        return (None,) * len(HOURS)
    step = HOURS_WIDE // len(HOURS)
    return tuple(
        str((hour + step * grid) % 24 // HOURS_WIDE) for grid in range(len(HOURS))
    )


def _joined(finest: str | None, *coarser: str | None) -> str | None:
    if finest is None:
        return None
    return _APART.join((finest, *(part or "" for part in coarser)))


def features(
    ip: str | None,
    asn: int | None,
    country: str | None,
    user_agent: str | None,
    at_us: int | None = None,
) -> Features:
    """Read the levels from what the server observed; pure.

    What is compared in a database is compared in the same form here: the address in its
    canonical writing, the country in upper case, the User-Agent header cut to 512
    characters. `at_us` is microseconds since 1970. None is what is not known; a NaN, as
    pandas has it, is refused, for it would be a value that is seen again.

    Raises:
        InvalidInput: the address, the country, the number of the autonomous system or
            the time is none, or the User-Agent header no text.
    """
    if at_us is not None:
        inputs.count(at_us, "time in microseconds", low=0, high=_LAST_US)
    number, country = inputs.optional_asn(asn), inputs.country(country or None)
    user_agent = inputs.user_agent(user_agent)
    agent = browser(user_agent) if user_agent else None
    return Features(
        None if ip is None else _canonical(ip),
        None if number is None else f"AS{number}",
        country,
        user_agent,
        None if agent is None else agent.browser,
        None if agent is None else agent.system,
        None if agent is None else agent.device,
        None if at_us is None else at_us % _DAY_US // _HOUR_US,
    )


def microseconds(at: datetime) -> int:
    """Return a time as microseconds since 1970, exactly."""
    spent = at - _EPOCH
    return (spent.days * 86_400 + spent.seconds) * 1_000_000 + spent.microseconds


_canonical = lru_cache(maxsize=65_536)(inputs.address)
