"""Plain connections to one URL, for work on the database itself.

Migrations and checks run before a cluster exists, so they connect by themselves; faults
become the errors that the rest of authkit raises.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, create_engine, exc
from sqlalchemy.pool import NullPool

from authkit.errors import (
    AlreadyExists,
    AuthkitError,
    ConfigError,
    Conflict,
    DatabaseError,
    NotPermitted,
    RetryLater,
    Unavailable,
)
from authkit.settings import plain_url

CONNECT_TIMEOUT_S = 5
OWNER = "the role that owns the schema"


def where(url: str) -> str:
    """Say which database a URL means, in words that hold no password."""
    parts = conninfo_to_dict(plain_url(url))
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    port = f":{parts['port']}" if parts.get("port") else ""
    name = parts.get("dbname") or parts.get("user") or "its default database"
    return f"{name} on {host}{port}"


def connect(
    url: str, *, autocommit: bool = True, statement_timeout: timedelta | None = None
) -> psycopg.Connection:
    """Open one connection.

    Raises:
        ConfigError: there is no such database, or the password is wrong.
        Unavailable: nothing answers there.
    """
    # Every name is qualified. With `authkit` on the path SQLAlchemy would take it for
    # the default schema, and autogenerate would see nothing there.
    options = "-c search_path=public"
    if statement_timeout is not None:
        options += f" -c statement_timeout={round(statement_timeout.total_seconds())}s"
    try:
        return psycopg.connect(
            plain_url(url),
            autocommit=autocommit,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="authkit",
            options=options,
        )
    except psycopg.OperationalError as fault:
        raise connect_fault(url, fault) from fault


def connect_fault(url: str, fault: psycopg.OperationalError) -> AuthkitError:
    """Name what kept a connection from opening.

    libpq gives no SQLSTATE in this phase, so its English words are all there is
    (`lc_messages` of the server may differ: then it is merely unavailable).
    """
    text = str(fault)
    if "does not exist" in text and "database" in text:
        return ConfigError(
            [f"there is no database {where(url)}: `authkit db setup --create` makes it"]
        )
    if "authentication failed" in text or "no password supplied" in text:
        return ConfigError([f"the user or password is not right for {where(url)}"])
    return Unavailable(f"cannot connect to {where(url)}: is the server running?")


@contextmanager
def transaction(url: str, *, enough: str = OWNER) -> Generator[Connection]:
    """Give a SQLAlchemy connection in one transaction, committed on a clean exit.

    Args:
        url: of the database.
        enough: the login that has the right, in words, for who lacks it.

    Raises:
        AuthkitError: whatever the server or the network said, named.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(url, autocommit=False),
        poolclass=NullPool,
    )
    try:
        with named_faults(enough=enough), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def named_faults(*, enough: str = OWNER) -> Generator[None]:
    """Turn a driver's error into authkit's, as `named` does."""
    try:
        yield
    except exc.DBAPIError as fault:
        if isinstance(fault.orig, psycopg.Error):
            raise named(fault.orig, enough=enough) from fault
        raise
    except psycopg.Error as fault:
        raise named(fault, enough=enough) from fault


def member_of(*groups: str) -> str:
    """Say which logins have a right: the members of these group roles, or the owner."""
    return f"a member of {' or '.join(groups)}, or {OWNER}"


def named(fault: psycopg.Error, *, enough: str = OWNER) -> AuthkitError:
    """Return the error of authkit that a driver's error amounts to.

    By SQLSTATE and constraint name, never by its words.

    Args:
        fault: what the driver raised.
        enough: the login that has the right, in words, for who lacks it.
    """
    state = fault.sqlstate
    constraint = fault.diag.constraint_name
    if state is None:
        return Unavailable("the connection to the server was lost")
    if state == "42501":
        # "permission denied for table x": it names an object, never a row.
        said = fault.diag.message_primary or "the database role may not do this"
        return NotPermitted(f"{said}: use {enough}")
    if state == "23505":
        return AlreadyExists("it is there already", constraint=constraint)
    if state.startswith("23"):
        return Conflict(f"constraint {constraint} forbids it", constraint=constraint)
    if state in {"40001", "40P01", "55P03"}:
        return RetryLater("another transaction is in the way: try again")
    if state.startswith(("08", "57P")):
        return Unavailable("the server ended the connection")
    if state == "25006":
        return Unavailable("the server is a replica: name the primary")
    return DatabaseError(f"the server refused the statement ({state})", sqlstate=state)
