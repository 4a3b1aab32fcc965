"""The published login data set for risk-based authentication, read from its CSV.

"Login Data Set for Risk-Based Authentication" (Wiefling et al., 2022): 16 columns, one
row an attempt. Its addresses were replaced; its hour of day, round-trip time and
geography below the country were randomised, so nothing here learns from those.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from authkit.errors import InvalidInput
from authkit.evaluation.collect import LEGITIMATE, Case, Collector, Progress
from authkit.hot.inputs import optional_address
from authkit.risk import Features
from authkit.risk.features import microseconds

TAKEOVER = "account takeover"
COLUMNS = (
    "index",
    "Login Timestamp",
    "User ID",
    "Round-Trip Time [ms]",
    "IP Address",
    "Country",
    "Region",
    "City",
    "ASN",
    "User Agent String",
    "Browser Name and Version",
    "OS Name and Version",
    "Device Type",
    "Login Successful",
    "Is Attack IP",
    "Is Account Takeover",
)
_STEP = 100_000


def read(path: Path, progress: Progress | None = None) -> list[Case]:
    """Return the cases of a file: logins that succeeded, and takeovers among them.

    Raises:
        InvalidInput: it cannot be read, is not that data set, or is out of order.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(_cases(csv.DictReader(file, restval=""), progress))
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror}") from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise InvalidInput(f"{path} is no CSV file in UTF-8") from exc


def _cases(rows: csv.DictReader[str], progress: Progress | None) -> Iterator[Case]:
    missing = set(COLUMNS[1:]) - set(rows.fieldnames or ())
    if missing:
        names = ", ".join(sorted(missing))
        raise InvalidInput(f"the file is not the published data set: it lacks {names}")
    collector, users, before = Collector(), dict[str, int](), 0
    for number, row in enumerate(rows, 2):
        if progress is not None and number % _STEP == 0:
            progress("attempts", number, number)
        at_us = _moment(row["Login Timestamp"], number)
        if at_us < before:
            raise InvalidInput(f"line {number} is older than the one before it")
        before = at_us
        if not _truth(row["Login Successful"], number):
            continue
        user = users.setdefault(row["User ID"], len(users))
        taken = _truth(row["Is Account Takeover"], number)
        yield collector.look(
            TAKEOVER if taken else LEGITIMATE,
            user,
            at_us,
            _features(row, number),
            learn=not taken,
        )


def _features(row: dict[str, str], number: int) -> Features:
    try:
        ip = optional_address(row["IP Address"] or None)
    except InvalidInput:
        raise InvalidInput(f"line {number} has an IP address that is none") from None
    return Features(
        ip,
        f"AS{row['ASN']}" if row["ASN"] else None,
        row["Country"] or None,
        row["User Agent String"] or None,
        row["Browser Name and Version"] or None,
        row["OS Name and Version"] or None,
        row["Device Type"] or None,
    )


def _moment(text: str, number: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"line {number} has no timestamp") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return microseconds(moment)


def _truth(text: str, number: int) -> bool:
    if text in {"True", "False"}:
        return text == "True"
    raise InvalidInput(f"line {number} says neither True nor False")
