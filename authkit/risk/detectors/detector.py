"""A detector as a value: what it looks for, its statement, its defaults and sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, LiteralString, TypeAlias
from uuid import UUID

import psycopg

from authkit.errors import InvalidInput

Value: TypeAlias = int | str | timedelta | list[str]

CUSTOM = "common practice; no published optimum"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A default, its unit in its type, and where it comes from."""

    name: str
    default: Value
    source: str = CUSTOM


@dataclass(frozen=True, slots=True)
class Detector:
    """One statement over `auth_attempts` between two times.

    That of reused refresh tokens reads the tables of tokens too, and names tokens where
    no attempt was logged. Its placeholders are `since`, `until` and the names of its
    parameters. `technique` is the id in MITRE ATT&CK.
    """

    name: str
    technique: str
    about: str
    sql: LiteralString
    parameters: tuple[Parameter, ...]

    def values(self, changed: Mapping[str, Value] | None = None) -> dict[str, Value]:
        """Return the parameters by name, some of them changed.

        Raises:
            InvalidInput: there is no parameter of that name.
        """
        values = {parameter.name: parameter.default for parameter in self.parameters}
        unknown = set(changed or ()) - set(values)
        if unknown:
            raise InvalidInput(
                f"{self.name} has no parameter {', '.join(sorted(unknown))}"
            )
        return values | dict(changed or {})


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector found: whom it concerns, when, and the attempts it rests on.

    `critical`: a valid password, or an approval, followed.
    """

    detector: str
    technique: str
    about: str
    first_at: datetime
    last_at: datetime
    critical: bool
    evidence: tuple[UUID, ...]


def detect(
    connection: psycopg.Connection[Any],
    detector: Detector,
    since: datetime,
    until: datetime,
    changed: Mapping[str, Value] | None = None,
) -> list[Finding]:
    """Run one detector; the oldest finding first.

    Raises:
        InvalidInput: a time has no zone, the times are not in order, or a parameter
            is not one of the detector's.
    """
    if since.tzinfo is None or until.tzinfo is None:
        raise InvalidInput("the times have no time zone")
    if since >= until:
        raise InvalidInput("the end is not after the start")
    values = {"since": since, "until": until, **detector.values(changed)}
    rows = connection.execute(detector.sql, values)
    name, technique = detector.name, detector.technique
    return [
        Finding(name, technique, str(key), first, last, bool(good), tuple(ids))
        for key, first, last, good, ids in rows
    ]


def networks_in(text: str) -> list[str]:
    """Read an operator's list: a network or address a line, # begins a remark.

    Raises:
        InvalidInput: a line is neither; its number is told.
    """
    made: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if said := line.partition("#")[0].strip():
            try:
                made.append(str(ip_network(said)))
            except ValueError:
                raise InvalidInput(
                    f"line {number} of the list is no network or address"
                ) from None
    return made
