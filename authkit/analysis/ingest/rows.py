"""Attempts of a log as rows of the schema, each with an id that can be made again."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from uuid import UUID

from authkit.analysis.ingest.event import Event, What
from authkit.crypto.keyed import KeyedHash
from authkit.errors import InvalidInput
from authkit.workload import binary as b

COLUMNS = (
    "occurred_at",
    "id",
    "session_id",
    "user_id",
    "subject_hash",
    "ip",
    "asn",
    "country",
    "user_agent",
    "device_fingerprint",
    "client_id",
    "stage",
    "method",
    "outcome",
    "failure_reason",
)
_HEADER = b.header(len(COLUMNS))
_CLIENT_CHARS = 200
_ID_BYTES = 16
_NAME_CHARS = 320
# How many different contents are remembered at least, to tell equal ones apart.
_REMEMBERED = 500_000
_VERSION_7 = 7 << 76
_VERSION_8 = 8 << 76
_VARIANT = 2 << 62
_VERSIONED = _VERSION_7 | _VARIANT
_ID_LENGTH = _ID_BYTES.to_bytes(4, "big")
_NOT_VERSION = (1 << 128) - 1 ^ (0xF << 76 | 3 << 62)
_RANDOM_74 = (1 << 80) - 1 ^ (0xF << 76 | 3 << 62)


class Ordinals:
    """Counts how often a content came before; the oldest contents are forgotten.

    Equal contents stand side by side in any real log, so a bounded memory finds the
    same ordinals whenever the same lines come in the same order.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def next(self, digest: bytes, times: int) -> int:
        """Return the first ordinal of `times` further rows of a content."""
        first = self._young.get(digest)
        if first is None:
            first = self._old.get(digest, 0)
        self._young[digest] = first + times
        if len(self._young) >= self._remembered:
            self._old, self._young = self._young, {}
        return first


class Rows:
    """Encodes events of one source.

    Args:
        source: the name under which the rows of this log are known.
        hashing: how names and devices become bytes.
    """

    def __init__(self, source: str, hashing: KeyedHash) -> None:
        self._seed = blake2b(b"authkit.ingest\x00" + source.encode() + b"\x00")
        self._source = source
        self._hashing = hashing
        self._ordinals = Ordinals()
        self._tail = lru_cache(maxsize=65_536)(self._encoded)
        self._who = lru_cache(maxsize=65_536)(self._person)

    def encode(self, event: Event, content: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return the rows of an event, in COPY's binary format, and their ids."""
        tail = _session(event.session) + self._tail(event.what)
        head = _HEADER + b.timestamp(event.at_us) + _ID_LENGTH
        ids = self._ids(event, content)
        return [head + id_ + tail for id_ in ids], ids

    def _ids(self, event: Event, content: bytes) -> list[bytes]:
        digest = self._seed.copy()
        digest.update(content)
        found = digest.digest()
        times = event.times
        first = self._ordinals.next(found[:_ID_BYTES], times)
        fixed = event.at_us // 1000 << 80 | _VERSIONED
        if times == 1 and not first:  # nearly always
            low = int.from_bytes(found[:_ID_BYTES], "big") & _RANDOM_74
            return [(fixed | low).to_bytes(_ID_BYTES, "big")]
        made: list[bytes] = []
        for ordinal in range(first, first + times):
            if ordinal:
                found = blake2b(digest.digest() + ordinal.to_bytes(8, "big")).digest()
            low = int.from_bytes(found[:_ID_BYTES], "big") & _RANDOM_74
            made.append((fixed | low).to_bytes(_ID_BYTES, "big"))
        return made

    def _encoded(self, what: What) -> bytes:
        device, client = what.device, what.client
        return b"".join(
            (
                self._who(what.account, what.exists, what.subject),
                b.inet(what.ip),
                b.bigint(what.asn),
                b.text(what.country),
                b.text(what.user_agent),
                b.raw(None if device is None else self._hashing.device(device)),
                b.text(client[:_CLIENT_CHARS] if client else None),
                b.text(what.stage),
                b.text(what.method),
                b.text(what.outcome),
                b.text(what.reason),
            )
        )

    def _person(self, account: str | None, exists: bool, subject: str | None) -> bytes:
        named = subject or account
        return b.raw(
            self._user(account) if account is not None and exists else None
        ) + b.raw(None if named is None else _subject(self._hashing, named))

    def _user(self, account: str) -> bytes:
        """Return the id of an account: its own if it is a UUID, else one made of it.

        Version 8 (RFC 9562 section 5.8): made under the key, so that the id of an
        account does not tell its name to whoever can guess names.
        """
        try:
            return UUID(account).bytes
        except ValueError:
            digest = _subject(self._hashing, f"{self._source}\x1f{account}")
            found = int.from_bytes(digest[:_ID_BYTES], "big") & _NOT_VERSION
            return (found | _VERSION_8 | _VARIANT).to_bytes(16, "big")


def _session(text: str | None) -> bytes:
    if text is None:
        return b.NULL
    try:
        return b.raw(UUID(text).bytes)
    except ValueError:
        return b.NULL


def _subject(hashing: KeyedHash, name: str) -> bytes:
    """Hash a name; what is no name at all (too long, control characters) as bytes."""
    try:
        return hashing.subject(name[:_NAME_CHARS])
    except InvalidInput:
        return hashing.device(f"name\x1f{name}")
