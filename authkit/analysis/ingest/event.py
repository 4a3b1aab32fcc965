"""What a reader makes of a log: attempts, what is none, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from authkit.schema.vocabulary import AttemptMethod, AttemptOutcome, AttemptStage


class What(NamedTuple):
    """What of an attempt tends to repeat; `account` is the name or id that was tried.

    `exists` is whether the other system knows that account. `subject` is the name that
    was typed, where it is not the account's own key.
    """

    account: str | None
    exists: bool
    subject: str | None
    ip: str | None
    outcome: AttemptOutcome
    reason: str | None
    method: AttemptMethod
    client: str | None = None
    asn: int | None = None
    country: str | None = None
    user_agent: str | None = None
    device: str | None = None
    stage: AttemptStage = "primary"


class Event(NamedTuple):
    """One or, by `times`, several attempts; `at_us` is microseconds since 1970 UTC."""

    at_us: int
    what: What
    times: int = 1
    session: str | None = None
    label: str | None = None


class Passed(NamedTuple):
    """A line that was understood and is no attempt; `kind` says what it is."""

    kind: str


class Unreadable(NamedTuple):
    """A line that cannot be taken as it is; `reason` says why, for people."""

    reason: str


Found = Event | Passed | Unreadable

# A prefix of a line may read like a whole one, with another address or name at its end.
TORN = Unreadable("the line has no end: end it, or read the log again when it has one")

# UTF-8's mark at the beginning of a file, as Windows writes it.
BOM = b"\xef\xbb\xbf"


class Item(NamedTuple):
    """A record of a log: where it begins, its bytes, and what it is."""

    line: int
    content: bytes
    found: Found


class Reader(Protocol):
    """Whatever turns the lines of a file into items."""

    def read(self, lines: Iterable[bytes]) -> Iterator[Item]:
        """Yield an item for every record, in order."""
        ...
