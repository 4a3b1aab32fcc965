"""Runs the migrations: online under a lock, offline as SQL.

Used by `authkit db ...` through `authkit.ops.migrate`, and by the plain `alembic`
command, which reads DATABASE_URL as everything else does.
"""

from __future__ import annotations

from sqlalchemy import Connection

from alembic import context
from authkit.ops import comparing, migrate
from authkit.schema import metadata

config = context.config


def offline() -> None:
    """Write the SQL of the migrations, for a database that others administer."""
    context.configure(
        dialect_name="postgresql",
        literal_binds=True,
        output_buffer=config.attributes.get("output"),
        **comparing.context_options(),
        target_metadata=metadata,
    )
    with context.begin_transaction():
        context.execute(migrate.CREATE_SCHEMA)
        context.run_migrations()


def online(connection: Connection) -> None:
    """Run the migrations in one transaction, one migrator at a time."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=comparing.names_to_compare(connection),
        **comparing.context_options(),
    )
    with context.begin_transaction():
        migrate.take_lock(connection)
        context.run_migrations()


if context.is_offline_mode():
    offline()
elif isinstance(given := config.attributes.get("connection"), Connection):
    online(given)
else:
    with migrate.connect_from_settings() as opened:
        online(opened)
