"""Identifiers of the synthetic world: the same seed gives the same bytes.

UUID version 7 (RFC 9562 section 5.7) from the simulated time and the world's own random
numbers, so that ids sort as the rows would have arrived. All are 16 plain bytes: a
million `UUID` objects cost more than the rest of the generator.
"""

from __future__ import annotations

from hashlib import sha256
from random import Random

_VERSION_7 = 7 << 76
_VARIANT = 2 << 62
_RANDOM_A = 0xFFF << 64
_RANDOM_B = (1 << 62) - 1


def uuid7_bytes(rng: Random, at_us: int) -> bytes:
    """Return the 16 bytes of a UUIDv7 for a time in microseconds since 1970."""
    noise = rng.getrandbits(76)
    low = (noise << 2 & _RANDOM_A) | _VARIANT | (noise & _RANDOM_B)
    return ((at_us // 1000 << 80) | _VERSION_7 | low).to_bytes(16, "big")


def made_us(made: bytes) -> int:
    """Return the time that a UUIDv7 carries, in microseconds since 1970."""
    return int.from_bytes(made[:6], "big") * 1000


def stream_of(seed: int, *names: object) -> Random:
    """Return the random stream of one concern of one world.

    Separate concerns draw from separate streams: one more attack does not change whom
    the population consists of.
    """
    text = "/".join(("authkit.workload", str(seed), *map(str, names)))
    return Random(int.from_bytes(sha256(text.encode()).digest(), "big"))  # noqa: S311 # a world must be repeatable, nothing here is a secret


def world_key(seed: int) -> bytes:
    """Return the key (32 bytes) under which a world hashes subjects and devices."""
    return sha256(f"authkit.workload/{seed}/key".encode()).digest()
