"""Addresses as logs write them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from socket import AF_INET, inet_pton


@lru_cache(maxsize=65_536)
def address_of(text: str | None) -> str | None:
    """Return an address in its one form; None for a host's name, or for nothing.

    The zone of a link-local address goes, because `inet` has none. An IPv4 address
    inside IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 address.
    """
    if not text:
        return None
    try:
        # Four decimal numbers and nothing else (POSIX): already in its one form.
        inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return _other(text)
    return text


def _other(text: str) -> str | None:
    try:
        address = ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
