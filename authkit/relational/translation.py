"""Inside a unit of work no driver's error goes out: it becomes one of authkit's.

SQLAlchemy offers each error to a listener of the engine, before it wraps it. The
listener answers for connections that carry our mark, and leaves others alone.
"""

from __future__ import annotations

import psycopg
from sqlalchemy import Connection, Engine, ExceptionContext, event

from authkit.cluster import AsyncNodeConnection, NodeConnection
from authkit.cluster.faults import translate
from authkit.errors import AuthkitError

MARK = "authkit_unit_of_work"


def install(engine: Engine) -> None:
    """Have the engine translate; once is enough for all its connections."""
    if not event.contains(engine, "handle_error", _translate):
        event.listen(engine, "handle_error", _translate)


def _translate(context: ExceptionContext) -> None:
    connection, error = context.connection, context.original_exception
    if connection is None or not isinstance(error, psycopg.Error):
        return
    if not connection.get_execution_options().get(MARK):
        return
    translated = explain(connection, error)
    if translated is not None:
        raise translated from error


def explain(connection: Connection, error: psycopg.Error) -> AuthkitError | None:
    """Return what the error means for the transaction on this connection."""
    if connection.closed or connection.invalidated:
        return None
    driver = connection.connection.driver_connection
    if not isinstance(driver, NodeConnection | AsyncNodeConnection):
        return None
    return translate(error, driver.blame(error), node=driver.node.name)
