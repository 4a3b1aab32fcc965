"""How many attempts may be made before one succeeds, and which counters say so. Pure.

An attempt is counted by its subject and the network it comes from, so that a stranger
elsewhere cannot lock the subject out. A device that the application knows (by a signed
cookie, say: a fingerprint alone can be copied) has a counter of its own, and neither
the network's nor the address's can stop it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Literal, TypeAlias

from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.hot.attempts import AttemptKey

Counter: TypeAlias = Literal["network", "device", "ip", "subject", "overall"]

# As wide as one customer of a provider usually is.
_IPV4_BITS, _IPV6_BITS = 24, 48
# One line: a host chooses the lower half of its IPv6 address anew as often as it likes
# (RFC 8981), and would have a counter for each.
_IPV6_LINE_BITS = 64
_FORGIVEN: frozenset[Counter] = frozenset({"network", "device", "subject"})


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many attempts within a window that begins with the first of them."""

    attempts: int
    window: timedelta

    def __post_init__(self) -> None:
        inputs.count(self.attempts, "number of attempts", low=1, high=1_000_000)
        inputs.span(self.window, "window")


@dataclass(frozen=True, slots=True)
class Throttle:
    """What stops guessing; None leaves a counter out.

    Success forgives `network`, `device` and `subject`; `ip` and `overall` are forgiven
    by time alone. `ip` counts an IPv4 address, or the /64 of an IPv6 one. `subject`
    counts a name wherever it is tried from: it stops guesses from many networks, and
    lets many networks lock out whoever has no known device. `overall` is one row that
    every attempt queues on.
    """

    network: Allowance | None = Allowance(10, timedelta(minutes=15))
    device: Allowance | None = Allowance(10, timedelta(minutes=15))
    ip: Allowance | None = Allowance(100, timedelta(minutes=15))
    subject: Allowance | None = None
    overall: Allowance | None = None


@dataclass(frozen=True, slots=True)
class CounterKey:
    """One counter that an attempt moves."""

    counter: Counter
    identifier: str
    allowance: Allowance


@dataclass(frozen=True, slots=True)
class Reserved:
    """The attempt may go on: check the password, then settle it.

    `forgive` names the counters that success resets.
    """

    key: AttemptKey
    forgive: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Throttled:
    """The attempt may not go on, and the password must not be looked at.

    `by` is the counter that is full; `retry_after` when there is room again.
    """

    key: AttemptKey
    by: Counter
    retry_after: timedelta

    def __bool__(self) -> bool:
        return False


def network_of(address: str) -> str:
    """Return the network of a normalised address: its /24, or its /48 for IPv6."""
    bits = _IPV6_BITS if ":" in address else _IPV4_BITS
    return str(ip_network(f"{address}/{bits}", strict=False))


def line_of(address: str) -> str:
    """Return a normalised IPv4 address as it is, of an IPv6 one its /64."""
    if ":" not in address:
        return address
    return str(ip_network(f"{address}/{_IPV6_LINE_BITS}", strict=False))


def counters(
    throttle: Throttle,
    *,
    subject: bytes,
    address: str | None,
    known_device: bytes | None,
) -> tuple[CounterKey, ...]:
    """Return the counters of an attempt.

    Raises:
        InvalidInput: no counter would be moved, and nothing would stop guessing.
    """
    name = subject.hex()
    chosen: list[tuple[Counter, str, Allowance | None]] = []
    if known_device is not None:
        chosen.append(("device", f"{name}:{known_device.hex()}", throttle.device))
    else:
        place = "unknown" if address is None else network_of(address)
        chosen.append(("network", f"{name}:{place}", throttle.network))
        chosen.append(("subject", name, throttle.subject))
        if address is not None:
            chosen.append(("ip", line_of(address), throttle.ip))
    chosen.append(("overall", "all", throttle.overall))
    keys = tuple(
        CounterKey(counter, f"{counter}:{what}", allowance)
        for counter, what, allowance in chosen
        if allowance is not None
    )
    if not keys:
        raise InvalidInput("the throttle leaves out every counter of this attempt")
    return keys


def forgiven(keys: tuple[CounterKey, ...]) -> tuple[str, ...]:
    """Return the identifiers of the counters that success resets."""
    return tuple(key.identifier for key in keys if key.counter in _FORGIVEN)
