"""What SQLAlchemy's events know of the driver's connection, in both colours."""

from __future__ import annotations

from sqlalchemy import ExceptionContext


def driver_connection(context: ExceptionContext) -> object | None:
    """Return psycopg's connection beneath a failed statement, while there is one."""
    connection = context.connection
    if connection is None or connection.closed or connection.invalidated:
        return None
    return connection.connection.driver_connection
