"""What callers hand in, made acceptable or refused before the database is asked.

No message repeats the value: it may be a secret, or a name that belongs to somebody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
)
from socket import AF_INET, inet_ntop, inet_pton
from uuid import UUID

from authkit.errors import InvalidInput

MAX_USER_AGENT_CHARS = 512
DIGEST_BYTES = 32
# A century: what is longer is a unit mixed up, and near the end of PostgreSQL's range.
MAX_SPAN = timedelta(days=36_525)
_MAX_ADDRESS_CHARS = 64
_MAX_JSON_CHARS = 65_536
# Scores are kept in single precision, which ends shortly after this.
_MAX_SCORE = 3e38

# A NUL as JSON writes it, and no backslash that somebody wrote before "u0000".
_JSON_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000", re.ASCII)
_MAX_ASN = 2**32 - 1
_SLUG = re.compile(r"[a-z][a-z0-9_.-]{0,62}", re.ASCII)

Address = str | IPv4Address | IPv6Address


def text(value: str, what: str, *, limit: int) -> str:
    """Return a text that PostgreSQL can store: not empty, not too long, no NUL.

    Raises:
        InvalidInput: naming `what` and the fault.
    """
    if not value:
        raise InvalidInput(f"the {what} is empty")
    if len(value) > limit:
        raise InvalidInput(f"the {what} is longer than {limit} characters")
    _storable(value, what)
    return value


def slug(value: str, what: str) -> str:
    """Return one lower-case word, as reasons and policy names are.

    Raises:
        InvalidInput: it is not letters, digits and `_.-`, beginning with a letter.
    """
    if _SLUG.fullmatch(value) is None:
        raise InvalidInput(f"the {what} is not one lower-case word")
    return value


def country(value: str | None) -> str | None:
    """Return a country code of two letters (ISO 3166-1 alpha-2) in upper case.

    Raises:
        InvalidInput: it is something else.
    """
    if value is None:
        return None
    code = value.upper() if isinstance(value, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance] # a column of pandas has NaN
    if len(code) != 2 or not (code.isascii() and code.isalpha()):
        raise InvalidInput("the country is not a two-letter code (ISO 3166-1)")
    return code


def user_agent(value: str | None) -> str | None:
    """Return a User-Agent header cut to 512 characters; empty is None.

    It is cut, not refused: the header is the browser's and nobody could log in with a
    long one otherwise. What is compared later was cut in the same way.

    Raises:
        InvalidInput: it is no text, or holds a NUL character or a lone surrogate.
    """
    if not value:
        return None
    shortened = value[:MAX_USER_AGENT_CHARS] if isinstance(value, str) else value  # pyright: ignore[reportUnnecessaryIsInstance] # a column of pandas has NaN
    _storable(shortened, "user agent")
    return shortened


def address(value: Address) -> str:
    """Return an IP address in its canonical writing; an IPv4-mapped one as IPv4.

    One client must not be two: `::ffff:192.0.2.1` (RFC 4291 section 2.5.5.2) is what
    a dual-stack socket reports for `192.0.2.1`.

    Raises:
        InvalidInput: it is no address, or one with a scope (`fe80::1%eth0`).
    """
    if isinstance(value, str):
        if len(value) > _MAX_ADDRESS_CHARS:
            raise InvalidInput("the IP address is not valid")
        if ":" not in value and _canonical(value):
            return value
        try:
            value = ip_address(value)
        except ValueError:
            raise InvalidInput("the IP address is not valid") from None
    if isinstance(value, IPv4Interface | IPv6Interface):
        value = value.ip  # which writes itself without the network
    if isinstance(value, IPv6Address):
        if value.scope_id is not None:
            raise InvalidInput("an IP address with a scope is local to one machine")
        if value.ipv4_mapped is not None:
            value = value.ipv4_mapped
    elif not isinstance(value, IPv4Address):  # pyright: ignore[reportUnnecessaryIsInstance] # callers without a type checker pass numbers
        raise InvalidInput("the IP address is not valid")
    return str(value)


def _canonical(value: str) -> bool:
    """Tell whether it is IPv4 in its one writing, which costs a tenth of parsing it."""
    try:
        return inet_ntop(AF_INET, inet_pton(AF_INET, value)) == value
    except (OSError, ValueError):
        return False


def optional_address(value: Address | None) -> str | None:
    """Return `address(value)`, or None for None."""
    return None if value is None else address(value)


def fingerprint(value: bytes | None, what: str = "device fingerprint") -> bytes | None:
    """Return a keyed hash of 32 bytes, or None for None.

    Raises:
        InvalidInput: it is something else.
    """
    return None if value is None else keyed_hash(value, what)


def keyed_hash(value: bytes, what: str) -> bytes:
    """Return a keyed hash of 32 bytes.

    Raises:
        InvalidInput: it is something else; None too, that would be nobody's.
    """
    if not isinstance(value, bytes | bytearray | memoryview) or (  # pyright: ignore[reportUnnecessaryIsInstance] # callers without a type checker pass text
        len(value) != DIGEST_BYTES
    ):
        raise InvalidInput(f"the {what} is not a keyed hash of 32 bytes")
    return value


def span(value: timedelta, what: str, *, zero: bool = False) -> timedelta:
    """Return a positive length of time of at most a century.

    Raises:
        InvalidInput: it is negative, too long, or zero where `zero` is not allowed.
    """
    if value < timedelta(0) or (value == timedelta(0) and not zero):
        raise InvalidInput(f"the {what} must be positive")
    if value > MAX_SPAN:
        raise InvalidInput(f"the {what} is longer than a century")
    return value


def moment(value: datetime, what: str) -> datetime:
    """Return a point in time that carries its zone.

    Raises:
        InvalidInput: it has none, so that it would mean whatever zone the server has.
    """
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidInput(f"the {what} has no time zone")
    return value


def count(value: int, what: str, *, low: int, high: int) -> int:
    """Return a whole number between two bounds, both included.

    Raises:
        InvalidInput: it is outside of them, or not a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int):  # pyright: ignore[reportUnnecessaryIsInstance] # callers without a type checker pass floats
        raise InvalidInput(f"the {what} is not a whole number")
    if not low <= value <= high:
        raise InvalidInput(f"the {what} must be between {low} and {high}")
    return value


