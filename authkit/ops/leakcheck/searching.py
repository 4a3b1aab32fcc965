"""Look for secrets in text, in every form in which one may have been written. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Canary:
    """A secret that must not sing; `name` says which one."""

    name: str
    secret: str = field(repr=False)

    def forms(self) -> Mapping[str, bytes]:
        """Return how it may be written: as it is, encoded, and what it encodes."""
        raw = self.secret.encode()
        found = {
            "in clear": raw,
            "in hexadecimal": binascii.hexlify(raw),
            "in base64": base64.b64encode(raw).rstrip(b"="),
            "in a URL": quote(self.secret, safe="").encode(),
        }
        decoded = _decoded(self.secret)
        if decoded is not None:
            found["decoded"] = decoded
            found["decoded, in hexadecimal"] = binascii.hexlify(decoded)
            found["decoded, in base64"] = base64.b64encode(decoded).rstrip(b"=")
        return found


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret that was found: which, where, and in what form; never itself."""

    canary: str
    place: str
    form: str


def search(canaries: Iterable[Canary], place: str, text: str | bytes) -> list[Leak]:
    """Return every canary that a text holds, once for each form.

    A leak names the canary, the place as it was given, and the form; never the secret.
    """
    haystack = text if isinstance(text, bytes) else text.encode(errors="replace")
    lower = haystack.lower()
    return [
        Leak(canary.name, place, form)
        for canary in canaries
        for form, needle in canary.forms().items()
        # Hexadecimal is written in either case.
        if needle in (lower if "hexadecimal" in form else haystack)
    ]


def _decoded(secret: str) -> bytes | None:
    try:
        raw = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    except (ValueError, binascii.Error):
        return None
    return raw if len(raw) >= 16 else None  # shorter: found by chance
