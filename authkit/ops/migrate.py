"""Bring a database to a version of the schema: all of it or nothing, one at a time.

The migrations are alembic's, found beside the package in a checkout (`alembic/`) and
inside it when installed (`authkit/migrations/`). All revisions of one call run in one
transaction under an advisory lock.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

import authkit
from alembic import command
from authkit.cluster.locate import writer_url
from authkit.errors import InvalidInput, SchemaMismatch
from authkit.ops.connection import transaction
from authkit.schema import SCHEMA
from authkit.settings import Settings

CREATE_SCHEMA = f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"

# Where the wheel puts the migrations: a top-level `alembic` would hide the library.
_INSTALLED = "migrations"

# Any constant will do, as long as nobody else takes it: "authkit" in ASCII.
_LOCK_KEY = int.from_bytes(b"authkit", "big")
_LOCK_WAIT = "60s"
_TABLE_LOCK_WAIT = "5s"

# alembic keeps its context in module globals: one command at a time in a process.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """Where a database stands: its revision, and the newest one that we know."""

    current: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def is_head(self) -> bool:
        """True when there is nothing to do."""
        return self.current == self.head


def migrations_dir() -> Path:
    """Return the folder of the migrations, installed or in a checkout.

    Raises:
        SchemaMismatch: they are missing from this installation.
    """
    package = Path(authkit.__file__).parent
    for folder in (package / _INSTALLED, package.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise SchemaMismatch(
        "this installation has no migrations: install authkit from its wheel again"
    )


def config(output: io.TextIOBase | None = None, **attributes: object) -> Config:
    """Return alembic's configuration, silent unless an output is given."""
    settings = Config(stdout=io.StringIO(), attributes=dict(attributes))
    folder = str(migrations_dir()).replace("%", "%%")
    settings.set_main_option("script_location", folder)
    settings.set_main_option("path_separator", "os")
    settings.set_main_option(
        "file_template",
        "%%(year)d%%(month).2d%%(day).2d_%%(hour).2d%%(minute).2d_%%(slug)s",
    )
    if output is not None:
        settings.attributes["output"] = output
    return settings


def upgrade(url: str, revision: str = "head") -> SchemaVersion:
    """Migrate a database up to a revision; doing it again does nothing.

    Raises:
        SchemaMismatch: the database is of a newer schema than this code.
        InvalidInput: there is no such revision.
        AuthkitError: the server refused; nothing was changed.
    """
    with transaction(url) as connection:
        require_known(connection)
        with _alembic(revision):
            command.upgrade(config(connection=connection), revision)
        return version(connection)


def downgrade(url: str, revision: str) -> SchemaVersion:
    """Migrate a database down to a revision; `base` removes every table.

    Raises:
        SchemaMismatch: the database is of a newer schema than this code.
        InvalidInput: there is no such revision.
        AuthkitError: the server refused; nothing was changed.
    """
    with transaction(url) as connection:
        require_known(connection)
        with _alembic(revision):
            command.downgrade(config(connection=connection), revision)
        return version(connection)


def sql(revision: str = "head", *, down: bool = False) -> str:
    """Return the SQL of the migrations, for a database that others administer.

    Args:
        revision: `head`, a revision, or a range as `from:to`.
        down: write the way down; then a range is asked for.

    Raises:
        InvalidInput: there is no such revision.
    """
    output = io.StringIO()
    with _alembic(revision):
        run = command.downgrade if down else command.upgrade
        run(config(output), revision, sql=True)
    return output.getvalue()


def generate(url: str, message: str) -> Path | None:
    """Write a revision with what differs; return its file, or None if nothing does.

    Raises:
        SchemaMismatch: the database is not at the newest revision.
        InvalidInput: the message is empty, or this is no checkout: a revision written
            into an installed package would be lost with its next version.
    """
    if migrations_dir().name == _INSTALLED:
        raise InvalidInput("revisions are written in a checkout of authkit")
    if not message.strip():
        raise InvalidInput("a revision needs a message: -m 'what it does'")
    with transaction(url) as connection:
        require_newest(connection)
        kept: list[object] = []
        with _alembic("head"):
            made = command.revision(
                config(connection=connection),
                message=message,
                autogenerate=True,
                process_revision_directives=lambda _context, _revision, directives: (
                    _drop_if_empty(directives, kept)
                ),
            )
    if not kept or made is None or isinstance(made, list):
        return None
    return Path(made.path)


def _drop_if_empty(directives: list[Any], kept: list[object]) -> None:
    for directive in list(directives):
        if directive.upgrade_ops.is_empty():
            directives.remove(directive)
        else:
            kept.append(directive)


def version(connection: Connection) -> SchemaVersion:
    """Return where a database stands, without changing it."""
    script = ScriptDirectory.from_config(config())
    current = current_revision(connection)
    head = head_revision()
    known = {r.revision for r in script.walk_revisions()}
    pending: tuple[str, ...] = ()
    if current is None or current in known:
        walked = script.iterate_revisions(head, current or "base")
        pending = tuple(reversed([revision.revision for revision in walked]))
    return SchemaVersion(current, head, pending)


@cache
def head_revision() -> str:
    """Return the newest revision that this code knows.

    Raises:
        SchemaMismatch: the migrations are missing from this installation.
    """
    head = ScriptDirectory.from_config(config()).get_current_head()
    if head is None:
        raise SchemaMismatch("this installation has no migrations")
    return head


def current_revision(connection: Connection) -> str | None:
    """Return the revision that a database says it is at; None when never migrated."""
    context = MigrationContext.configure(
        connection, opts={"version_table_schema": SCHEMA}
    )
    return context.get_current_revision()


def require_known(connection: Connection) -> None:
    """Refuse a database that a newer authkit migrated.

    Raises:
        SchemaMismatch: its revision is not one of ours.
    """
    current = current_revision(connection)
    script = ScriptDirectory.from_config(config())
    known = {revision.revision for revision in script.walk_revisions()}
    if current is not None and current not in known:
        raise SchemaMismatch(
            f"the database is at schema version {current}, which this authkit"
            f" ({authkit.__version__}) does not know: upgrade authkit"
        )


def require_newest(connection: Connection) -> None:
    """Refuse a database that is not at the newest revision we know.

    Raises:
        SchemaMismatch: it is older, newer, or was never migrated.
    """
    require_known(connection)
    state = version(connection)
    if not state.is_head:
        raise SchemaMismatch(
            f"the database is at {state.current or 'no revision'} and the newest"
            f" is {state.head}: authkit db migrate brings it there"
        )


def take_lock(connection: Connection) -> None:
    """Wait for other migrators, then make sure of the schema.

    Held until the transaction ends. Afterwards a table that is in use is waited for
    briefly only: a migration queueing for a lock stops everybody behind it.
    """
    for statement in (
        f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'",
        f"SELECT pg_advisory_xact_lock({_LOCK_KEY})",
        f"SET LOCAL lock_timeout = '{_TABLE_LOCK_WAIT}'",
        CREATE_SCHEMA,
    ):
        connection.execute(text(statement))


@contextmanager
def connect_from_settings() -> Generator[Connection]:
    """Give the connection of the plain `alembic` command: to the primary.

    Raises:
        ConfigError: DATABASE_URL is not set.
        SchemaMismatch: the database is of a newer schema than this code.
    """
    with transaction(writer_url(Settings.load())) as connection:
        require_known(connection)
        yield connection


@contextmanager
def _alembic(revision: str) -> Generator[None]:
    try:
        with _ONE_AT_A_TIME:
            yield
    except CommandError as exc:
        raise InvalidInput(f"there is no way to revision {revision!r}: {exc}") from exc
