"""What a lab gives for `.env`: where it is, and keys of its own."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import typer


def give(variables: Mapping[str, str], env_file: Path | None) -> None:
    """Print a lab's variables, or write them to a file that only its owner reads.

    Raises:
        InvalidInput: the file cannot be written.
    """
    whole = {**variables, **keys(variables["DATABASE_URL"])}
    text = "".join(f"{name}={value}\n" for name, value in whole.items())
    if env_file is None:
        typer.echo(text, nl=False)
        return
    from authkit.errors import InvalidInput

    try:
        handle = os.open(env_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise InvalidInput(
            f"the lab is up, but {env_file} cannot be written: {exc.strerror}"
        ) from exc
    typer.echo(f"Wrote {env_file}.", err=True)


def keys(url: str) -> dict[str, str]:
    """Return the keys that go with a lab: the same ones as long as it lives.

    They come from its random password, which nothing outlives either.
    """
    from psycopg.conninfo import conninfo_to_dict

    secret = str(conninfo_to_dict(url)["password"]).encode()

    def key(purpose: bytes) -> str:
        made = hashlib.blake2b(secret, digest_size=32, person=purpose)
        return base64.b64encode(made.digest()).decode("ascii")

    return {
        "AUTHKIT_TOKEN_KEY": key(b"authkit tokens"),
        "AUTHKIT_SEALING_KEYS": f"lab:{key(b'authkit sealing')}",
    }
