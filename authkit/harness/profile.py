"""What a load run does, as a TOML file: which operations how often, how fast, on what.

```toml
title = "Session checks, as an API gateway makes them"

[load]
model = "closed"        # or "open": then `rate` arrivals a second, whatever happens
users = 50              # locust users; under an open loop the workers that pull
think_ms = [5, 50]      # closed loop: how long a user waits between two operations
arrivals = "poisson"    # open loop: or "uniform"
seconds = 30

[reads]
replica_share = 0.7     # of the reads that may go to a replica
max_lag_ms = 1000       # how far that replica may be behind

[world]
sessions = 1000         # opened before the run, shared by its users
zipf = 1.1              # how unevenly users and sessions are chosen; 0 is evenly

[weights]
"sessions.validate" = 80
```
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from authkit.errors import ConfigError
from authkit.harness.recorder import Loop
from authkit.harness.schedule import Arrivals

_TABLES: Final = ("load", "reads", "world", "weights")
# What a profile may weigh, `visitor.CALLS` has a call for each: single operations,
VISITS: Final = (
    "sessions.validate",
    "sessions.touch",
    "sessions.create",
    "sessions.revoke",
    "attempts.record",
    "attempts.recent_by_user",
)
# and what takes several of them.
FLOWS: Final = (
    "login",
    "guess",
    "authorise",
    "oauth.code",
    "oauth.refresh",
    "revoke.everywhere",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of load. See the module for what each value means."""

    name: str
    weights: Mapping[str, float]
    title: str = ""
    model: Loop = "closed"
    users: int = 20
    rate: float = 200.0
    arrivals: Arrivals = "poisson"
    think_ms: tuple[float, float] = (5.0, 50.0)
    seconds: float = 30.0
    replica_share: float = 0.5
    max_lag_ms: float = 1000.0
    sessions: int = 200
    zipf: float = 1.1


_DEFAULT: Final = Profile("", {})


@dataclass(slots=True)
class _Reader:
    """Takes values out of a parsed table and collects what is wrong with them."""

    table: Mapping[str, Any]
    problems: list[str] = field(default_factory=list[str])

    def number(self, where: str, name: str, default: float, low: float) -> float:
        value = self.section(where).get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < low:
            self.problems.append(f"[{where}] {name} must be a number, {low:g} or above")
            return default
        return float(value)

    def choice(self, where: str, name: str, choices: tuple[str, ...]) -> str:
        value = self.section(where).get(name, choices[0])
        if value not in choices:
            self.problems.append(f"[{where}] {name} is one of {', '.join(choices)}")
            return choices[0]
        return str(value)

    def section(self, name: str) -> Mapping[str, Any]:
        found = self.table.get(name, {})
        return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}

    def unknown(self, known: Mapping[str, Collection[str]]) -> None:
        for name, value in self.table.items():
            if name in _TABLES and not isinstance(value, dict):
                self.problems.append(f"[{name}] must be a table")
            elif name not in (*_TABLES, "title"):
                self.problems.append(f"unknown name {name!r}")
        for where, names in known.items():
            self.problems.extend(
                f"[{where}] has the unknown name {name!r}"
                for name in self.section(where)
                if name not in names
            )


def read(path: Path) -> Profile:
    """Read a profile.

    Args:
        path: the TOML file; its stem is the profile's name.

    Raises:
        ConfigError: listing every fault of the file.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as exc:
        raise ConfigError([f"profile {path} cannot be read: {exc.strerror}"]) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"profile {path} is not TOML: {exc}"]) from exc
    return parse(path.stem, table)


def parse(name: str, table: Mapping[str, Any]) -> Profile:
    """Make a `Profile` of a parsed file; see `read`."""
    reader = _Reader(table)
    reader.unknown(
        {
            "load": ("model", "users", "rate", "arrivals", "think_ms", "seconds"),
            "reads": ("replica_share", "max_lag_ms"),
            "world": ("sessions", "zipf"),
            "weights": (*VISITS, *FLOWS),
        }
    )
    weights = {
        operation: reader.number("weights", operation, 0.0, 0.0)
        for operation in reader.section("weights")
    }
    if not sum(weights.values()):
        reader.problems.append("[weights] gives no operation a weight above zero")
    share = reader.number("reads", "replica_share", _DEFAULT.replica_share, 0.0)
    if share > 1:
        reader.problems.append("[reads] replica_share is a share, 0 to 1")
    rate = reader.number("load", "rate", _DEFAULT.rate, 0.0)
    seconds = reader.number("load", "seconds", _DEFAULT.seconds, 0.0)
    if not (rate and seconds):
        reader.problems.append("[load] rate and seconds must be above zero")
    made = Profile(
        name=name,
        weights=weights,
        title=str(table.get("title", name)),
        model=cast("Loop", reader.choice("load", "model", ("closed", "open"))),
        users=int(reader.number("load", "users", _DEFAULT.users, 1)),
        rate=rate,
        arrivals=cast(
            "Arrivals", reader.choice("load", "arrivals", ("poisson", "uniform"))
        ),
        think_ms=_think(reader),
        seconds=seconds,
        replica_share=share,
        max_lag_ms=reader.number("reads", "max_lag_ms", _DEFAULT.max_lag_ms, 0.0),
        sessions=int(reader.number("world", "sessions", _DEFAULT.sessions, 1)),
        zipf=reader.number("world", "zipf", _DEFAULT.zipf, 0.0),
    )
    if reader.problems:
        raise ConfigError([f"profile {name}: {fault}" for fault in reader.problems])
    return made


def _think(reader: _Reader) -> tuple[float, float]:
    value = reader.section("load").get("think_ms", list(_DEFAULT.think_ms))
    pair = cast("list[object]", value) if isinstance(value, list) else []
    numbers = [float(v) for v in pair if isinstance(v, int | float)]
    if len(pair) == len(numbers) == 2 and 0 <= numbers[0] <= numbers[1]:
        return (numbers[0], numbers[1])
    reader.problems.append("[load] think_ms is [from, to], zero or above")
    return _DEFAULT.think_ms
