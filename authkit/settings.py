"""The environment, typed: one frozen class, every problem reported at once.

Names, units and defaults are those of `.env.example`. URLs carry passwords, so they
are `SecretStr`: no repr, log or error shows them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from authkit.errors import ConfigError

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Settings(BaseSettings):
    """Everything that can be configured, read from the environment and `.env`.

    Times without a unit in their name are milliseconds, as in the design this comes
    from. Use `Settings.load()`: it turns every fault into one `ConfigError`.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        case_sensitive=False,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = Field(
        default=None,
        description="Where the database is; a candidate node, its role is discovered.",
    )
    database_replica_urls: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), description="Further candidate nodes, separated by commas."
    )
    database_pool_min: int = Field(
        default=2, ge=0, description="Connections kept open to the primary."
    )
    database_pool_max: int = Field(
        default=20, ge=1, description="Connections to the primary at most."
    )
    database_replica_pool_min: int = Field(
        default=1, ge=0, description="Connections kept open to each replica."
    )
    database_replica_pool_max: int = Field(
        default=15, ge=1, description="Connections to each replica at most."
    )
    database_idle_timeout: int = Field(
        default=30_000,
        gt=0,
        description="Milliseconds after which a surplus idle connection is closed.",
    )
    database_connection_timeout: int = Field(
        default=5_000,
        gt=0,
        description="Milliseconds that a caller waits for a connection at most.",
    )
    database_max_retries: int = Field(
        default=3,
        ge=0,
        description="Repetitions of a transaction that may be repeated.",
    )
    database_retry_delay: int = Field(
        default=1_000, ge=0, description="Milliseconds before the first repetition."
    )
    database_backoff_multiplier: float = Field(
        default=2.0,
        ge=1.0,
        description="Factor from one repetition's delay to the next.",
    )
    authkit_password_command: SecretStr | None = Field(
        default=None,
        description="A command that prints the database password, asked as it changes.",
    )
    authkit_epoch_file: Path | None = Field(
        default=None,
        description="Where the highest timeline seen outlives this process.",
    )
    authkit_token_key: SecretStr | None = Field(
        default=None,
        description="Base64 key (32 bytes) of the keyed hashes of e-mails and devices.",
    )
    authkit_sealing_keys: SecretStr | None = Field(
        default=None,
        description="Keys that seal provider tokens: id:base64,... the first seals.",
    )
    authkit_state_dir: Path | None = Field(
        default=None, description="Where embedded clusters live; default: per user."
    )
    authkit_pg_bindir: Path | None = Field(
        default=None, description="PostgreSQL programs to use; never skipped silently."
    )

    authkit_geoip_country: Path | None = Field(
        default=None, description="MMDB file of countries; default: what is shipped."
    )
    authkit_geoip_asn: Path | None = Field(
        default=None, description="MMDB file of autonomous systems."
    )
    authkit_geoip_city: Path | None = Field(
        default=None, description="MMDB file of cities."
    )

    @field_validator("database_replica_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_url(value.get_secret_value())
        return value

    @field_validator("database_replica_urls")
    @classmethod
    def _check_urls(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for url in value:
            check_url(url.get_secret_value())
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems: list[str] = []
        if self.database_pool_min > self.database_pool_max:
            problems.append("DATABASE_POOL_MIN is above DATABASE_POOL_MAX")
        if self.database_replica_pool_min > self.database_replica_pool_max:
            problems.append(
                "DATABASE_REPLICA_POOL_MIN is above DATABASE_REPLICA_POOL_MAX"
            )
        urls = [url.get_secret_value() for url in self.urls]
        if len(set(urls)) != len(urls):
            problems.append(
                "DATABASE_URL and DATABASE_REPLICA_URLS name one node twice"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def urls(self) -> tuple[SecretStr, ...]:
        """Every candidate node, in the order given."""
        first = () if self.database_url is None else (self.database_url,)
        return first + self.database_replica_urls

    @classmethod
    def load(cls, env_file: Path | str | None = ".env", **overrides: object) -> Self:
        """Read the environment, then `.env`, then the defaults.

        Args:
            env_file: a file of `NAME=value` lines; one that is absent is no fault.
            overrides: field values that go before the environment.

        Raises:
            ConfigError: listing every fault at once, without any value in it.
        """
        problems = [] if env_file is None else _malformed_lines(Path(env_file))
        if problems:
            raise ConfigError(problems)
        try:
            return cls(_env_file=env_file, **overrides)  # pyright: ignore[reportCallIssue, reportArgumentType] # pydantic's own keyword, unknown to its stubs
        except ValidationError as exc:
            raise ConfigError(
                _sentences(exc)
            ) from None  # its input may hold a password

    def require_database(self) -> Self:
        """Return self, or say how to name a database.

        Raises:
            ConfigError: DATABASE_URL is not set.
        """
        if self.database_url is None:
            raise ConfigError(
                ["DATABASE_URL is not set: export it, or write it into .env"]
            )
        return self


def check_url(url: str) -> None:
    """Refuse what is not a PostgreSQL URL, without repeating it.

    Raises:
        ValueError: with a sentence that is safe to print.
    """
    scheme = _SCHEME.match(url)
    if scheme is not None and scheme[1] not in _SCHEMES:
        raise ValueError("is not a postgresql:// URL")
    try:
        parameters = conninfo_to_dict(plain_url(url))
    except ProgrammingError:
        raise ValueError(
            "is not a PostgreSQL URL or key=value connection string"
        ) from None  # libpq's message repeats the string, password included
    if not parameters:
        raise ValueError("is empty")
    authority, _, rest = url[scheme.end() :].partition("/") if scheme else ("", "", "")
    if (
        not all(map(_is_port, str(parameters.get("port") or "").split(",")))
        or "@" in authority.partition("@")[2].partition("?")[0]
        or "@" in rest.partition("?")[0]
    ):
        # What libpq takes for a host or a port may be a part of the password.
        raise ValueError(
            "does not read as user:password@host:port/database: within a user name or a"
            " password write %2F for /, %40 for @, %3A for : and %25 for %"
        )


def _is_port(text: str) -> bool:
    stripped = text.strip()
    return not stripped or (
        stripped.isascii() and stripped.isdigit() and 0 < int(stripped) < 65_536
    )


def plain_url(url: str) -> str:
    """Return the URL as libpq reads it (SQLAlchemy's driver suffix removed)."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _malformed_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as exc:
        return [f"{path.name} cannot be read: {type(exc).__name__}"]
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            name = stripped.removeprefix("export ").partition("=")[0].strip()
            if "=" not in stripped or not name.isidentifier():
                problems.append(f"{path.name} line {number} is not NAME=value")
    return problems


def _sentences(exc: ValidationError) -> list[str]:
    sentences: list[str] = []
    for fault in exc.errors(include_url=False, include_input=False):
        name = str(fault["loc"][0]).upper() if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        sentences.append(f"{name} {message}".strip())
    return sentences


def environment_names() -> tuple[str, ...]:
    """Return the names of every variable that `Settings` reads, in order."""
    return tuple(name.upper() for name in Settings.model_fields)


def is_set(name: str) -> bool:
    """Tell whether a variable is set in the process environment and not empty."""
    return bool(os.environ.get(name))
