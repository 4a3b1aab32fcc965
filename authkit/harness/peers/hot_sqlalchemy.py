"""SQLAlchemy at its best: a queue pool, autocommit, prepared, statements built once."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import bindparam, create_engine, func, select
from sqlalchemy.orm import Session, registry

from authkit.harness.peers import hot_world as world
from authkit.harness.peers.hot_clients import in_threads
from authkit.schema.hot import active_sessions


class Entity:
    """A session as an entity: what is validated and what is answered."""

    id: UUID
    user_id: UUID
    assurance_level: int
    methods: list[str]
    risk_score: float | None
    authenticated_at: datetime
    last_activity: datetime
    expires_at: datetime


_ANSWERED = (
    *("id", "user_id", "assurance_level", "methods", "risk_score"),
    *("authenticated_at", "last_activity", "expires_at"),
)


@contextmanager
def validation(
    url: str, *, orm: bool, clients: int = 8
) -> Generator[Callable[[int], Any]]:
    """Yield the validation of a key: by a Core row, or by an entity of a `Session`."""
    table, now = active_sessions, func.clock_timestamp()
    live = (
        table.c.token_digest == bindparam("digest"),
        table.c.revoked_at.is_(None),
        table.c.expires_at > now,
        table.c.last_activity + table.c.idle_timeout > now,
    )
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, prepare_threshold=0),
        isolation_level="AUTOCOMMIT",
        pool_size=clients,
    )
    mapped = registry()
    if orm:
        mapped.map_imperatively(Entity, table, include_properties=_ANSWERED)
    columns = [Entity] if orm else [table.c[name] for name in _ANSWERED]
    statement = select(*columns).where(*live)

    def call(key: int) -> Any:
        given = {"digest": sha256(world.token(key).encode()).digest()}
        if orm:
            with Session(engine) as session:
                return session.scalars(statement, given).one_or_none()
        with engine.connect() as connection:
            return connection.execute(statement, given).one_or_none()

    try:
        yield call
    finally:
        mapped.dispose()
        engine.dispose()


def sqlalchemy_in_threads(
    url: str, keys: list[int], clients: int, seconds: float, *, orm: bool
) -> float:
    """Return validations a second."""
    with validation(url, orm=orm, clients=clients) as call:
        return in_threads(call, keys, clients, seconds)
