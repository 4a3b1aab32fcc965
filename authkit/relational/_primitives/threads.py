"""Beneath a unit of work for threads: everything is direct."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import sqlalchemy

from authkit.cluster import NodeConnection
from authkit.hot import Runner

Connection: TypeAlias = sqlalchemy.Connection
Result = TypeVar("Result")


def core(connection: Connection) -> Connection:
    """Return the connection that a `Session` is bound to."""
    return connection


def driver(connection: Connection) -> NodeConnection:
    """Return psycopg's connection beneath it."""
    found = connection.connection.driver_connection
    if not isinstance(found, NodeConnection):
        raise TypeError("the engine is not the cluster's")
    return found


def call(_: Connection, function: Callable[[], Result]) -> Result:
    """Run a function that uses the ORM."""
    return function()


def within(runner: Runner) -> Runner:
    """Return a runner for functions that `call` runs."""
    return runner
