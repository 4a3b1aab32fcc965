"""A user agent as three coarser values: browser, system, class of device.

A few patterns, not a catalogue: enough to tell an upgrade from another browser. What
none of them knows keeps its product token, so that two unknown ones still differ.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

# The first that matches: every browser also claims to be those after it.
_BROWSERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Edge", re.compile(r"Edg(?:A|iOS|e)?/(\d+)")),
    ("Opera", re.compile(r"OPR/(\d+)")),
    ("Samsung Internet", re.compile(r"SamsungBrowser/(\d+)")),
    ("Firefox", re.compile(r"(?:Firefox|FxiOS)/(\d+)")),
    ("Chrome", re.compile(r"(?:Chrome|CriOS)/(\d+)")),
    ("Safari", re.compile(r"Version/(\d+)\S* (?:Mobile/\S+ )?Safari/")),
)
_SYSTEMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("iOS", re.compile(r"(?:iPhone|CPU) OS (\d+)")),
    ("Windows", re.compile(r"Windows NT (\d+\.\d+)")),
    ("Android", re.compile(r"Android (\d+)")),
    ("macOS", re.compile(r"Mac OS X (\d+[_.]\d+)")),
    ("ChromeOS", re.compile(r"CrOS \S+ (\d+)")),
    ("Linux", re.compile(r"(Linux)")),
)
_PRODUCT = re.compile(r"\s*([^\s/]{1,40})(?:/(\d+))?")


class Browser(NamedTuple):
    """Browser with major version, system with version, class of device."""

    browser: str
    system: str
    device: str


@lru_cache(maxsize=65_536)
def browser(user_agent: str) -> Browser:
    """Read a User-Agent header (RFC 9110 section 10.1.5); every text has an answer."""
    name = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if name is None:
        product = _PRODUCT.match(user_agent)
        name = "unknown"
        if product is not None:
            name = " ".join(part for part in product.groups() if part)
    return Browser(name, system or "unknown", _device(user_agent, system))


def _first(patterns: tuple[tuple[str, re.Pattern[str]], ...], text: str) -> str | None:
    for name, pattern in patterns:
        match = pattern.search(text)
        if match is not None:
            return f"{name} {match[1].replace('_', '.')}" if name != match[1] else name
    return None


def _device(user_agent: str, system: str | None) -> str:
    if system is None:
        return "program"
    if "iPad" in user_agent or ("Android" in user_agent and "Mobile" not in user_agent):
        return "tablet"
    return "phone" if "Mobile" in user_agent else "desktop"
