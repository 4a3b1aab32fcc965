"""Where a node is reached, and SQL on it as the lab's superuser."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from authkit.errors import LabError
from authkit.lab.configuration import DATABASE, SUPERUSER
from authkit.lab.places import HOST


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A node's name, port and password."""

    name: str
    port: int
    password: str = field(repr=False)

    def condition(self) -> str:
        """Return what is known of the server's processes."""
        return "unknown"

    def variables(self) -> dict[str, str]:
        """Return what libpq's programs need to know, password included."""
        return {
            "PGHOST": HOST,
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.password,
            "PGDATABASE": DATABASE,
            "PGCONNECT_TIMEOUT": "3",
        }

    def conninfo(self, dbname: str = DATABASE) -> str:
        """Return the superuser's connection string, password included."""
        return make_conninfo(
            host=HOST,
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname=dbname,
            connect_timeout=3,
            application_name="authkit lab",
        )

    @contextlib.contextmanager
    def connect(
        self, dbname: str = DATABASE
    ) -> Generator[psycopg.Connection[tuple[Any, ...]]]:
        """Connect as superuser, in autocommit, and close at the end.

        Raises:
            LabError: the node does not answer, or went away meanwhile.
        """
        condition = self.condition()
        if condition in {"frozen", "down"}:
            raise LabError(f"node {self.name} does not answer: it is {condition}")
        connection: psycopg.Connection[tuple[Any, ...]] | None = None
        try:
            connection = psycopg.connect(self.conninfo(dbname), autocommit=True)
            with connection:
                yield connection
        except psycopg.OperationalError as exc:
            if connection is not None and not connection.broken:
                raise
            raise LabError(
                f"node {self.name} does not answer: it is {self.condition()} "
                f"({type(exc).__name__})"
            ) from exc

    def query(
        self,
        statement: LiteralString | sql.Composed,
        parameters: Sequence[object] | Mapping[str, object] | None = None,
        *,
        dbname: str = "postgres",
    ) -> list[tuple[Any, ...]]:
        """Run one statement as superuser and return its rows.

        Raises:
            LabError: the node does not answer.
            psycopg.Error: the server refused the statement.
        """
        with self.connect(dbname) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