def optional_asn(value: int | None) -> int | None:
    """Return the number of an autonomous system (32 bits, RFC 6793), or None."""
    if value is None:
        return None
    return count(value, "autonomous system", low=0, high=_MAX_ASN)


def risk_score(value: float) -> float:
    """Return a risk score that is a number.

    Raises:
        InvalidInput: it is NaN, infinite, beyond 3e38 or not a number at all.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance] # the same
        raise InvalidInput("the risk score is not a number")
    if not -_MAX_SCORE <= value <= _MAX_SCORE:
        raise InvalidInput("the risk score is not a finite number")
    return float(value)


def identifier(value: UUID, what: str) -> UUID:
    """Return a UUID.

    Raises:
        InvalidInput: it is something else, which the server would have to refuse.
    """
    if not isinstance(value, UUID):  # pyright: ignore[reportUnnecessaryIsInstance] # the same
        raise InvalidInput(f"the {what} is not a UUID")
    return value


def optional_identifier(value: UUID | None, what: str) -> UUID | None:
    """Return `identifier(value, what)`, or None for None."""
    return None if value is None else identifier(value, what)


def json_object(value: Mapping[str, object], what: str) -> dict[str, object]:
    """Return an object that PostgreSQL's jsonb can hold, of at most 64 KiB written out.

    Raises:
        InvalidInput: it holds what JSON or jsonb has no form for (a number that is not
            finite, a NUL character, a lone surrogate, another type), or is too large.
    """
    found = dict(value)
    if not found:
        return found
    try:
        written = json.dumps(found, allow_nan=False, ensure_ascii=False)
        written.encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput(f"the {what} cannot be written as JSON") from None
    if _JSON_NUL.search(written) is not None:
        raise InvalidInput(f"the {what} holds a NUL character")
    if len(written) > _MAX_JSON_CHARS:
        raise InvalidInput(f"the {what} is longer than {_MAX_JSON_CHARS} characters")
    return found


def labels(values: Iterable[str], what: str, *, limit: int, chars: int) -> list[str]:
    """Return short names without repetition, in the order given.

    Raises:
        InvalidInput: there are too many, or one is empty, too long or not storable;
            or it is one text, whose letters are meant to be no names.
    """
    if isinstance(values, str):
        raise InvalidInput(f"the {what}s are one text and not several")
    unique = list(dict.fromkeys(values))
    if len(unique) > limit:
        raise InvalidInput(f"more than {limit} {what}s")
    return [text(value, what, limit=chars) for value in unique]


def _storable(value: str, what: str) -> None:
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance] # headers arrive as bytes
        raise InvalidInput(f"the {what} is not a text")
    if "\x00" in value:
        raise InvalidInput(f"the {what} holds a NUL character")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput(f"the {what} holds a lone surrogate") from None
