"""One plain connection to fill a database with, its faults named."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from authkit.cluster.classify import Intent, Phase
from authkit.cluster.faults import translate, understand
from authkit.errors import SchemaMismatch, Unavailable
from authkit.settings import plain_url

_CONNECT_TIMEOUT_S = 5
# Undefined function, table, schema or column: not the schema that this code knows.
_NOT_OUR_SCHEMA = frozenset({"42883", "42P01", "3F000", "42703"})


def connect(url: str) -> psycopg.Connection:
    """Open one connection for a bulk load.

    Raises:
        Unavailable: nothing answers there, or it refuses us.
    """
    try:
        return psycopg.connect(
            plain_url(url),
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="authkit seed",
            options="-c search_path=authkit,public -c timezone=UTC",
        )
    except psycopg.OperationalError as exc:
        raise Unavailable(
            "the database cannot be reached: `authkit db test` says why"
        ) from exc


@contextmanager
def named_faults() -> Generator[None]:
    """Turn the driver's errors into authkit's."""
    try:
        yield
    except psycopg.Error as exc:
        if exc.sqlstate in _NOT_OUR_SCHEMA:
            raise SchemaMismatch(
                "the database lacks tables of this version: run `authkit db setup`"
            ) from exc
        fault = understand(exc, phase=Phase.WORK, intent=Intent.WRITE, broken=False)
        raise translate(exc, fault, node="the database") from exc
