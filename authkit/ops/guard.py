"""What destroys data asks first: a lab's database, or one named twice.

A lab marks its databases with the setting `authkit.lab`. Anybody may set it in their
own session: this guards against a slip, and is no access control.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from authkit.errors import InvalidInput


def require_disposable(
    connection: Connection, *, database: str | None, again: str | None
) -> str:
    """Return the database's name if its data may be destroyed.

    Args:
        connection: to the database that is meant.
        database: its name, as the caller typed it; None: not given.
        again: the same, typed again.

    Raises:
        InvalidInput: it is no lab's, and was not named twice; or another one was named.
    """
    found = connection.execute(
        text("SELECT current_database() AS name, current_setting('authkit.lab', true)")
    ).one()
    name = str(found[0])
    for typed in (database, again):
        if typed is not None and typed != name:
            raise InvalidInput(
                f"DATABASE_URL leads to the database {name!r}, not to {typed!r}:"
                " nothing was changed"
            )
    if found[1] or (database is not None and again is not None):
        return name
    raise InvalidInput(
        f"the database {name!r} is no lab's, so its data stays; to destroy it all the"
        f" same: --database {name} --yes-really {name}"
    )
