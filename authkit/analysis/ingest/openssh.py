"""OpenSSH's log: what `sshd` says of logins, as attempts.

`auth.c` (`auth_log`) writes `Failed METHOD for [invalid user ]NAME from ADDRESS port N
ssh2[: KEY]`, and `Accepted` likewise. Of an unknown user NAME is whatever the client
sent, a forged ` from 192.0.2.1 port 1 ssh2` included: the *last* address counts. Of a
known one the client chooses what stands after it (KEY tells a certificate's id and the
name on the client's machine): the *first* address that the rest may follow counts.

A connection that ends before anything was tried is an abandoned attempt, if it got so
far as to name somebody. What was tried already is not counted again when the connection
closes, nor by PAM's own lines about it. Where `sshd` asks through PAM it writes `error:
PAM: Authentication failure for NAME from ADDRESS`, and beside it `Failed
keyboard-interactive/pam` only after half the tries (`auth_log`): both are one attempt.

`last message repeated N times` is syslogd's word for the line before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from authkit.analysis.ingest.addresses import address_of
from authkit.analysis.ingest.event import (
    BOM,
    TORN,
    Event,
    Found,
    Item,
    Passed,
    Unreadable,
    What,
)
from authkit.analysis.ingest.syslog import Clock, Line
from authkit.schema.vocabulary import AttemptMethod, AttemptOutcome

# Since OpenSSH 9.8 the network-facing part is a program of its own.
_PROGRAMS = frozenset({"sshd", "sshd-session", "sshd-auth"})
_TRIED = re.compile(
    r"(?P<verb>Failed|Accepted) (?P<method>\S+) for "
    r"(?P<unknown>(?:invalid|illegal) user )?(?P<name>(?(unknown).*|.*?)) "
    r"from (?P<address>\S+)(?: port \d+)?(?: ssh\d?(?:: .*)?)?\s*",
    re.ASCII | re.DOTALL,
)
_REPEATED = re.compile(
    r"message repeated (?P<times>\d{1,6}) times: \[ ?(?P<message>.*)\]", re.DOTALL
)
_LAST_REPEATED = re.compile(r"last message repeated (?P<times>\d{1,6}) times?")
_PAM = re.compile(
    r"error: PAM: (?:[Aa]uthentication (?:failure|error)|[Uu]ser (?:not known|unknown)"
    r"[^\"]*?) for (?P<unknown>(?:invalid|illegal) user )?(?P<name>.*) from "
    r"(?P<address>\S+)(?: via \S+)?\s*",
    re.DOTALL,
)
# Solaris tags every message, and names nobody who is unknown.
_TAG = re.compile(r"\[ID \d+ [a-z0-9]+\.[a-z]+\] ")
_UNNAMED = frozenset({"invalid user", "illegal user", "<invalid username>"})
_UNKNOWN = re.compile(
    r"(?:Invalid|Illegal) user (?:(?P<name>.*) )?"
    r"from (?P<address>\S+)(?: port \d+)?\s*",
    re.DOTALL,
)
_CLOSED = re.compile(
    r"(?:error: |fatal: )?(?:Connection (?:closed|reset) by|Disconnected from|"
    r"Disconnecting|Received disconnect from|Timeout before authentication for|"
    r"Read from socket failed|Write failed)\b"
    r"(?: (?P<kind>invalid|authenticating) user "
    r"(?P<name>.*) (?P<address>\S+) port \d+)?",
    re.DOTALL,
)
_PEER = re.compile(r".*? (?:by|from|for)(?: connection from)? (\S+?):?(?: |$)")
_REFUSED = re.compile(
    r"User (?P<name>.*?)(?: from (?P<address>\S+))? not allowed because |"
    r"ROOT LOGIN REFUSED FROM (?P<root>\S+)",
    re.DOTALL,
)
_METHODS: dict[str, AttemptMethod] = {
    "password": "password",
    "publickey": "public_key",
    "hostbased": "public_key",
    "keyboard-interactive/pam": "password",
    "keyboard-interactive": "password",
    "keyboard-interactive/bsdauth": "password",
    "gssapi-with-mic": "other",
    "gssapi-keyex": "other",
}
_MOST_CONNECTIONS = 65_536
# Process ids come again; nobody may take so long to log in (LoginGraceTime is 2 min).
_FORGOTTEN_US = 600 * 1_000_000


class _Connection(NamedTuple):
    """What a connection has said so far, and when it last did."""

    at_us: int
    name: str | None = None
    address: str | None = None
    refused: bool = False
    settled: bool = False
    by_pam: int = 0  # attempts that PAM has told of, and sshd not yet


class OpenSSH:
    """Reads the lines of a syslog file and keeps what `sshd` says of logins.

    Args:
        clock: the year and the zone of the log.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # By host and process; the oldest goes when there are too many.
        self._open: dict[tuple[str, str], _Connection] = {}
        self._last: Found = Passed("nothing")

    def read(self, lines: Iterable[bytes]) -> Iterator[Item]:
        """Yield an item for every line that is not empty, in order; none is held back.

        Lines are bytes with their ends, numbered from 1; one without an end cannot be
        read. What a connection said before (its address, who was tried) is remembered,
        so lines come in the order of the log.
        """
        for number, raw in enumerate(lines, start=1):
            content = raw.rstrip(b"\r\n")
            if number == 1:
                content = content.removeprefix(BOM)
            if content:
                self._last = self._found(content) if raw.endswith(b"\n") else TORN
                yield Item(number, content, self._last)

    def _found(self, content: bytes) -> Found:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            # Names are bytes to sshd; what is no UTF-8 stands as an escape, as in vis.
            text = content.decode("utf-8", "backslashreplace")
        if "\x00" in text:
            return Unreadable("it holds NUL bytes: was the log cut off by a crash?")
        if text.startswith("-- "):
            return Passed("a remark of journalctl")
        line = self._clock.read(text)
        if isinstance(line, str):
            return Unreadable(line)
        message = line.message
        if message.startswith("last message repeated "):
            return self._again(line, message)
        if line.program not in _PROGRAMS:
            if not line.program:
                return Passed("a remark of syslogd")
            if line.program.rpartition("/")[2] not in _PROGRAMS:
                return Passed(f"of another program ({line.program[:40]})")
        if message.startswith("[ID "):
            message = _TAG.sub("", message, count=1)
        return self._said(line, message, 1)

    def _again(self, line: Line, message: str) -> Found:
        match = _LAST_REPEATED.match(message)
        if match is None:
            return Unreadable("how often the last message was repeated is cut off")
        if not isinstance(self._last, Event):
            return Passed("the last message again, no attempt")
        return Event(line.at_us, self._last.what, int(match["times"]))

    def _said(self, line: Line, message: str, times: int) -> Found:
        if message.startswith(("Failed ", "Accepted ")):
            return self._tried(line, message, times)
        if message.startswith("message repeated "):
            match = _REPEATED.fullmatch(message)
            if match is None or times > 1:
                return Unreadable("what was repeated is cut off")
            return self._said(line, match["message"].rstrip(), int(match["times"]))
        if message.startswith(("Invalid user ", "Illegal user ")):
            match = _UNKNOWN.fullmatch(message)
            if match is None:
                return Unreadable("the line about an unknown user is cut off")
            name = match["name"] or ""
            self._note(line, _Connection(line.at_us, name, match["address"]))
            return Passed("the name of an unknown user, before it is tried")
        if match := _REFUSED.match(message):
            name, address = match["name"] or "root", match["address"] or match["root"]
            self._note(line, _Connection(line.at_us, name, address, refused=True))
            return Passed("a user whom the configuration refuses, before it is tried")
        if match := _PAM.fullmatch(message):
            return self._counted(
                line, "Failed", "keyboard-interactive/pam", match, times, pam=True
            )
        return self._closed(line, message)

    def _tried(self, line: Line, message: str, times: int) -> Found:
        match = _TRIED.fullmatch(message)
        if match is None:
            return Unreadable("the line about an attempt is cut off")
        if match["method"] == "none":
            return Passed("a question for the ways to log in, no attempt")
        return self._counted(line, match["verb"], match["method"], match, times)

    def _counted(
        self,
        line: Line,
        verb: str,
        method: str,
        match: re.Match[str],
        times: int,
        *,
        pam: bool = False,
    ) -> Found:
        before = self._before(line) or _Connection(line.at_us)
        refused = before.refused and verb == "Failed"
        told = before.by_pam
        if pam:
            told += times
        elif verb == "Failed" and method.startswith("keyboard-interactive"):
            told, times = max(0, told - times), max(0, times - told)
        self._note(
            line, _Connection(line.at_us, settled=True, refused=refused, by_pam=told)
        )
        if not times:
            return Passed("an attempt that PAM has told of")
        name, known = match["name"], match["unknown"] is None
        if name in _UNNAMED:
            name, known = "", False
        what = _tried(
            verb == "Accepted",
            method,
            known,
            refused,
            name,
            match["address"],
            line.host,
        )
        return Event(line.at_us, what, times)

    def _closed(self, line: Line, message: str) -> Found:
        match = _CLOSED.match(message)
        if match is None:
            return Passed("nothing about an attempt")
        before = self._before(line)
        name, address = match["name"], match["address"]
        known = match["kind"] == "authenticating"
        if before is not None and before.name is not None and not before.settled:
            name, address = before.name, address or before.address
            if address is None and (peer := _PEER.match(message)) is not None:
                address = peer[1]
            known = before.refused
        if name is None or (before is not None and before.settled):
            return Passed("the end of a connection")
        self._note(line, _Connection(line.at_us, settled=True))
        return Event(
            line.at_us,
            What(
                name,
                known,
                None,
                address_of(address),
                "abandoned",
                None if known else "unknown_account",
                "other",
                line.host,
            ),
        )

    def _before(self, line: Line) -> _Connection | None:
        found = self._open.get((line.host, line.pid))
        if found is None or line.at_us - found.at_us > _FORGOTTEN_US:
            return None
        return found

    def _note(self, line: Line, connection: _Connection) -> None:
        if not line.pid:
            return
        key = (line.host, line.pid)
        self._open.pop(key, None)  # the newest stands last
        self._open[key] = connection
        if len(self._open) > _MOST_CONNECTIONS:
            del self._open[next(iter(self._open))]


@lru_cache(maxsize=65_536)
def _tried(
    accepted: bool,
    method: str,
    exists: bool,
    refused: bool,
    name: str,
    address: str,
    host: str,
) -> What:
    """Return what was tried; remembered, because attackers repeat themselves."""
    kind = _METHODS.get(method, "other")
    outcome: AttemptOutcome = "succeeded" if accepted else "failed"
    reason = None
    if refused:
        outcome, reason, exists = "denied", "not_allowed", True
    elif not accepted:
        reason = "wrong_password" if kind == "password" else "wrong_key"
        if not exists:
            reason = "unknown_account"
    return What(
        name,
        exists,
        None,
        address_of(address),
        outcome,
        reason,
        kind,
        host,
    )
