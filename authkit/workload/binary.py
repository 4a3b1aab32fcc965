"""Rows in the binary format of COPY, written directly.

PostgreSQL documentation, "COPY", section "Binary Format": a tuple is the number of its
fields, then for each its length in bytes (-1: NULL) and its value as the type's `send`
function would give it. Values that repeat (agents, addresses, people) are encoded once,
and the world's ids are bytes already: about three times as fast as a writer that takes
Python objects apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from struct import Struct, pack

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
# What stands before 16 and 32 bytes as they are.
UUID = b"\x00\x00\x00\x10"
DIGEST = b"\x00\x00\x00\x20"
# Microseconds from 1970 to 2000, where PostgreSQL's own clock begins.
_PG_EPOCH_US = 946_684_800_000_000
_INT8 = Struct(">iq").pack
_FLOAT8 = Struct(">id").pack
_LENGTH = Struct(">i").pack
_OPENING = Struct(">hiqi").pack
_ADDRESS = Struct(">iBBBB4siq").pack
_PGSQL_AF_INET = 2
_PGSQL_AF_INET6 = 3


def header(columns: int) -> bytes:
    """Return what begins each tuple: its number of fields."""
    return pack(">h", columns)


def raw(value: bytes | None) -> bytes:
    """Encode bytes as they are: `bytea`, and `uuid` from its 16 bytes."""
    return NULL if value is None else _LENGTH(len(value)) + value


@lru_cache(maxsize=4_096)
def text(value: str | None) -> bytes:
    """Encode `text`; remembered, because most texts of a world repeat."""
    return NULL if value is None else raw(value.encode())


def timestamp(at_us: int | None) -> bytes:
    """Encode `timestamptz` from microseconds since 1970."""
    return NULL if at_us is None else _INT8(8, at_us - _PG_EPOCH_US)


def bigint(value: int | None) -> bytes:
    """Encode `bigint`."""
    return NULL if value is None else _INT8(8, value)


def opening(columns: int, at_us: int, id_: bytes) -> bytes:
    """Encode what begins a row of a time and an id: three fields in one call."""
    return _OPENING(columns, 8, at_us - _PG_EPOCH_US, 16) + id_


def smallint(value: int) -> bytes:
    """Encode `smallint`."""
    return pack(">ih", 2, value)


def boolean(value: bool) -> bytes:
    """Encode `boolean`."""
    return b"\x00\x00\x00\x01" + (b"\x01" if value else b"\x00")


def double(value: float | None) -> bytes:
    """Encode `double precision`."""
    return NULL if value is None else _FLOAT8(8, value)


def interval(microseconds: int) -> bytes:
    """Encode `interval` without days and months."""
    return pack(">iqii", 16, microseconds, 0, 0)


def inet(value: str | None) -> bytes:
    """Encode an `inet` host address: family, prefix length, not a cidr, address."""
    if value is None:
        return NULL
    if ":" in value:
        return pack(">iBBBB", 20, _PGSQL_AF_INET6, 128, 0, 16) + inet_pton(
            AF_INET6, value
        )
    return pack(">iBBBB", 8, _PGSQL_AF_INET, 32, 0, 4) + inet_pton(AF_INET, value)


def address(ip: str, asn: int) -> bytes:
    """Encode an `inet` and the `bigint` of its network: two fields in one call."""
    if ":" in ip:
        return inet(ip) + _INT8(8, asn)
    packed = inet_pton(AF_INET, ip)
    return _ADDRESS(8, _PGSQL_AF_INET, 32, 0, 4, packed, 8, asn)


def jsonb(value: Mapping[str, object] | None) -> bytes:
    """Encode `jsonb`: a version byte, then the text."""
    if value is None:
        return NULL
    return raw(b"\x01" + json.dumps(value, separators=(",", ":")).encode())


_TEXT_OID = 25


@lru_cache(maxsize=1024)
def texts(values: tuple[str, ...]) -> bytes:
    """Encode a one-dimensional `text[]` without NULLs."""
    if not values:
        return raw(pack(">iii", 0, 0, _TEXT_OID))
    body = pack(">iiiii", 1, 0, _TEXT_OID, len(values), 1)
    return raw(body + b"".join(text(value) for value in values))


def tuples(columns: int, fields: Iterable[bytes]) -> bytes:
    """Join encoded fields to one tuple."""
    return header(columns) + b"".join(fields)
