"""What answers for keys where nobody gave any."""

from __future__ import annotations

from authkit.crypto import KeyRing
from authkit.errors import ConfigError


def no_keys() -> KeyRing:
    """Say that there is no key ring.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(["this needs a key ring, and none was given"])
