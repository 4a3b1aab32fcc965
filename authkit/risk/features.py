"""What a model reads of a login: two features, each in levels from fine to coarse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from authkit.errors import InvalidInput
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


ADDRESS: tuple[str, ...] = ("ip", "asn", "country")
AGENT: tuple[str, ...] = ("user_agent", "browser", "system", "device")
LEVELS: tuple[str, ...] = Features._fields
# What a level is within all coarser ones, where that is more than its own value.
NETWORK, ON_SYSTEM, ON_DEVICE = "network", "browser_on_system", "system_on_device"
FACETS: tuple[str, ...] = (*LEVELS, NETWORK, ON_SYSTEM, ON_DEVICE)
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
            InvalidInput: the address is none.
        """
        return features(self.ip, self.asn, self.country, self.user_agent)


@lru_cache(maxsize=65_536)
def facets(seen: Features) -> tuple[str | None, ...]:
    """Return the value of each of `FACETS`: the levels, and three of them in context.

    A browser on another system is another browser to a model that descends from the
    device to the browser; to one that looks at each level by itself it is the same.
    """
    return (
        *seen,
        _joined(seen.asn, seen.country),
        _joined(seen.browser, seen.system, seen.device),
        _joined(seen.system, seen.device),
    )


def _joined(finest: str | None, *coarser: str | None) -> str | None:
    if finest is None:
        return None
    return _APART.join((finest, *(part or "" for part in coarser)))


def features(
    ip: str | None, asn: int | None, country: str | None, user_agent: str | None
) -> Features:
    """Read the levels from what the server observed; pure.

    Raises:
        InvalidInput: the address is none.
    """
    agent = browser(user_agent) if user_agent else None
    return Features(
        None if ip is None else _canonical(ip),
        None if asn is None else f"AS{asn}",
        country or None,
        user_agent or None,
        None if agent is None else agent.browser,
        None if agent is None else agent.system,
        None if agent is None else agent.device,
    )


@lru_cache(maxsize=65_536)
def _canonical(ip: str) -> str:
    try:
        address = ip_address(ip)
    except ValueError:
        raise InvalidInput("the IP address is not valid") from None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
