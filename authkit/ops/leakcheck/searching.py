"""Look for secrets in text, in every form in which one may have been written. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
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
        for how, decoded in _decoded(self.secret):
            found[how] = decoded
            found[f"{how}, in hexadecimal"] = binascii.hexlify(decoded)
            found[f"{how}, in base64"] = base64.b64encode(decoded).rstrip(b"=")
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


# What is shown in groups is base32, as secrets and codes of a second factor are.
_BASE32 = re.compile(r"[A-Z2-7-]{24,}", re.ASCII | re.IGNORECASE)


def _decoded(secret: str) -> Iterator[tuple[str, bytes]]:
    """Return what a secret encodes; not what is so short that it is found by chance."""
    with suppress(ValueError):
        raw = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
        if len(raw) >= 16:
            yield "decoded", raw
    if _BASE32.fullmatch(secret) is not None:
        letters = secret.replace("-", "").upper()
        with suppress(ValueError):
            yield (
                "decoded from base32",
                base64.b32decode(letters + "=" * (-len(letters) % 8)),
            )
