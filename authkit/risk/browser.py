"""A user agent as three coarser values: browser, system, class of device.

By the rules of ua-parser, compiled. What they do not know keeps its product token, so
that two unknown ones still differ. A newer release of the rules may name a browser
anew; its full string is a level of its own and stays what it was.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ua_parser import Parser

_PRODUCT = re.compile(r"\s*([^\s/]{1,40})(?:/(\d+))?")
_HANDHELD = ("Android", "iOS", "iPadOS")
UNKNOWN = "unknown"


class Browser(NamedTuple):
    """Browser with major version, system with version, class of device."""

    browser: str
    system: str
    device: str


@lru_cache(maxsize=65_536)
def browser(user_agent: str) -> Browser:
    """Read a User-Agent header (RFC 9110 section 10.1.5); every text has an answer."""
    text = user_agent.encode("utf-8", "replace").decode()  # half a surrogate pair
    parser = _parser()
    agent, system = parser.parse_user_agent(text), parser.parse_os(text)
    if agent is not None:
        name = _versioned(agent.family, agent.major)
    elif (product := _PRODUCT.match(text)) is not None:
        name = _versioned(product[1], product[2])
    else:
        name = UNKNOWN
    on = UNKNOWN if system is None else _versioned(system.family, system.major)
    return Browser(name, on, _device(text, None if system is None else system.family))


@cache
def _parser() -> Parser:
    """Compile the rules, which takes a quarter of a second, when first asked."""
    from ua_parser import Parser
    from ua_parser.loaders import load_builtins
    from ua_parser.regex import Resolver

    return Parser(Resolver(load_builtins()))


def _versioned(family: str, major: str | None) -> str:
    return f"{family} {major}" if major else family


def _device(user_agent: str, system: str | None) -> str:
    if system is None:
        return "program"
    mobile = "Mobile" in user_agent
    if "iPad" in user_agent or (system in _HANDHELD and not mobile):
        return "tablet"
    return "phone" if mobile else "desktop"
