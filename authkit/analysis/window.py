"""The time that a frame covers, as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from authkit.errors import InvalidInput

When = str | datetime | date | timedelta | None

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)", re.ASCII)
_UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


@dataclass(frozen=True, slots=True)
class Window:
    """From a moment, included, to another, excluded; None is without a bound.

    Both are in UTC.
    """

    since: datetime | None
    until: datetime | None

    def __str__(self) -> str:
        begin = (
            "the beginning" if self.since is None else f"{self.since:%Y-%m-%d %H:%M}"
        )
        end = "now" if self.until is None else f"{self.until:%Y-%m-%d %H:%M}"
        return f"{begin} to {end} UTC"


def window(since: When, until: When, *, now: datetime) -> Window:
    """Read a window.

    A text is a length of time before `now` (`30min`, `12h`, `7d`, `2w`) or a point in
    time (ISO 8601). What has no time zone is taken as UTC.

    Raises:
        InvalidInput: a bound cannot be read, or nothing lies between them.
    """
    made = Window(_moment(since, "since", now), _moment(until, "until", now))
    if made.since is not None and made.since >= (made.until or now):
        raise InvalidInput(f"nothing lies within {made}: `since` must come first")
    return made


def _moment(value: When, name: str, now: datetime) -> datetime | None:
    match value:
        case None:
            return None
        case timedelta():
            return now - value
        case datetime():
            return _utc(value, name)
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case str():
            return _read(value.strip(), name, now)
    raise InvalidInput(f"{name} is neither a text, a time nor a length of time")


def _read(text: str, name: str, now: datetime) -> datetime:
    span = _SPAN.fullmatch(text)
    try:
        if span is not None:
            return now - float(span[1]) * _UNITS[span[2]]
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{name}={text[:40]!r} is neither a length of time (30min, 12h, 7d, 2w)"
            " nor a point in time (2026-11-23, 2026-11-23T12:00Z)"
        ) from None
    return _utc(moment, name)


def _utc(moment: datetime, name: str) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(f"{name} lies outside the calendar in UTC") from None
