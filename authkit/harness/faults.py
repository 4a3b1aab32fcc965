"""Faults that a load run meets: what is asked for, as values.

`at=10s,kind=kill-primary` ten seconds after the first measurement; `for=2s` says how
long it lasts. Durations are seconds, `500ms` or `2s`.

| kind | what happens | `for` |
|---|---|---|
| `kill-primary` | SIGKILL, promotion of a replica, rejoin | until the rejoin |
| `restart-primary` | shut down and started again | - |
| `freeze-primary` | SIGSTOP, then SIGCONT | in between |
| `pause-replica` | replay paused on every replica | in between |
| `lag` (`lag=500ms`) | every replica replays that much later | in between |
| `lock-table` (`table=NAME`) | ACCESS EXCLUSIVE on a table | in between |
| `drop-connections` | every client connection of the primary ended | - |
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from authkit.errors import ConfigError

Kind = Literal[
    "kill-primary",
    "restart-primary",
    "freeze-primary",
    "pause-replica",
    "lag",
    "lock-table",
    "drop-connections",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
# These need the server's processes, which only a lab has.
OF_PROCESSES: Final = frozenset({"kill-primary", "restart-primary", "freeze-primary"})
OF_REPLICAS: Final = frozenset({"pause-replica", "lag"})
_LASTS_S: Final[Mapping[str, float]] = {"kill-primary": 3.0, "lock-table": 1.0}
_LONGEST_S: Final = 3_600.0
_DURATION: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s)?\Z")
_TABLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it begins, counted from the first measurement, and how long."""

    kind: Kind
    at_s: float
    for_s: float
    lag_s: float = 0.0
    table: str = "active_sessions"

    @property
    def role(self) -> Literal["primary", "replica"]:
        """Which role it takes out: of that role's answers an outage is measured."""
        return "replica" if self.kind in OF_REPLICAS else "primary"

    def as_dict(self) -> dict[str, Any]:
        """Return a form for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.kind} after {self.at_s:g} s"


def parse(text: str) -> Fault:
    """Read one fault as the command line has it.

    Raises:
        ConfigError: listing everything that is wrong with it.
    """
    problems: list[str] = []
    given = _parts(text, problems)
    kind = given.get("kind") or ("lag" if "lag" in given else "")
    table = given.get("table", "active_sessions")
    wrong = {
        f"kind is one of {', '.join(KINDS)}": kind not in KINDS,
        "at= is missing: when it begins, as in at=10s": "at" not in given,
        "lag= is for kind=lag": "lag" in given and kind != "lag",
        "table= is for kind=lock-table": "table" in given and kind != "lock-table",
        "table= is the name of a table of authkit": not _TABLE.match(table),
    }
    problems += [problem for problem, holds in wrong.items() if holds]
    default = {
        "at": 0.0,
        "for": _LASTS_S.get(kind, 2.0),
        "lag": 1.0 if kind == "lag" else 0.0,
    }
    times = {
        name: _duration(name, given[name], problems) if name in given else seconds
        for name, seconds in default.items()
    }
    if problems:
        raise ConfigError([f"fault {text!r}: {problem}" for problem in problems])
    known: Mapping[str, Kind] = {name: name for name in KINDS}
    return Fault(known[kind], times["at"], times["for"], times["lag"], table)


def _parts(text: str, problems: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in text.split(","):
        name, separator, value = part.strip().partition("=")
        if not separator or name not in {"at", "kind", "for", "lag", "table"}:
            problems.append(
                f"{part.strip()!r} is none of at=, kind=, for=, lag= and table="
            )
        elif name in given:
            problems.append(f"{name}= is there twice")
        given[name] = value
    return given


def _duration(name: str, text: str, problems: list[str]) -> float:
    found = _DURATION.match(text)
    seconds = float(found["number"]) if found else -1.0
    if found and found["unit"] == "ms":
        seconds /= 1000
    if not 0 <= seconds <= _LONGEST_S:
        problems.append(f"{name}= is a time, as in {name}=2s or {name}=500ms")
    return seconds


def parse_all(texts: str) -> tuple[Fault, ...]:
    """Read several faults with a semicolon between them, sorted by their beginning."""
    found = [parse(text) for text in texts.split(";") if text.strip()]
    return tuple(sorted(found, key=lambda fault: fault.at_s))


def check(
    faults: Collection[Fault], *, lab: bool, allowed: bool, tables: Collection[str]
) -> None:
    """Refuse faults that this database must not or cannot meet.

    Args:
        faults: what was asked for.
        lab: whether the database is an embedded cluster of this machine.
        allowed: whether faults on any other database were asked for a second time.
        tables: the tables there are.

    Raises:
        ConfigError: the database is no lab; a table is unknown.
    """
    problems: list[str] = []
    for fault in faults:
        if fault.kind == "lock-table" and fault.table not in tables:
            problems.append(f"there is no table {fault.table} to lock")
        if lab:
            continue
        if fault.kind in OF_PROCESSES:
            problems.append(
                f"{fault.kind} needs an embedded cluster: unset DATABASE_URL, or take"
                " one that `authkit lab up` started"
            )
        elif not allowed:
            problems.append(
                f"{fault.kind} would hit a database that is no embedded cluster: say"
                " --fault-outside-lab as well if that is what you want"
            )
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def table_names() -> frozenset[str]:
    """Return the name of every table of authkit."""
    from authkit.schema import metadata

    return frozenset(table.name for table in metadata.tables.values())
