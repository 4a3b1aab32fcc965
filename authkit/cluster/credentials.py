"""Passwords that change while the program runs: asked of a callable or a command.

Whoever gives a `Password` is asked for each new connection, of the pools and of the
probes, so that a rotation needs no restart. What is asked may wait (a command, a
metadata service): the clusters never wait for it in an event loop, nor longer than
`LIMIT_S`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import TypeAlias

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from authkit.errors import ConfigError, Unavailable
from authkit.settings import Settings, plain_url

# A command that has not printed a password by then is given up.
LIMIT_S = 5.0
# Connections that are opened together share one answer of the command.
KEEP_S = 5.0


@dataclass(frozen=True, slots=True)
class Login:
    """Who connects where; what libpq would take from its defaults is empty."""

    host: str
    port: str
    user: str
    database: str


Password: TypeAlias = Callable[[Login], str]


class PasswordCommand:
    """Runs a command and takes the first line that it prints.

    The command finds PGHOST, PGPORT, PGUSER and PGDATABASE in its environment. It is
    no shell's command line: it is split into words, and run as it is.

    Args:
        command: the program and its arguments.

    Raises:
        ConfigError: the command cannot be split into words, or is empty.
    """

    def __init__(self, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError:
            self._words = []
        if not self._words:
            raise ConfigError(["AUTHKIT_PASSWORD_COMMAND is not a command"])
        self._lock = Lock()
        self._kept: dict[Login, tuple[float, str]] = {}

    def __call__(self, login: Login) -> str:
        """Return the password of a login.

        Raises:
            Unavailable: the command failed, printed nothing, or took too long.
        """
        with self._lock:
            until, password = self._kept.get(login, (0.0, ""))
            if monotonic() >= until:
                password = self._run(login)
                self._kept[login] = monotonic() + KEEP_S, password
            return password

    def __repr__(self) -> str:
        return "PasswordCommand(**********)"

    def _run(self, login: Login) -> str:
        given = {
            "PGHOST": login.host,
            "PGPORT": login.port,
            "PGUSER": login.user,
            "PGDATABASE": login.database,
        }
        try:
            done = subprocess.run(
                self._words,
                env={**os.environ, **{k: v for k, v in given.items() if v}},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"the password command printed nothing in {LIMIT_S:g} s"
            ) from None  # its message repeats the command, which may hold a secret
        except (OSError, UnicodeDecodeError) as exc:
            raise Unavailable(
                f"the password command cannot be run ({type(exc).__name__})"
            ) from None  # the same
        lines = done.stdout.splitlines()
        if done.returncode != 0:
            raise Unavailable(f"the password command failed (exit {done.returncode})")
        if not lines or not lines[0]:
            raise Unavailable("the password command printed nothing")
        return lines[0]


def password_of(settings: Settings) -> Password | None:
    """Return what the settings say: a command, or none."""
    command = settings.authkit_password_command
    return None if command is None else PasswordCommand(command.get_secret_value())


def login_urls(settings: Settings) -> tuple[str, ...]:
    """Return the URLs as they can be connected to now, one password each; secrets.

    For work that ends soon. What lives longer is given a `Password`.

    Raises:
        ConfigError: no database is named.
        Unavailable: the password command failed.
    """
    urls = [plain_url(u.get_secret_value()) for u in settings.require_database().urls]
    password = password_of(settings)
    if password is None:
        return tuple(urls)
    return tuple(_with_password(url, password) for url in urls)


def _with_password(url: str, password: Password) -> str:
    parameters = {k: str(v) for k, v in conninfo_to_dict(url).items() if v is not None}
    return make_conninfo(**{**parameters, "password": password(login_of(parameters))})


def login_of(parameters: Mapping[str, str]) -> Login:
    """Read who connects where out of libpq's parameters."""
    return Login(
        host=parameters.get("host", ""),
        port=parameters.get("port", ""),
        user=parameters.get("user", ""),
        database=parameters.get("dbname", ""),
    )
