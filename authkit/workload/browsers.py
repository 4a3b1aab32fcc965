"""Browsers of the synthetic world: what people use and how versions move on.

Strings follow the shape of what browsers send in 2026 (frozen platform parts, reduced
minor versions); a release train raises the major version every four weeks and each
device follows with its own delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

FormFactor = Literal["desktop", "phone"]

RELEASE_DAYS = 28
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_WINDOWS = "Windows NT 10.0; Win64; x64"
_MAC = "Macintosh; Intel Mac OS X 10_15_7"


@lru_cache(maxsize=4_096)
def _header(template: str, version: int) -> str:
    return template.format(v=version)


@dataclass(frozen=True, slots=True)
class Browser:
    """One browser on one system; `template` takes `{v}`, the major version."""

    name: str
    form: FormFactor
    weight: float
    first_version: int
    template: str
    release_days: int = RELEASE_DAYS

    def user_agent(self, version: int) -> str:
        """Return the header of one major version."""
        return _header(self.template, version)

    def version_on(self, day: float) -> int:
        """Return the major version that was current on a day of the world."""
        return self.first_version + int(day // self.release_days)


BROWSERS: tuple[Browser, ...] = (
    Browser(
        "Chrome on Windows",
        "desktop",
        0.40,
        142,
        f"Mozilla/5.0 ({_WINDOWS}) {_WEBKIT} Chrome/{{v}}.0.0.0 Safari/537.36",
    ),
    Browser(
        "Chrome on macOS",
        "desktop",
        0.14,
        142,
        f"Mozilla/5.0 ({_MAC}) {_WEBKIT} Chrome/{{v}}.0.0.0 Safari/537.36",
    ),
    Browser(
        "Edge on Windows",
        "desktop",
        0.18,
        142,
        f"Mozilla/5.0 ({_WINDOWS}) {_WEBKIT} Chrome/{{v}}.0.0.0 Safari/537.36 "
        "Edg/{v}.0.0.0",
    ),
    Browser(
        "Firefox on Windows",
        "desktop",
        0.09,
        144,
        f"Mozilla/5.0 ({_WINDOWS}; rv:{{v}}.0) Gecko/20100101 Firefox/{{v}}.0",
    ),
    Browser(
        "Firefox on Linux",
        "desktop",
        0.05,
        144,
        "Mozilla/5.0 (X11; Linux x86_64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0",
    ),
    Browser(
        "Safari on macOS",
        "desktop",
        0.14,
        18,
        f"Mozilla/5.0 ({_MAC}) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/{v}.1 Safari/605.1.15",
        365,
    ),
    Browser(
        "Safari on iPhone",
        "phone",
        0.48,
        18,
        "Mozilla/5.0 (iPhone; CPU iPhone OS {v}_1 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/{v}.1 Mobile/15E148 Safari/604.1",
        365,
    ),
    Browser(
        "Chrome on Android",
        "phone",
        0.40,
        142,
        f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/{{v}}.0.0.0 "
        "Mobile Safari/537.36",
    ),
    Browser(
        "Samsung Internet",
        "phone",
        0.12,
        28,
        f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} SamsungBrowser/{{v}}.0 "
        "Chrome/130.0.0.0 Mobile Safari/537.36",
        90,
    ),
)

DESKTOP: tuple[Browser, ...] = tuple(b for b in BROWSERS if b.form == "desktop")
PHONE: tuple[Browser, ...] = tuple(b for b in BROWSERS if b.form == "phone")
# What scripts of attackers pretend to be, or forget to hide.
POPULAR: Browser = BROWSERS[0]
TOOLS: tuple[str, ...] = ("python-requests/2.32.5", "Go-http-client/2.0", "curl/8.16.0")
