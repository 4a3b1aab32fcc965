"""What a lab gives for `.env`: where it is, and keys of its own."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import typer


def give(variables: Mapping[str, str], env_file: Path | None) -> None:
    """Print a lab's variables, or write them to a file that only its owner reads.

    What else the file holds stays, and so do keys: with one lost, whatever it sealed
    is lost as well, and a new lab is content with any.

    Raises:
        InvalidInput: the file cannot be written.
    """
    made = keys(variables["DATABASE_URL"])
    if env_file is None:
        typer.echo(_lines({**variables, **made}), nl=False)
        return
    from authkit.errors import InvalidInput

    try:
        # A pipe or a terminal has nothing to keep; a comment may be in any encoding.
        old = (
            env_file.read_text(encoding="utf-8", errors="surrogateescape")
            if env_file.is_file()
            else ""
        )
        there = _values(old)
        kept = {name: there[name] for name in made if there.get(name)}
        own = {n: v for n, v in {**variables, **made}.items() if n not in kept}
        _write(env_file, _merged(old, own))
    except OSError as exc:
        raise InvalidInput(
            f"the lab is up, but {env_file} cannot be written: {exc.strerror}"
        ) from exc
    typer.echo(f"Wrote {env_file}.", err=True)
    for name, value in kept.items():
        if value != made[name]:
            typer.echo(f"{name} stays as it is there.", err=True)


def _lines(variables: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(
        handle, "w", encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        regular = stat.S_ISREG(os.fstat(handle).st_mode)
        if regular:
            os.fchmod(handle, 0o600)  # one that was there may be open to all
        file.write(text)
        if regular:
            file.truncate()


def _values(text: str) -> dict[str, str]:
    """Return what the lines of a file set; those that set nothing are passed over."""
    parts = map(_parts, text.splitlines())
    return {name: value for name, value in parts if value}


def _merged(text: str, variables: Mapping[str, str]) -> str:
    """Return a file's text with each variable in the place that it has there."""
    left = dict(variables)
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        name, _ = _parts(line)
        if name in left:
            lines.append(_lines({name: left.pop(name)}))
        elif name not in variables:
            lines.append(line)
    if lines and not lines[-1].endswith("\n"):
        lines.append("\n")
    return "".join(lines) + _lines(left)


def _parts(line: str) -> tuple[str, str]:
    """Return the name that a line sets, and its value."""
    name, _, value = line.strip().removeprefix("export ").partition("=")
    value = f" {value}".partition(" #")[0]  # what follows is a comment
    return name.strip().upper(), value.strip().strip("'\"")


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
