"""The head of a syslog line: its time, its host, its program.

Two forms are common: `Nov 23 12:00:01 host sshd[77]: ...` (RFC 3164 section 4.1.2),
which names no year and no zone, and `2026-11-23T12:00:01.123+00:00 host sshd[77]: ...`,
as rsyslog and `journalctl -o short-iso` write it. Others are read as well: RFC 5424,
journalctl's `short-precise` and `short-full`, a day of one digit behind one space, no
host, a program in brackets, and what `syslogd` says for itself, of no program.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAMES = ("Jan Feb Mar Apr May Jun", "Jul Aug Sep Oct Nov Dec")
_MONTHS = {
    name: number for number, name in enumerate(" ".join(_NAMES).split(), start=1)
}
_HEAD = re.compile(
    r"(?:<\d{1,3}>)?"
    r"(?P<minute>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d):(?P<second>\d\d) "
    r"(?P<host>\S+) (?P<program>[^\s:\[]+)(?:\[(?P<pid>\d+)\])?: ?(?P<message>.*)",
    re.ASCII | re.DOTALL,
)
# Any time that a line may begin with, and what follows it.
_OTHER_HEAD = re.compile(
    r"(?:<\d{1,3}>)?(?:1 )?(?:"
    r"(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d):(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?"
    r"|(?:[A-Z][a-z]{2} )?(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
    r"(?:Z|[+-]\d\d:?\d\d| UTC)?)"
    r") +(?P<rest>.*)",
    re.ASCII | re.DOTALL,
)
# Host, program, program in brackets, process, message: of these three, each its own.
_OWN = re.compile(
    r"(?:(?P<host>\S+) +)?()()()"
    r"(?P<message>last message repeated \d+ times?|-- MARK --|"
    r"message repeated \d+ times: \[.*\])\s*",
    re.ASCII | re.DOTALL,
)
_PROGRAM = re.compile(
    r"(?:(?P<host>\S*[^\s:\]]) +)?"
    r"(?:(?P<program>[^\s:\[]+)|\[(?P<bare>[^\s\]]+)\](?=[: ]))"
    r"(?:\[(?P<pid>\d+)\])?(?::|(?<=\])) ?(?P<message>.*)",
    re.ASCII | re.DOTALL,
)
# RFC 5424 section 6: HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG. A bracket in a
# value should be escaped (6.3.3); some write it bare, and its quotes tell it apart.
_RFC_5424 = re.compile(
    r"(?P<host>\S+) (?P<program>\S+)() (?P<pid>\S+) \S+"
    r" (?:-|(?:\[(?:\"(?:\\.|[^\"\\])*\"|[^\]\"])*\])+)(?: \ufeff?(?P<message>.*))?",
    re.DOTALL,
)
# A log may be a little out of order; a step back of half a year is a new year. A step
# forward of as much is no step back over New Year unless that is a short one, as where
# an older log stands behind a newer one.
_HALF_A_YEAR = 6
_SHORT = timedelta(days=31)
_LEAP_SECOND = 60


class Line(NamedTuple):
    """The head of a line, and its message."""

    at_us: int
    host: str
    program: str
    pid: str
    message: str


class Clock:
    """Turns the times of one log into microseconds since 1970 UTC.

    Args:
        year: the year in which the log begins.
        zone: the zone of its clock; in the hour that winter time repeats, the first.
        now: when it is read: nothing in a log comes later.
    """

    def __init__(self, year: int, zone: tzinfo = UTC, *, now: datetime) -> None:
        self.year = year
        self._zone = zone
        self._latest_us = (now + timedelta(days=1) - _EPOCH) // _MICROSECOND
        self._last: datetime | None = None
        self._minute = ""
        self._minute_us = 0

    def read(self, text: str) -> Line | str:
        """Return a line taken apart, or why it cannot be."""
        match = _HEAD.match(text)
        if match is None or match["host"].endswith((":", "]")):
            return self._other(text)
        minute, second, host, program, pid, message = match.groups()
        at_us = self._at(minute, int(second))
        if isinstance(at_us, str):
            return at_us
        return Line(at_us, host, program, pid or "", message)

    def _other(self, text: str) -> Line | str:
        head = _OTHER_HEAD.match(text)
        if head is None:
            return "it is no syslog line: no time, host and program"
        if head["iso"] is not None:
            at_us = self._iso(head["iso"])
        else:
            minute = f"{head['month']} {int(head['day']):2} {head['clock']}"
            at_us = self._at(minute, int(head["second"]))
        if isinstance(at_us, str):
            return at_us
        at_us += int((head["fraction"] or "0").ljust(6, "0")[:6])
        rest = head["rest"]
        if text.startswith("<") and text[: text.find(" ")].endswith(">1"):
            match = _RFC_5424.fullmatch(rest)
        else:
            match = _PROGRAM.fullmatch(rest) or _OWN.fullmatch(rest)
        if match is None:
            return "it is no syslog line: no host and program after its time"
        host, program, bare, pid, message = match.groups("")
        return Line(at_us, host, program or bare, pid.removeprefix("-"), message)

    def _at(self, minute: str, second: int) -> int | str:
        """Return the moment of a time without a year, or why there is none."""
        if minute != self._minute:
            begin = self._begin(minute)
            if isinstance(begin, str):
                return begin
            self._minute, self._minute_us = minute, begin
        if second > _LEAP_SECOND:
            return "its time does not exist"
        return self._past(self._minute_us + second * 1_000_000)

    def _iso(self, time: str) -> int | str:
        try:
            moment = datetime.fromisoformat(time.replace(",", ".").replace(" UTC", "Z"))
        except ValueError:
            return "its time does not exist"
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        return self._past((moment - _EPOCH) // _MICROSECOND)

    def _past(self, at_us: int) -> int | str:
        if at_us > self._latest_us:
            return "its time is yet to come: is the year right?"
        return at_us

    def _begin(self, minute: str) -> int | str:
        month = _MONTHS.get(minute[:3])
        if month is None:
            return f"{minute[:3]} is no month in English"
        year = self.year
        if self._last is not None and self._last.month - month > _HALF_A_YEAR:
            year += 1
        moment = self._moment(year, month, minute)
        if self._last is not None and month - self._last.month > _HALF_A_YEAR:
            earlier = self._moment(year - 1, month, minute)
            if earlier is not None and self._last - earlier <= _SHORT:
                return (earlier - _EPOCH) // _MICROSECOND  # December, after January
        if moment is None:
            return f"its time does not exist in {year}: is the year right?"
        self.year, self._last = year, moment
        return (moment - _EPOCH) // _MICROSECOND

    def _moment(self, year: int, month: int, minute: str) -> datetime | None:
        day, hour, sixtieth = int(minute[4:6]), int(minute[7:9]), int(minute[10:12])
        try:
            return datetime(year, month, day, hour, sixtieth, tzinfo=self._zone)
        except ValueError:
            return None


def first_date(text: str) -> tuple[int, int] | None:
    """Return month and day of a line whose time names no year; None of any other."""
    match = _OTHER_HEAD.match(text)
    if match is None or (month := _MONTHS.get(match["month"] or "")) is None:
        return None
    return month, int(match["day"])
